#pragma once
// Signals: SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1 and SIGUSR2 as calls on the shard, not in a
// handler.

#include <functional>
#include <memory>

#include "runtime/shard.h"

namespace sluice::app {

/// From now on a SIGHUP waits until there are Signals: it would end a process that has hardly
/// begun. Before there is another thread.
void hold_signals();

/// Shard-confined; from its construction until its destruction these signals do nothing else.
class Signals {
 public:
  Signals(Shard& shard, std::function<void(int signal)> on_signal);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the wait that Asio holds
};

}  // namespace sluice::app
