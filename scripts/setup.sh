#!/usr/bin/env bash
# Makes a fresh checkout ready: system packages, npm packages, the test user, the build. Does nothing when all is done.
# Usage: scripts/setup.sh demo|test|bench     (what must be there)
# Exit code 3: something is missing that only an administrator can install; the exact command is printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
purpose=${1:-test}
state=.tsbuild-dev
mkdir -p "$state"

say() {
  if [[ -t 2 ]]; then printf '\033[2m%s\033[0m\n' "setup: $*" >&2; else printf '%s\n' "setup: $*" >&2; fi
}
stop() {
  printf 'setup: %s\n' "$*" >&2
  exit 3
}

check_node() {
  command -v node >/dev/null || stop 'Node.js 20.19 or newer is needed and is not installed'
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    stop "Node.js 20.19 or newer is needed; this is $(node --version)"
}

# The program that shows that a Debian package is there, for machines without dpkg.
declare -A program_of=(
  [mmdebstrap]=mmdebstrap [gcc]=gcc [uidmap]=newuidmap [docker-registry]=docker-registry [skopeo]=skopeo
  [umoci]=umoci [docker.io]=dockerd [runc]=runc [busybox-static]=busybox [strace]=strace [openssl]=openssl
  [e2fsprogs]=mkfs.ext4 [xfsprogs]=mkfs.xfs [buildah]=buildah [podman]=podman [crun]=crun [hyperfine]=hyperfine [passt]=pasta [zstd]=zstd [git]=git
  [attr]=setfattr [bzip2]=bzip2 [xz-utils]=xz [openssh-client]=ssh-agent [openssh-server]=sshd [slirp4netns]=slirp4netns
  [iproute2]=ip [golang-go]=go [nginx]=nginx [systemd]=systemd-analyze
)

# What these packages would run from the next start of the machine on. Tests start their own; nobody asked for more.
declare -A services_of=(
  [openssh-server]='ssh.service' [docker.io]='docker.service docker.socket' [docker-registry]='docker-registry.service' [nginx]='nginx.service'
)

wanted_packages() {
  local demo='gcc libc6-dev mmdebstrap uidmap'
  local test="$demo docker-registry docker.io podman runc skopeo umoci busybox-static strace openssl e2fsprogs xfsprogs zstd attr bzip2 xz-utils git"
  test+=' iproute2 passt slirp4netns openssh-client openssh-server nginx systemd'
  # Any Go will do, and it seldom comes as a package.
  command -v go >/dev/null || test+=' golang-go'
  case $purpose in
    demo) echo "$demo" ;;
    test) echo "$test" ;;
    bench) echo "$test buildah crun hyperfine" ;;
    *) stop "unknown purpose \"$purpose\": demo, test or bench" ;;
  esac
}

missing_packages() {
  local package
  if command -v dpkg-query >/dev/null; then
    local installed
    installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii *//p')
    for package in $(wanted_packages); do
      grep -qxF "$package" <<<"$installed" || echo "$package"
    done
  else
    for package in $(wanted_packages); do
      [[ -z ${program_of[$package]:-} ]] || command -v "${program_of[$package]}" >/dev/null || echo "$package"
    done
  fi
}

install_packages() {
  local missing
  missing=$(missing_packages | tr '\n' ' ')
  [[ -n $missing ]] || return 0
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    stop "these Debian packages are missing; install them with: sudo apt-get install -y --no-install-recommends $missing"
  fi
  say "installing $missing"
  # A service that a package starts would only be in the way: policy-rc.d says no while we install.
  local policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e $policy ]]; then
    made=$policy
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  local status=0
  # shellcheck disable=SC2086 — a list of words
  {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing ||
      { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; }
  } >"$state/apt-get.log" 2>&1 || status=$?
  # shellcheck disable=SC2086 — a list of words
  disable_services $missing >>"$state/apt-get.log" 2>&1
  [[ -z $made ]] || { rm -f "$made" && trap - EXIT; }
  if [[ $status -ne 0 ]]; then
    tail -n 20 "$state/apt-get.log" >&2
    stop "apt-get could not install: $missing"
  fi
}

# For packages that were not there before: a server that somebody else installed stays as it is.
disable_services() {
  local package service
  for package; do
    for service in ${services_of[$package]:-}; do
      # A policy-rc.d of the machine may have let it start.
      [[ ! -d /run/systemd/system ]] || systemctl stop "$service" || true
      if command -v systemctl; then
        systemctl disable "$service" || true
      elif [[ $service == *.service ]]; then
        update-rc.d "${service%.service}" disable || true
      fi
    done
  done
}

# One program of qemu-user-static, beside the checkout: the package itself would register interpreters with the kernel, for
# everything that this machine runs. Tests find it there (findProgram in test/support/capabilities.ts).
unpack_interpreter() {
  local program=qemu-aarch64-static folder=$state/programs
  [[ $purpose != demo ]] && ! command -v "$program" >/dev/null && [[ ! -x $folder/$program ]] || return 0
  command -v apt-get >/dev/null || stop "$program is missing; it is in the package qemu-user-static"
  say "unpacking $program"
  local scratch=$state/qemu
  rm -rf "$scratch"
  mkdir -p "$scratch" "$folder"
  (
    cd "$scratch"
    apt-get download -qq qemu-user-static || { [[ $EUID -eq 0 ]] && apt-get update -qq && apt-get download -qq qemu-user-static; }
    dpkg-deb --fsys-tarfile ./*.deb | tar -x --strip-components=3 "./usr/bin/$program"
  ) >"$state/apt-get-download.log" 2>&1 || {
    tail -n 20 "$state/apt-get-download.log" >&2
    stop 'apt-get could not download qemu-user-static; install it with: sudo apt-get install -y --no-install-recommends qemu-user-static'
  }
  mv "$scratch/$program" "$folder/"
  rm -rf "$scratch"
}

check_rust() {
  [[ ! -d $HOME/.cargo/bin ]] || export PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null ||
    stop 'Rust 1.85 or newer is needed for native/helper and is not installed; get it with rustup (package rustup, then: rustup default stable)'
  local version
  version=$(rustc --version | cut -d' ' -f2)
  [[ $(printf '%s\n1.85.0\n' "$version" | sort -V | head -n 1) == 1.85.0 ]] ||
    stop "Rust 1.85 or newer is needed; this is $version"
}

install_npm_packages() {
  local lock stamp=node_modules/.tsbuild-lock
  node scripts/complete-lockfile.mjs >&2
  lock=$(sha256sum package-lock.json package.json | sha256sum)
  [[ ! -f $stamp || $(<"$stamp") != "$lock" ]] || return 0
  say 'npm ci'
  # No package needs its install script: esbuild and nx bring their binaries as packages of their own.
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >"$state/npm-ci.log" 2>&1 || {
    cat "$state/npm-ci.log" >&2
    stop 'npm ci failed'
  }
  echo "$lock" >"$stamp"
}

# The rootless tests run as this user, whose subordinate ids follow everyone else's.
make_test_user() {
  [[ $EUID -eq 0 && $purpose != demo ]] || return 0
  id -u tsbuild-test >/dev/null 2>&1 || {
    say 'making the user tsbuild-test'
    useradd --create-home --shell /bin/bash tsbuild-test
  }
  local file next
  for file in /etc/subuid /etc/subgid; do
    touch "$file"
    grep -q '^tsbuild-test:' "$file" && continue
    next=$(awk -F: 'BEGIN { end = 100000 } $2 + $3 > end { end = $2 + $3 } END { print end }' "$file")
    echo "tsbuild-test:$next:65536" >>"$file"
  done
}

# Sources newer than the last build, or folders whose list of files changed since; a project's own folder does not count,
# because the build makes its dist there.
sources_changed() {
  local stamp=$state/built
  [[ -f $stamp && -x node_modules/.bin/tsbuild && -x native/helper/bin/tsbuild-helper ]] || return 0
  [[ -n $(find libs apps native tsconfig.base.json tsconfig.json package-lock.json nx.json \
    \( -name node_modules -o -name dist -o -name target -o -path native/helper/bin \) -prune -o \
    -not -path 'libs/*/*' -type d -o -not -path '*/*/*' -type d -o \
    -newer "$stamp" -print -quit) ]]
}

build() {
  sources_changed || return 0
  say 'building (nx run-many -t build; the first time about two minutes)'
  : >"$state/building"
  NX_DAEMON=false NX_NO_CLOUD=true NX_TUI=false npx nx run-many -t build --outputStyle=static >"$state/build.log" 2>&1 || {
    # The reason stands before the rest of the other projects' output; the end says only which project failed.
    grep -m 12 -A 4 -E 'error( TS[0-9]+|\[E[0-9]+\])?:|error.*TS[0-9]+' "$state/build.log" >&2 || tail -n 60 "$state/build.log" >&2
    printf 'setup: the build failed; all of its output is in %s\n' "$state/build.log" >&2
    exit 1
  }
  mv "$state/building" "$state/built"
}

check_node
install_packages
unpack_interpreter
check_rust
install_npm_packages
make_test_user
build
