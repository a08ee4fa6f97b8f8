#include "gateway/clock_guard.h"

#include <algorithm>

#include "base/mutant.h"

namespace sluice {
namespace {
using std::chrono::milliseconds;
// A clock that is disciplined moves by less than this between two looks; more is a jump.
constexpr milliseconds kCorrection{5'000};
constexpr milliseconds kAheadMax{7 * 24 * 3'600'000LL};
}  // namespace

ClockGuard::ClockGuard(Loop& loop, UnixMillis newest)
    : loop_(loop), base_mono_(loop.now()), base_wall_(loop.wall()), last_(base_wall_) {
  if (newest.ms == 0) return;
  if (base_wall_ < newest) start_trust_ = Trust::kBehind;
  if (base_wall_ > newest + kAheadMax) start_trust_ = Trust::kAhead;
  // Time goes on from where the store saw it last: what waits for a moment still knows how long,
  // and nothing written meanwhile makes a wrong clock look right at the next start.
  if (start_trust_ != Trust::kGood) base_wall_ = last_ = newest;
}

void ClockGuard::look() {
  if (mutant(Mutant::kExpireByJump)) {
    start_trust_ = Trust::kGood;
    last_ = loop_.wall();
    return;
  }
  const MonoTime mono = loop_.now();
  const auto elapsed = std::chrono::duration_cast<milliseconds>(mono - base_mono_);
  const UnixMillis expected = base_wall_ + elapsed;
  const UnixMillis wall = loop_.wall();
  const milliseconds off = wall - expected;
  jumped_ = off > kCorrection || off < -kCorrection;
  if (start_trust_ != Trust::kGood && wall >= expected && wall < expected + kAheadMax) {
    jumped_ = false;  // a clock that was set right after the start
  }
  if (!jumped_) {
    base_mono_ = mono;
    base_wall_ = wall;
    start_trust_ = Trust::kGood;
  }
  last_ = std::max(last_, jumped_ ? expected : wall);
}

UnixMillis ClockGuard::now() {
  look();
  return last_;
}

ClockGuard::Trust ClockGuard::trust() {
  look();
  if (start_trust_ == Trust::kGood && jumped_) return Trust::kJumped;
  return start_trust_;
}

void ClockGuard::accept() {
  base_mono_ = loop_.now();
  base_wall_ = last_ = loop_.wall();
  start_trust_ = Trust::kGood;
  jumped_ = false;
}

std::string_view to_string(ClockGuard::Trust trust) {
  switch (trust) {
    case ClockGuard::Trust::kGood:
      return "good";
    case ClockGuard::Trust::kBehind:
      return "behind";
    case ClockGuard::Trust::kAhead:
      return "ahead";
    case ClockGuard::Trust::kJumped:
      return "jumped";
  }
  return "good";
}

}  // namespace sluice
