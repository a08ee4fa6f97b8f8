#pragma once
// Reaper: knows every process that we started until it is gone: kills what is left of its group
// when the process itself ends, has the guardian kill what left the group, takes its exit status,
// and leaves no zombie.
//
// Shard-confined. Outlives the links of processes; what still lives when it is destroyed is killed
// and waited for.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/poller.h"
#include "observe/log.h"
#include "runtime/task_group.h"
#include "services/guardian.h"
#include "services/process_mark.h"
#include "services/spawn.h"

namespace sluice::services {

/// A process of ours, or what has become of it. Shared by its link and the reaper.
struct ChildProcess {
  explicit ChildProcess(Loop& loop) : ended(loop) {}
  std::int64_t id = 0;
  std::uint64_t mark = 0;  // process_mark.h
  Descriptor lock;         // let go when it has ended
  Event ended;             // set once it was waited for; its id means nothing then
  std::string how;         // "exit code 1", "signal 9"
  /// To the whole group; nothing if it has ended.
  void send(int signal) const;
};

class Reaper {
 public:
  Reaper(net::Poller& poller, Logger& log);
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  /// Before the first process.
  void prepare();
  /// For the next process.
  std::uint64_t next_mark() { return make_mark(++last_mark_); }
  /// handle is its pidfd.
  std::shared_ptr<ChildProcess> adopt(std::int64_t id, Descriptor handle, std::uint64_t mark);

 private:
  Task<void> wait(std::shared_ptr<ChildProcess> child, Descriptor handle);
  void bury(ChildProcess& child);

  net::Poller& poller_;
  Logger& log_;
  Guardian guardian_;
  std::uint32_t last_mark_ = 0;
  std::vector<std::shared_ptr<ChildProcess>> children_;
  TaskGroup tasks_;
};

}  // namespace sluice::services
