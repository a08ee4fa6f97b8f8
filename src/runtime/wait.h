#pragma once
// What a coroutine of a shard can wait for: a moment, an event, a value, and each of them with a
// deadline. All are leaves that undo themselves when the waiting frame is destroyed.
// Shard-confined.

#include <optional>
#include <utility>

#include "runtime/loop.h"
#include "runtime/task.h"

namespace sluice {

/// co_await yield(loop): goes to the back of the ready list.
class Yield : Ready {
 public:
  explicit Yield(Loop& loop) : loop_(loop) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    handle = h;
    loop_.post(*this);
  }
  void await_resume() {}

 private:
  Loop& loop_;
};
inline Yield yield(Loop& loop) { return Yield(loop); }

/// co_await sleep_until(loop, when). A moment that has passed still yields once.
class Sleep : Timer {
 public:
  Sleep(Loop& loop, MonoTime when) : loop_(loop), until_(when) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    handle_ = h;
    loop_.arm(*this, until_);
  }
  void await_resume() {}

 private:
  void fire() override { handle_.resume(); }
  Loop& loop_;
  MonoTime until_;
  std::coroutine_handle<> handle_;
};
inline Sleep sleep_until(Loop& loop, MonoTime when) { return Sleep(loop, when); }
inline Sleep sleep_for(Loop& loop, Duration d) { return Sleep(loop, loop.now() + d); }

/// An event that stays set until reset. Any number may wait. The event must outlive its waiters, or
/// they must have been destroyed; destroying it with live waiters leaves them waiting for ever.
class Event {
 public:
  explicit Event(Loop& loop) : loop_(loop) {}

  bool is_set() const { return set_; }
  void reset() { set_ = false; }
  /// Wakes all who wait, through the ready list.
  void set() {
    set_ = true;
    wake_all();
  }
  /// Wakes all who wait now, without staying set.
  void pulse() { wake_all(); }

  /// co_await event.wait(): returns at once if set.
  auto wait() { return Wait(*this, MonoTime::max()); }
  /// co_await event.wait_until(t): true if set or pulsed in time, false at the deadline.
  auto wait_until(MonoTime deadline) { return Wait(*this, deadline); }

  class Wait : Ready, Timer {
   public:
    Wait(Event& event, MonoTime deadline) : event_(event), deadline_(deadline) {}
    bool await_ready() const { return event_.set_; }
    void await_suspend(std::coroutine_handle<> h) {
      handle = h;
      event_.waiting_.push_back(*this);
      if (deadline_ != MonoTime::max()) event_.loop_.arm(*this, deadline_);
    }
    bool await_resume() const { return !timed_out_; }

   private:
    friend class Event;
    void fire() override {
      timed_out_ = true;
      unlink();
      handle.resume();
    }
    Event& event_;
    MonoTime deadline_;
    bool timed_out_ = false;
  };

 private:
  void wake_all() {
    while (!waiting_.empty()) {
      Wait& waiter = static_cast<Wait&>(waiting_.pop_front());
      waiter.disarm();
      loop_.post(waiter);
    }
  }
  Loop& loop_;
  List<Ready> waiting_;
  bool set_ = false;
};

/// A value that is set once and awaited by one. The setter must not outlive it: own it beside the
/// waiter, or hold it by shared_ptr.
template <class T>
class Completion {
 public:
  explicit Completion(Loop& loop) : event_(loop) {}
  bool is_set() const { return value_.has_value(); }
  void set(T value) {
    SLUICE_ASSERT(!value_);
    value_.emplace(std::move(value));
    event_.set();
  }
  Task<T> get() {
    co_await event_.wait();
    co_return std::move(*value_);
  }
  /// nullopt at the deadline.
  Task<std::optional<T>> get_until(MonoTime deadline) {
    const bool in_time = co_await event_.wait_until(deadline);
    if (!in_time) co_return std::nullopt;
    co_return std::optional<T>(std::move(*value_));
  }

 private:
  Event event_;
  std::optional<T> value_;
};

/// A counted resource; waiters are served in order.
class Semaphore {
 public:
  Semaphore(Loop& loop, std::size_t count) : free_(count), changed_(loop) {}
  bool try_acquire() {
    if (free_ == 0) return false;
    --free_;
    return true;
  }
  Task<void> acquire() {
    while (!try_acquire()) co_await changed_.wait();
  }
  void release() {
    ++free_;
    changed_.pulse();
  }

 private:
  std::size_t free_;
  Event changed_;
};

namespace detail {
/// The child of run_until: reports its result and wakes the parent. A root: nothing continues from
/// it.
template <class T>
Task<void> report_to(Task<T> child, std::optional<T>* result, std::exception_ptr* failure,
                     Event* done) {
  try {
    result->emplace(co_await std::move(child));
  } catch (...) {
    *failure = std::current_exception();
  }
  done->set();
}
}  // namespace detail

/// Starts a task as a root of its own; the caller keeps it alive and destroys it to cancel.
class Running {
 public:
  explicit Running(Task<void> task) : task_(std::move(task)) {}
  void start() {
    auto awaiter = std::move(task_).operator co_await();
    awaiter.handle.resume();
  }

 private:
  Task<void> task_;
};

/// How a task that could be cut short ended.
enum class Ended : unsigned char { kDone, kDeadline, kStopped };

template <class T>
struct Outcome {
  Ended ended = Ended::kDone;
  std::optional<T> value;  // set iff kDone
};

/// Runs task until it is done, the deadline passes, or stop is set; in the last two cases its
/// frames are destroyed before this returns. Exceptions of the task come through.
template <class T>
Task<Outcome<T>> run_until(Loop& loop, Task<T> task, MonoTime deadline, Event* stop = nullptr) {
  Outcome<T> outcome;
  std::exception_ptr failure;
  Event wake(loop);
  // The stop event is watched by a coroutine of its own, so that one wait covers both.
  struct Watch {
    static Task<void> until_stopped(Event* stop_event, Event* wake_event) {
      co_await stop_event->wait();
      wake_event->set();
    }
  };
  Running child(detail::report_to(std::move(task), &outcome.value, &failure, &wake));
  std::optional<Running> watch;
  if (stop != nullptr) watch.emplace(Watch::until_stopped(stop, &wake));
  child.start();
  if (!wake.is_set() && watch) watch->start();
  const bool in_time = co_await wake.wait_until(deadline);
  if (failure) std::rethrow_exception(failure);
  if (!outcome.value) outcome.ended = in_time ? Ended::kStopped : Ended::kDeadline;
  co_return outcome;
}

}  // namespace sluice
