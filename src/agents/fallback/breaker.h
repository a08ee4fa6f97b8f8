#pragma once
// Breaker: whether a backend is worth a call now. After a number of failures without a success in
// between it opens: nobody is called for a while. Then one call tries; its outcome closes the
// breaker or opens it again. Shard-confined; time is the caller's.

#include <cstdint>

#include "base/time.h"

namespace sluice {

class Breaker {
 public:
  enum class State : std::uint8_t { kClosed, kOpen, kTrying };

  /// failures: how many in a row open it. rest: how long it stays open.
  Breaker(std::uint32_t failures, Duration rest) : failures_max_(failures), rest_(rest) {}

  /// Whether a call may begin; if so, exactly one of the three below follows.
  bool allow(MonoTime now) {
    if (state_ == State::kClosed) return true;
    if (state_ == State::kTrying || now < open_until_) return false;
    state_ = State::kTrying;
    return true;
  }
  void succeeded() {
    state_ = State::kClosed;
    failures_ = 0;
  }
  void failed(MonoTime now) {
    // One that fails when it was tried has not recovered: no need to count again.
    if (state_ != State::kTrying && ++failures_ < failures_max_) return;
    state_ = State::kOpen;
    failures_ = 0;
    open_until_ = now + rest_;
  }
  /// The call was broken off from our side: it says nothing about the backend.
  void abandoned() {
    if (state_ == State::kTrying) state_ = State::kOpen;
  }

  State state() const { return state_; }
  /// Of an open one: when it lets somebody try.
  MonoTime open_until() const { return open_until_; }

 private:
  std::uint32_t failures_max_;
  Duration rest_;
  State state_ = State::kClosed;
  std::uint32_t failures_ = 0;
  MonoTime open_until_;
};

}  // namespace sluice
