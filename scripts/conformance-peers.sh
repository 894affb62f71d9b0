#!/usr/bin/env bash
# Compares what the corpus's cases give with what buildah and docker make of them.
# Usage: npm run conformance:peers [-- --fresh] [-- --peer buildah|docker] [-- CASE…]
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh bench
exec node test/conformance/peers/run.mjs "$@"
