#!/usr/bin/env bash
# What CI runs, as CI runs it: a skipped test is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
CI=${CI:-1} exec bash scripts/test.sh "$@"
