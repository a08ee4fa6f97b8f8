#!/usr/bin/env bash
# Breaks each rule of house_rules.sh once, in a tree of its own, and expects that it is found by name; and
# that what looks similar but is allowed is left alone.
set -uo pipefail
rules=$(dirname "$(realpath "$0")")/house_rules.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

check() { (bash "$rules" "$tree" 2>&1); }
# finds RULE FILE LINE
finds() {
  rm -rf "${tree:?}"/*
  mkdir -p "$(dirname "$tree/$2")"
  printf '%s\n' "$3" >"$tree/$2"
  local said
  if said=$(check) || ! grep -q "^$1: " <<<"$said"; then
    printf 'not found as %s: %s\n%s\n' "$1" "$3" "$said"
    failed=1
  fi
}
# accepts FILE LINE
accepts() {
  rm -rf "${tree:?}"/*
  mkdir -p "$(dirname "$tree/$1")"
  printf '%s\n' "$2" >"$tree/$1"
  local said
  if ! said=$(check); then
    printf 'wrongly refused: %s\n%s\n' "$2" "$said"
    failed=1
  fi
}

finds clock src/gateway/x.cc 'auto t = std::chrono::system_clock::now();'
finds clock src/store/x.cc '  clock_gettime(CLOCK_MONOTONIC, &t);'
finds clock src/store/x.cc 'auto t = time(nullptr);'
finds random src/gateway/x.cc 'int x = std::rand();'
finds random src/net/x.cc 'std::random_device d;'
finds detached src/net/x.cc 'asio::co_spawn(io, f(), asio::detached);'
finds detached src/net/x.cc 'thread.detach();'
finds sleep src/net/x_test.cc 'std::this_thread::sleep_for(1s);'
finds include src/net/x.cc '#include "../base/error.h"'
finds namespace src/net/x.cc 'using namespace std;'
finds output src/gateway/x.cc 'std::cerr << "x";'
finds todo src/net/x.cc '// TODO: later'
finds pragma src/net/x.h 'int x();'
finds clock src/net/x.cc 'get("http://a", system_clock::now());'

accepts src/runtime/x.cc 'auto t = std::chrono::steady_clock::now();'
accepts src/net/x.cc '// never system_clock::now() here, and nothing detached'
accepts src/net/x.cc 'int x = 1;  // a detached one would swallow its errors'
accepts src/net/x.cc 'auto t = steady_clock::now();  // allow(clock): measures the run itself'
accepts src/net/x.cc 'const auto now = loop.now(); timer.expires_at(steady_clock::time_point(x));'
accepts src/net/x.cc '// TODO(#12): later'
accepts src/net/x.cc 'auto r = shard.random(); auto s = group.time(0);'
accepts src/net/x.h '#pragma once'
exit "$failed"
