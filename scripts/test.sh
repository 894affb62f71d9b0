#!/usr/bin/env bash
# Every test, from a fresh checkout. The last line is `N passed, N failed, N skipped`.
# Usage: npm test [-- SUITE…]     suites: lint types rustfmt clippy repo unit rust conformance e2e faults
set -uo pipefail
cd "$(dirname "$0")/.."
[[ ! -d $HOME/.cargo/bin ]] || export PATH="$HOME/.cargo/bin:$PATH"
if ! bash scripts/setup.sh test; then
  echo '0 passed, 1 failed, 0 skipped'
  exit 1
fi
exec node test/support/run-all.mjs "$@"
