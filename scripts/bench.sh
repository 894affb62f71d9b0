#!/usr/bin/env bash
# Runs the scenarios of design.md 7 against the peers that are there. Usage: npm run bench [-- SCENARIO…]
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh bench
exec node bench/run.mjs "$@"
