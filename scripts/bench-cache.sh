#!/usr/bin/env bash
# Measures the cache-server beside Debian's docker-registry. Usage: npm run bench:cache [-- SCENARIO…]
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh bench
exec node bench/cache/run.mjs "$@"
