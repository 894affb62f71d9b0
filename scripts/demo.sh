#!/usr/bin/env bash
# Shows tsbuild at work on a fresh checkout: a base image, a multi-stage build, the cache, the image running.
set -euo pipefail
cd "$(dirname "$0")/.."

bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'
[[ -t 1 ]] || bold='' dim='' plain=''
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
run() {
  printf '%s$ %s%s\n' "$dim" "$*" "$plain"
  "$@"
}

step 'Getting ready (the first time installs and builds what is needed)'
bash scripts/setup.sh demo

# A store of its own, so that the demonstration changes nothing else on this machine.
export TSBUILD_ROOT=${TSBUILD_ROOT:-$PWD/.tsbuild-dev/demo-store}
PATH="$PWD/node_modules/.bin:$PATH"
work=$(mktemp -d "${TMPDIR:-/tmp}/tsbuild-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp -r examples/hello-c "$work/hello-c"
cd "$work"
# Inside a terminal the live view, elsewhere plain lines.
first_flags=()
if [[ $(tsbuild images --root "$TSBUILD_ROOT" 2>/dev/null) == *debian* ]]; then
  # An earlier demonstration filled the cache; the first build shall show the work again.
  first_flags=(--no-cache)
fi

step 'A base image out of the packages of the distribution: no registry is asked'
run tsbuild bootstrap debian:bookworm

step 'First build: install a compiler, compile, keep only the program'
run cat hello-c/Dockerfile
run tsbuild "${first_flags[@]}" -t hello:1.0 hello-c

step 'Second build: nothing changed, nothing runs'
run tsbuild --metadata-file second.json -t hello:1.0 hello-c

step 'One file changed: the compiler stays installed, only what reads the file runs again'
printf '#define GREETING "Good morning"\n' >hello-c/greeting.h
run tsbuild -t hello:1.1 hello-c

step 'The images'
run tsbuild images
run tsbuild run hello:1.0
run tsbuild run hello:1.1 tsbuild

step 'An archive that any OCI tool reads'
run tsbuild -q --output type=oci,dest=hello.tar -t hello:1.1 hello-c
run ls -l hello.tar

printf '\n%sDone.%s The command is node_modules/.bin/tsbuild; this store is %s\n' "$bold" "$plain" "$TSBUILD_ROOT"
