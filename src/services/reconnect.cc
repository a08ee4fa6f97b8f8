#include "services/reconnect.h"

#include <algorithm>

namespace sluice::services {

Duration reconnect_delay(const ReconnectPolicy& policy, std::uint32_t attempt, Random& random) {
  const auto most = static_cast<double>(policy.delay_most.count());
  double delay = std::min(most, static_cast<double>(policy.delay.count()));
  for (std::uint32_t i = 1; i < attempt && delay < most; ++i) {
    delay = std::min(most, delay * policy.multiplier);
  }
  constexpr std::int64_t kMillionth = 1'000'000;
  const auto chance = static_cast<double>(random.between(-kMillionth, kMillionth)) / kMillionth;
  return Duration(static_cast<std::int64_t>(std::clamp(delay * (1.0 + 0.1 * chance), 0.0, most)));
}

bool RestartIntensity::allow(MonoTime now) {
  while (!losses_.empty() && now - losses_.front() >= kWithin) losses_.pop_front();
  if (losses_.size() >= kMost) return false;
  losses_.push_back(now);
  return true;
}

}  // namespace sluice::services
