#pragma once
// For tests of this module, in simulated time.

#include <optional>
#include <string>
#include <vector>

#include "lifecycle/coordinator.h"
#include "observe/memory_logger.h"
#include "runtime/simulated_fixture.h"
#include "runtime/task_group.h"

namespace sluice::lifecycle {

class LifecycleTest : public SimulatedTest {
 protected:
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

  MemoryLogger log_;
  InFlight in_flight_{loop_};
  ShutdownCoordinator coordinator_{loop_, log_, in_flight_};
  ShutdownSteps no_steps_;
  std::optional<StopReport> report_;
  TaskGroup tasks_{loop_};
};

}  // namespace sluice::lifecycle
