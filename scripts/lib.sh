# Shared by the programs in scripts/: sourced, never run. Changes to the repository's root.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Sanitizers look for llvm-symbolizer in the path; Debian keeps it here.
export PATH="$PATH:/usr/lib/llvm-19/bin"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export NINJA_STATUS="[%f/%t] "

readonly kLogDir=build/log
readonly kFailureLines=60  # of a failed step's log
step_number=0
step_count=0
watcher=

say() { printf '%s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# steps N: the N steps that follow announce themselves as [1/N] …
steps() {
  step_number=0
  step_count=$1
}
announce() {
  step_number=$((step_number + 1))
  say "[$step_number/$step_count] $*"
}

human_time() {
  if (($1 >= 60)); then printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); else printf '%ds' "$1"; fi
}

# Shows that a long step is alive: the newest "[12/345]" of its log, every second on a terminal, every
# half minute elsewhere. Waits on a pipe that nobody writes: a sleep would outlive its parent and hold
# the output open.
watch_log() {
  local log=$1 parent=$2 began=$SECONDS every=30 state
  [[ -t 1 ]] && every=1
  local idle
  exec {idle}<> <(:)
  while kill -0 "$parent" 2>/dev/null; do
    read -rt "$every" -u "$idle" || true
    state=$(tail -c 4000 "$log" 2>/dev/null | grep -aoE '\[[0-9]+/[0-9]+\]|^ *[0-9]+/[0-9]+ Test' |
      tail -n 1 || true)
    if [[ -t 1 ]]; then
      printf '\r\033[K      %s %s' "$(human_time $((SECONDS - began)))" "$state"
    else
      printf '      still at it: %s %s\n' "$(human_time $((SECONDS - began)))" "$state"
    fi
  done
}
stop_watching() {
  [[ -n $watcher ]] || return 0
  kill "$watcher" 2>/dev/null || true
  wait "$watcher" 2>/dev/null || true
  watcher=
  if [[ -t 1 ]]; then printf '\r\033[K'; fi
}
trap stop_watching EXIT

# logged NAME COMMAND…: runs the command with its output in build/log/NAME.log; shows the tail on failure.
logged() {
  local log=$kLogDir/$1.log status=0 began=$SECONDS
  shift
  mkdir -p "$kLogDir"
  : >"$log"
  watch_log "$log" $$ &
  watcher=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  stop_watching
  if ((status != 0)); then
    say "      FAILED after $(human_time $((SECONDS - began))). The end of $log:"
    tail -n "$kFailureLines" "$log"
    return "$status"
  fi
  if ((SECONDS - began >= 2)); then say "      done in $(human_time $((SECONDS - began)))"; fi
}

# package_list FILE…: the names in packaging/FILE.
package_list() {
  local file
  for file in "$@"; do sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "packaging/$file"; done
}

missing_packages() {
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null |
    sed -n 's/^installed //p')
  package_list "$@" | grep -vxF -f <(printf '%s\n' "$installed") || true
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

system_name() { (. /etc/os-release 2>/dev/null && printf '%s' "${PRETTY_NAME:-unknown}") || printf unknown; }

# install_packages FILE…: one step; installs what is missing of the lists packaging/FILE, and asks the
# network for nothing when nothing is.
install_packages() {
  local missing
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    announce "this system ($(system_name)) has no apt: the packages cannot be installed for you"
    say "      Sluice is built on Debian 12. Elsewhere, install what these name and build by hand:"
    say "      ${*/#/packaging/} ; cmake --preset release && ninja -C build/release sluice"
    exit 1
  fi
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then
    announce "packages: all there"
    return
  fi
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    die "packages are missing, and this is neither root nor a system with sudo. As root:
  apt-get install --no-install-recommends ${missing[*]}"
  fi
  announce "installing ${#missing[@]} packages: ${missing[*]}"
  if ((EUID != 0)); then sudo -v || die "sudo refused"; fi
  logged apt-update apt update || die "apt-get update failed"
  # --no-remove: a package that could only come in place of another of this machine is the owner's choice.
  logged apt-install apt install -y --no-remove --no-install-recommends "${missing[@]}" ||
    die "could not install the packages (built on Debian 12; this is $(system_name))"
}

# install_idle FILE…: like install_packages, for servers that only tests start: neither now nor at the
# next boot does the system run what was installed here.
install_idle() {
  local policy=/usr/sbin/policy-rc.d package ours=
  local missing
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} > 0)) && [[ ! -e $policy ]]; then
    # invoke-rc.d(8): 101 forbids.
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    ours=yes
  fi
  local status=0
  (install_packages "$@") || status=$?
  [[ -z $ours ]] || as_root rm -f "$policy"
  ((status == 0)) || exit "$status"
  step_number=$((step_number + 1))
  for package in "${missing[@]}"; do
    if [[ -e /lib/systemd/system/$package.service ]]; then
      as_root systemctl disable --quiet "$package" 2>/dev/null || true
    fi
  done
}

# configure PRESET [OPTION…]: the first time, and when the presets or $built_version changed; all else ninja
# notices. A warning stops what is built for tests, never what a user builds.
built_version= # what the program shall call itself; empty: the project's version
configure() {
  local preset=$1
  shift
  if [[ build/$preset/build.ninja -nt CMakePresets.json ]] &&
    grep -qxF "SLUICE_VERSION:STRING=$built_version" "build/$preset/CMakeCache.txt"; then
    return
  fi
  [[ $preset == release ]] || set -- -DCMAKE_COMPILE_WARNING_AS_ERROR=ON "$@"
  logged "configure-$preset" cmake --preset "$preset" -DSLUICE_VERSION="$built_version" "$@"
}

has_target() { ninja -C "build/$1" -t query "$2" >/dev/null 2>&1; }

# build PRESET [TARGET…]: nothing is printed when nothing has changed.
build() {
  local preset=$1
  shift
  logged "build-$preset" ninja -C "build/$preset" "$@"
}

# configure_with_tests PRESET: like configure, and turns the tests on where scripts/run left them out.
configure_with_tests() {
  configure "$1" -DSLUICE_TESTS=ON
  if grep -q '^SLUICE_TESTS:BOOL=OFF' "build/$1/CMakeCache.txt"; then
    logged "configure-$1" cmake --preset "$1" -DSLUICE_TESTS=ON
  fi
}
