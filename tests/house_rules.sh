#!/usr/bin/env bash
# house_rules.sh ROOT: rules of this code that neither the compiler nor clang-format knows. Prints every
# line that breaks one and fails. A line that must break one says so and why in a comment on it:
#   // allow(clock): measures the wall time of the run itself
set -uo pipefail
cd "$1" || exit 2

folders=()
for folder in src sdk sim tests bench; do [[ -d $folder ]] && folders+=("$folder"); done
broken=0

# A copy without comments, so that a comment may name what code must not use. "//" after ":" is a URL's.
code=$(mktemp -d)
trap 'rm -rf "$code"' EXIT
find "${folders[@]}" -type f \( -name '*.h' -o -name '*.cc' \) -print0 | xargs -0 -r cp --parents -t "$code"
find "$code" -type f -print0 | xargs -0 -r sed -i -E '/allow\(/!s#(^|[^:])//.*#\1#'

# rule NAME WHY PATTERN EXCEPT: PATTERN (extended) matches no code, but in files whose path matches EXCEPT.
rule() {
  local name=$1 why=$2 pattern=$3 except=$4 found
  found=$(cd "$code" && grep -rnHE -e "$pattern" . | sed 's#^\./##' | grep -vF "allow($name):" |
    grep -vE "$except" | LC_ALL=C sort)
  if [[ -n $found ]]; then
    printf '%s: %s\n%s\n' "$name" "$why" "$found"
    broken=1
  fi
}

rule clock "time comes from runtime's Clock, or the simulation cannot own it" \
  '(system|steady|high_resolution|utc|file)_clock::now|\b(clock_gettime|gettimeofday|timespec_get)\(|\bstd::time\(|[^_[:alnum:].>:]time\((nullptr|NULL|0)\)' \
  '^(src/runtime|bench)/'
rule random "chance comes from a seeded Random, secrets from auth/" \
  '\bstd::(rand|srand|random_device|mt19937|mt19937_64|default_random_engine|random_shuffle)\b|[^_[:alnum:].>:](rand|srand|random|drand48)\(\)' \
  '^src/runtime/'
rule detached "nothing runs without an owner: TaskGroup::spawn" \
  '\bdetached\b|\.detach\(\)' '^$'
rule sleep "waiting is an event or a timer; a sleeping test is slow when it passes and flaky when it fails" \
  'this_thread::sleep_(for|until)\b|(^|[^_.>[:alnum:]])(sleep|usleep|nanosleep)\(' '^bench/'
rule include "includes are absolute from src/" \
  '^#include "\.' '^$'
rule namespace "a header must not open namespaces for those who include it" \
  '^using namespace ' '_(test|bench|fuzz)\.cc:'
rule output "the daemon speaks through its log; ctl/ and app/ are the ones with a terminal" \
  '\bstd::(cout|cerr|clog)\b' '^(src/(ctl|app)|sim|tests|bench)/|_(test|fuzz)\.cc:'

todo=$(find "${folders[@]}" -type f \( -name '*.h' -o -name '*.cc' \) -print0 |
  xargs -0 -r grep -nHE '\b(TODO|FIXME|XXX|HACK)\b' | grep -vE '(TODO|FIXME|XXX|HACK)\(#[0-9]+\)')
if [[ -n $todo ]]; then
  printf 'todo: one that stays carries the number of its issue: TODO(#12)\n%s\n' "$todo"
  broken=1
fi

pragma=$(find "${folders[@]}" -type f -name '*.h' -size +0 -print0 | xargs -0 -r grep -L '^#pragma once$')
if [[ -n $pragma ]]; then
  printf 'pragma: a header starts with #pragma once\n%s\n' "$pragma"
  broken=1
fi
exit "$broken"
