#pragma once
// TokenBucket: so many at once, and so many a second after that. A value; time is the caller's.

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace sluice {

class TokenBucket {
 public:
  TokenBucket(double per_second, std::uint32_t burst, MonoTime now)
      : per_second_(per_second), burst_(burst), level_(burst), at_(now) {}
  /// nullopt: taken; else how long until there is another.
  std::optional<Duration> take(MonoTime now);

  /// How full it was when last looked at.
  double level() const { return level_; }
  MonoTime at() const { return at_; }
  /// Goes on from where another one was; never fuller than it may be.
  void go_on_from(double level, MonoTime at) {
    level_ = std::clamp(level, 0.0, burst_);
    at_ = at;
  }

 private:
  double per_second_;
  double burst_;
  double level_;
  MonoTime at_;
};

}  // namespace sluice
