#pragma once
// How a Task waits for something that calls back: an Asio operation, above all.
//   const auto found = co_await await_callback<Found>(loop, [&](std::function<void(Found)> done) {
//     resolver.async_resolve(host, port, [done](auto ec, auto results) { done({ec, results}); });
//   });
// The other way round, from an Asio handler into a Task, is TaskGroup::spawn: on the shard's thread
// it may be called anywhere.
//
// Shard-confined: the callback must come on the shard's thread. If the waiting frame is destroyed
// first, the callback finds nobody and its value is dropped; cancel the operation itself where that
// matters.

#include <functional>
#include <memory>
#include <optional>

#include "runtime/loop.h"

namespace sluice::net {

template <class T>
class CallbackWait : Ready {
 public:
  using Done = std::function<void(T)>;

  CallbackWait(Loop& loop, std::function<void(Done)> start)
      : loop_(loop), start_(std::move(start)) {}
  ~CallbackWait() {
    if (state_ != nullptr) state_->waiter = nullptr;
  }
  CallbackWait(const CallbackWait&) = delete;
  CallbackWait& operator=(const CallbackWait&) = delete;

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    handle = h;
    // Shared, because the operation and the frame end independently.
    state_ = std::make_shared<State>();
    state_->waiter = this;
    start_([state = state_](T value) {
      if (state->waiter == nullptr || state->value) return;
      state->value.emplace(std::move(value));
      state->waiter->loop_.post(*state->waiter);
    });
  }
  T await_resume() { return std::move(*state_->value); }

 private:
  struct State {
    CallbackWait* waiter = nullptr;
    std::optional<T> value;
  };
  Loop& loop_;
  std::function<void(Done)> start_;
  std::shared_ptr<State> state_;
};

/// The first call of done counts; it may come before start returns.
template <class T>
CallbackWait<T> await_callback(Loop& loop, std::function<void(std::function<void(T)>)> start) {
  return CallbackWait<T>(loop, std::move(start));
}

}  // namespace sluice::net
