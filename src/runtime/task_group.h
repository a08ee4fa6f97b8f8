#pragma once
// TaskGroup: the tasks that a component has started and owns. None outlives it. There is no other
// way to start a task that nobody awaits: a detached one would swallow its errors and outlive what
// it uses.

#include <cstddef>
#include <memory>
#include <string_view>

#include "runtime/list.h"
#include "runtime/loop.h"
#include "runtime/task.h"
#include "runtime/wait.h"

namespace sluice {

/// Shard-confined. The destructor destroys what still runs. It must not run inside one of its own
/// tasks.
class TaskGroup {
 public:
  explicit TaskGroup(Loop& loop) : loop_(loop), changed_(loop) {}
  ~TaskGroup() { cancel(); }
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts the task now: it runs until its first wait before spawn returns. An exception that
  /// leaves it is a broken invariant and ends the process with the task's name. The name must
  /// outlive the task.
  void spawn(std::string_view name, Task<void> task);

  /// Destroys all frames. Not from inside one of them.
  void cancel();

  /// Waits until no task is left; at the deadline returns how many still run.
  Task<std::size_t> join(MonoTime deadline);

  std::size_t size() const { return size_; }
  Loop& loop() { return loop_; }

 private:
  struct Root;
  void finished(Root& root);

  Loop& loop_;
  Event changed_;
  List<Root> roots_;
  std::size_t size_ = 0;
};

}  // namespace sluice
