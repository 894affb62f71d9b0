#!/usr/bin/env bash
# Long runs of what the tests do in short: all rounds of the races of spec/security.md, what is too large for every run (test/soak),
# every point of test/faults, whose figures go into docs/dev/reliability.md (TSBUILD_FAULT_POINTS=100 bounds each list of points), then
# the fuzz tests of libs/dockerfile and libs/frontend, each round with a new seed.
# Usage: npm run test:soak [-- MINUTES]     (10 when not given)
# A failure prints the seed and the text; put the text into libs/dockerfile/corpus, or a test of libs/frontend, so that every test run has it.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-10}
[[ $minutes =~ ^[0-9]+$ ]] || { echo "soak: '$minutes' is no number of minutes" >&2; exit 2; }
[[ ! -d $HOME/.cargo/bin ]] || export PATH="$HOME/.cargo/bin:$PATH"
(
  cd native/helper
  TSBUILD_RACE_ROUNDS=2000 cargo test --release --test helper run_wins_the_race
  TSBUILD_RACE_ROUNDS=5000 cargo test --release --test helper mnt_01
  TSBUILD_TREE_DIFFS=5000 TSBUILD_TREE_DIFF_SEED=$((RANDOM << 15 | RANDOM)) cargo test --release --test helper layers_hold_exactly
)
TSBUILD_SOAK=1 npx vitest run --config vitest.e2e.config.ts test/e2e/hostile-races.test.ts test/e2e/cache-collecting.test.ts
npx vitest run --config vitest.soak.config.ts
rm -rf .tsbuild-dev/faults
faults=0
TSBUILD_SOAK=1 npx vitest run --config vitest.faults.config.ts || faults=$?
# The table says also what did not survive.
node test/faults/write-table.mjs
[[ $faults -eq 0 ]] || exit "$faults"
end=$((SECONDS + minutes * 60))
rounds=0
while ((rounds == 0 || SECONDS < end)); do
  export TSBUILD_FUZZ_SEED=$((RANDOM << 15 | RANDOM)) TSBUILD_FUZZ_ROUNDS=${TSBUILD_FUZZ_ROUNDS:-50000}
  npx vitest run --testTimeout=600000 libs/dockerfile/src/fuzz.test.ts libs/frontend/src/fuzz.test.ts
  rounds=$((rounds + 1))
done
echo "soak: $rounds times $TSBUILD_FUZZ_ROUNDS texts, no failure"
