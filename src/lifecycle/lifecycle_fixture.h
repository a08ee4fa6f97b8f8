#pragma once
// Simulated time for tests of this module.

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lifecycle/coordinator.h"
#include "observe/memory_logger.h"
#include "runtime/task_group.h"

namespace sluice::lifecycle {

class LifecycleTest : public ::testing::Test {
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
  static Task<void> keep(Task<StopReport> task, std::optional<StopReport>* out) {
    *out = co_await std::move(task);
  }
  /// Lets the coordinator wait for its stop.
  void run(ShutdownSteps& steps) {
    coordinator_.ready();
    tasks_.spawn("stop", keep(coordinator_.run(&steps), &report_));
  }
  std::vector<std::string> events() const {
    std::vector<std::string> out;
    for (const std::string& line : log_.lines()) {
      const std::size_t from = line.find(' ') + 1;
      out.push_back(line.substr(from, line.find(' ', from) - from));
    }
    return out;
  }

  ManualClock clock_;
  Loop loop_{clock_, 1};
  MemoryLogger log_;
  InFlight in_flight_{loop_};
  ShutdownCoordinator coordinator_{loop_, log_, in_flight_};
  ShutdownSteps no_steps_;
  std::optional<StopReport> report_;
  TaskGroup tasks_{loop_};
};

}  // namespace sluice::lifecycle
