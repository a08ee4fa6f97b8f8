#pragma once
// Loop: what a shard is, without a thread: a ready list of coroutines, timers, two clocks, a random
// source. Production drives it from Asio (shard.h), the simulation from a seed, which also chooses
// the order in which ready coroutines run.
//
// Thread: one; whoever drives it.

#include <coroutine>

#include "base/random.h"
#include "base/time.h"
#include "runtime/list.h"
#include "runtime/timers.h"

namespace sluice {

/// Where time comes from. Nothing else in the project asks the operating system for it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime now() = 0;
  virtual UnixMillis wall() = 0;
};

/// One coroutine that can go on. It lies in the awaiter, so posting allocates nothing, and takes
/// itself out of the list when the awaiting frame is destroyed.
struct Ready : ListNode {
  std::coroutine_handle<> handle;
};

class Loop {
 public:
  Loop(Clock& clock, std::uint64_t seed) : clock_(clock), random_(seed) {}
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// While ready coroutines run, the moment at which that began: a driver looks at the clock once a
  /// round (hold_time), not each of them.
  MonoTime now() { return holding_ ? held_now_ : clock_.now(); }
  UnixMillis wall() { return holding_ ? held_wall_ : clock_.wall(); }
  Random& random() { return random_; }
  Timers& timers() { return timers_; }

  /// Lets a coroutine go on, later, in the order of posting (or of the simulation's choice).
  void post(Ready& ready) {
    const bool was_idle = ready_.empty();
    ready_.push_back(ready);
    if (was_idle) wake();
  }
  void arm(Timer& timer, MonoTime when) {
    const MonoTime before = timers_.next();
    timers_.arm(timer, when);
    if (when < before) wake();
  }

  bool has_ready() const { return !ready_.empty(); }
  /// Resumes the first ready coroutine.
  void run_one() { ready_.pop_front().handle.resume(); }
  /// Resumes the one at the given place; how the simulation reorders. O(place).
  void run_one_at(std::uint64_t place) {
    Ready& chosen = ready_.at_wrapped(place);
    chosen.unlink();
    chosen.handle.resume();
  }
  /// Runs at most limit ready coroutines, what they post included. Returns how many ran.
  std::size_t run_ready(std::size_t limit) {
    std::size_t ran = 0;
    for (; ran < limit && has_ready(); ++ran) run_one();
    return ran;
  }

 protected:
  /// The ready list or the earliest deadline changed while the driver may be asleep.
  virtual void wake() {}
  /// For drivers: time stands still until release_time(). A round must be short.
  void hold_time() {
    held_now_ = clock_.now();
    held_wall_ = clock_.wall();
    holding_ = true;
  }
  void release_time() { holding_ = false; }

 private:
  Clock& clock_;
  MonoTime held_now_;
  UnixMillis held_wall_;
  bool holding_ = false;
  Random random_;
  Timers timers_;
  List<Ready> ready_;
};

}  // namespace sluice
