#pragma once
// TokenBucket: so many at once, and so many a second after that. A value; time is the caller's.

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

 private:
  double per_second_;
  double burst_;
  double level_;
  MonoTime at_;
};

}  // namespace sluice
