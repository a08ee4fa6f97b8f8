#pragma once
// Timers: the deadlines of one shard in an intrusive pairing heap. Arming is O(1) and allocates
// nothing, disarming too for all but the earliest, so that every await can afford a deadline. The
// shard has one timer of the operating system, set to next().

#include "base/time.h"

namespace sluice {

/// A deadline that calls fire() once. The destructor disarms. Shard-confined.
class Timer {
 public:
  Timer() = default;
  virtual ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return heap_ != nullptr; }
  MonoTime when() const { return when_; }
  void disarm();

 protected:
  /// Called by Timers::advance, disarmed already; may arm again and may destroy any timer.
  virtual void fire() = 0;

 private:
  friend class Timers;
  class Timers* heap_ = nullptr;
  MonoTime when_;
  std::uint64_t order_ = 0;  // equal times fire in the order of arming
  Timer* child_ = nullptr;
  Timer* sibling_ = nullptr;
  Timer* back_ = nullptr;  // previous sibling, or the parent for a first child
};

class Timers {
 public:
  Timers() = default;
  ~Timers();
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  /// Arms or moves. The timer must outlive neither the heap nor be armed in another one.
  void arm(Timer& timer, MonoTime when);
  /// The earliest deadline, MonoTime::max() if there is none.
  MonoTime next() const { return root_ == nullptr ? MonoTime::max() : root_->when_; }
  /// Fires what is due at now, in order. Returns how many.
  std::size_t advance(MonoTime now);
  bool empty() const { return root_ == nullptr; }

 private:
  friend class Timer;
  static bool before(const Timer& a, const Timer& b) {
    return a.when_ != b.when_ ? a.when_ < b.when_ : a.order_ < b.order_;
  }
  static Timer* meld(Timer* a, Timer* b);
  static Timer* merge_pairs(Timer* first);
  void remove(Timer& timer);

  Timer* root_ = nullptr;
  std::uint64_t armed_total_ = 0;
};

}  // namespace sluice
