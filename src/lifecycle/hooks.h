#pragma once
// Hooks: what is done at the end of a stop, when nothing is under way any more and the store is
// still open. The higher priority first, equal ones in the order of adding, one after another, each
// within its own limit. One that fails, throws or takes too long is told in the log by its name,
// and the next one runs.
//
// Shard-confined. Whatever a hook uses outlives it.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "observe/log.h"
#include "runtime/loop.h"
#include "runtime/task.h"
#include "runtime/wait.h"

namespace sluice::lifecycle {

inline constexpr int kStopServicesPriority = 200;
inline constexpr int kFlushMetricsPriority = 100;
inline constexpr int kSaveStatePriority = 50;
inline constexpr int kClearCachePriority = 0;
inline constexpr int kNotifyServicesPriority = -100;

struct Hook {
  std::string name;
  int priority = 0;
  Duration limit = std::chrono::seconds(1);
  std::function<Task<Result<void>>()> run;
};

class Hooks {
 public:
  Hooks(Loop& loop, Logger& log) : loop_(loop), log_(log) {}

  void add(Hook hook);
  std::vector<std::string> names() const;  // in the order in which they run

  /// Until all have run or the deadline has passed; stop_waiting, once set, cuts off the one that
  /// runs and those after it. Returns how many failed or were cut off.
  Task<std::size_t> run(MonoTime deadline, Event* stop_waiting);

 private:
  Loop& loop_;
  Logger& log_;
  std::vector<Hook> hooks_;
};

}  // namespace sluice::lifecycle
