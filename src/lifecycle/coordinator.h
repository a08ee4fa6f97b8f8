#pragma once
// ShutdownCoordinator: the one state machine of the process's end.
//
//   STARTING → READY → LAME_DUCK → DRAINING → [FORCING] → CLOSING → STOPPED
//
// Somebody initiates it (a signal, an operator); run() then walks through the phases and has the
// daemon do its part in each (ShutdownSteps). Draining is event-driven: it is over in the step in
// which the last guard goes. Every phase has its budget (budgets.h), and the end always comes:
// whatever hangs, completion is told to all who wait, also to those who ask late.
//
// One per process, shard-confined. Cancelled by destruction, which is a crash.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lifecycle/budgets.h"
#include "lifecycle/hooks.h"
#include "lifecycle/in_flight.h"
#include "observe/log.h"
#include "runtime/task.h"
#include "runtime/wait.h"

namespace sluice::lifecycle {

enum class Phase : std::uint8_t {
  kStarting,  // nobody is served yet
  kReady,     // all is served
  kLameDuck,  // all is served, but we say that we go: unready, "Connection: close"
  kDraining,  // nothing new; what is under way may end
  kForcing,   // what has not ended is cut off
  kClosing,   // background tasks, hooks, the store
  kStopped,
};
std::string_view to_string(Phase phase);

/// What was cut off.
struct ForcedWork {
  Work work;
  std::string request_id;
  std::int64_t conversation = 0;
  std::chrono::milliseconds elapsed{0};
};

struct StopReport {
  std::size_t forced = 0;           // pieces of work that were cut off
  std::vector<ForcedWork> records;  // of these, the longest under way; at most kRecordsMost
  std::size_t connections_cut = 0;  // that did not go in time, besides
  std::size_t hooks_failed = 0;
  bool hurried = false;
  Result<void> closed = Result<void>();  // the store
  Duration took{0};
  bool clean() const { return forced == 0 && connections_cut == 0; }
};

/// What the daemon does in each phase. Every method of its own is optional.
class ShutdownSteps {
 public:
  virtual ~ShutdownSteps() = default;
  /// kLameDuck has begun.
  virtual void lame_duck() {}
  /// kDraining has begun: nothing new is accepted, in this very step.
  virtual void stop_accepting() {}
  /// Helps what is under way to end. Destroyed when nothing is left, at the deadline, or when it is
  /// to be forced.
  virtual Task<void> drain(MonoTime until);
  /// What is still under way ends now: turns above all.
  virtual void cut_off() {}
  /// Closes connections; those that are still busy at the deadline are cut off and counted.
  virtual Task<std::size_t> close_connections(MonoTime until);
  virtual void stop_background() {}
  /// After the hooks. Always called.
  virtual Task<Result<void>> close_store();
  /// The very last: what the end itself has changed, such as metrics.
  virtual void finish() {}
};

class ShutdownCoordinator {
 public:
  static constexpr std::size_t kRecordsMost = 1000;
  static constexpr int kProgressLinesMost = 30;  // once a second
  enum class Why : std::uint8_t { kShutdown, kRestart };

  ShutdownCoordinator(Loop& loop, Logger& log, InFlight& in_flight, ShutdownOptions options = {});
  ShutdownCoordinator(const ShutdownCoordinator&) = delete;
  ShutdownCoordinator& operator=(const ShutdownCoordinator&) = delete;

  Hooks& hooks() { return hooks_; }
  /// Everything is served from now on. Only while it starts.
  void ready();

  /// Begins the end. The first call counts, later ones change nothing and return false.
  bool initiate(Why why = Why::kShutdown);
  /// A second signal: no more waiting for anybody. Before initiate() it is remembered.
  void hurry() { hurry_.set(); }
  /// Waits for initiate(), and then walks through all phases. Once; it always completes.
  Task<StopReport> run(ShutdownSteps* steps);

  Phase phase() const { return phase_; }
  bool is_ready() const { return phase_ == Phase::kReady; }
  bool is_shutting_down() const { return initiated_.is_set(); }
  bool is_restart() const { return why_ == Why::kRestart; }
  bool is_accepting() const { return in_flight_.accepting(); }
  std::size_t in_flight() const { return in_flight_.count(); }
  Duration drain_timeout() const { return options_.drain_timeout; }
  const ShutdownOptions& options() const { return options_; }
  /// A reload may change them until the stop begins.
  void set_options(ShutdownOptions options);
  /// How much longer the stop may take: what a client should wait before it comes back.
  Duration remaining() const;

  // Sticky: they stay set, so that whoever subscribes late is told at once.
  Event& initiated() { return initiated_; }
  /// The drain is over, by itself or by force: background tasks end.
  Event& cancelled() { return cancelled_; }
  Event& completed() { return completed_; }
  Event& hurried() { return hurry_; }
  /// Called in each step from one phase to the next; one listener.
  void on_phase(std::function<void(Phase)> listener) { listener_ = std::move(listener); }

 private:
  void enter(Phase phase);
  Task<void> drain(ShutdownSteps* steps, MonoTime until);
  Task<void> drained(ShutdownSteps* steps, MonoTime until);
  Task<void> tell_progress();
  void force(ShutdownSteps& steps, StopReport& report);

  Loop& loop_;
  Logger& log_;
  InFlight& in_flight_;
  ShutdownOptions options_;
  Hooks hooks_;
  Phase phase_ = Phase::kStarting;
  Why why_ = Why::kShutdown;
  MonoTime end_;
  Event initiated_;
  Event hurry_;
  Event cancelled_;
  Event completed_;
  std::function<void(Phase)> listener_;
};

}  // namespace sluice::lifecycle
