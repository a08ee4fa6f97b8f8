#include "base/token_bucket.h"

#include <algorithm>

namespace sluice {

std::optional<Duration> TokenBucket::take(MonoTime now) {
  const double passed = std::chrono::duration<double>(now - at_).count();
  at_ = now;
  level_ = std::min(burst_, level_ + passed * per_second_);
  if (level_ >= 1) {
    level_ -= 1;
    return std::nullopt;
  }
  return std::chrono::ceil<Duration>(std::chrono::duration<double>((1 - level_) / per_second_));
}

}  // namespace sluice
