#pragma once
// Announcer: what systemd (or whoever started us and listens) is told of the process's life.
// No library: each message is one datagram, and a failure is nobody's business.
//
// Shard-confined. Protocol: sd_notify(3), systemd 252 (2022).

#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/loop.h"
#include "runtime/task.h"
#include "runtime/wait.h"

namespace sluice::lifecycle {

/// The operating system, as this module needs it; filled by app/.
class System {
 public:
  virtual ~System() = default;
  /// To $NOTIFY_SOCKET; nothing if there is none.
  virtual void notify(std::string_view state) = 0;
  /// How often we must be heard of ($WATCHDOG_USEC, if it is meant for this process).
  virtual std::optional<Duration> watchdog() = 0;
  virtual std::int64_t process_id() = 0;
};

class Announcer {
 public:
  /// systemd waits that much longer with each message of a stop, which comes again within half of
  /// it.
  static constexpr Duration kExtension = std::chrono::seconds(10);

  Announcer(Loop& loop, System& system) : loop_(loop), system_(system) {}

  void ready();
  /// Another process takes our place.
  void succeeded_by(std::int64_t process);
  void reloading();
  void reloaded();
  void stopping();
  /// Until it is destroyed: tells that we live, twice in the time that was asked for. A shard that
  /// hangs tells nothing, and is killed.
  Task<void> tell_alive();
  /// From a stop's beginning until `over` is set: asks for more time, so that the stop ends by its
  /// own budgets and not by systemd's. Not after the deadline: what hangs then shall be killed.
  Task<void> ask_for_time(Event* over, MonoTime deadline);

 private:
  Loop& loop_;
  System& system_;
};

}  // namespace sluice::lifecycle
