#pragma once
// ClockGuard: the wall clock as far as it can be trusted (C29). Within a run it follows the
// monotonic clock; small corrections of the system's clock are taken over, jumps are not: they
// neither expire nor release anything. At a start the clock is compared with the newest stamp in
// the store.

#include <string>

#include "base/time.h"
#include "runtime/loop.h"

namespace sluice {

class ClockGuard {
 public:
  enum class Trust : std::uint8_t {
    kGood,
    kBehind,  // earlier than what the store has seen
    kAhead,   // more than seven days later
    kJumped,  // left the monotonic clock while we ran
  };

  /// newest: the newest stamp in the store, or that an operator has accepted; 0 for an empty store.
  ClockGuard(Loop& loop, UnixMillis newest);

  /// Wall time for stamps and ages. Never goes back within a run.
  UnixMillis now();
  Trust trust();
  /// Whether ages mean anything: expiry and the pruning of keys stand still otherwise.
  bool may_expire() { return trust() == Trust::kGood; }
  /// An operator says that the system's clock is right: it is taken as it is from now on.
  void accept();

 private:
  void look();
  Loop& loop_;
  MonoTime base_mono_;
  UnixMillis base_wall_;
  UnixMillis last_;
  Trust start_trust_ = Trust::kGood;
  bool jumped_ = false;
};

std::string_view to_string(ClockGuard::Trust trust);

}  // namespace sluice
