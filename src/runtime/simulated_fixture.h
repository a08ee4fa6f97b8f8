#pragma once
// Simulated time for tests.

#include <algorithm>

#include <gtest/gtest.h>

#include "runtime/loop.h"

namespace sluice {

class SimulatedTest : public ::testing::Test {
 protected:
  class ManualClock : public Clock {
   public:
    MonoTime now() override { return now_; }
    UnixMillis wall() override { return UnixMillis{now_.ns / 1'000'000}; }
    MonoTime now_{1'000'000'000};
  };

  void settle() {
    while (loop_.has_ready()) loop_.run_one();
  }
  /// Every deadline on the way is met at its own time.
  void advance(Duration d) {
    const MonoTime end = clock_.now_ + d;
    settle();
    while (loop_.timers().next() <= end) {
      clock_.now_ = std::max(clock_.now_, loop_.timers().next());
      loop_.timers().advance(clock_.now_);
      settle();
    }
    clock_.now_ = end;
  }

  ManualClock clock_;
  Loop loop_{clock_, 1};
};

}  // namespace sluice
