#pragma once
// When a lost service is tried again, and when no more. Values; time is the caller's.

#include <cstdint>
#include <deque>

#include "base/random.h"
#include "base/time.h"

namespace sluice::services {

struct ReconnectPolicy {
  bool enabled = true;
  std::uint32_t attempts_most = 5;  // in a row without success; 0: for ever
  Duration delay = std::chrono::seconds(1);
  Duration delay_most = std::chrono::seconds(30);
  double multiplier = 2.0;
  friend bool operator==(const ReconnectPolicy&, const ReconnectPolicy&) = default;
};

/// The wait before the attempt, from 1: delay, then longer by the multiplier, never above
/// delay_most, and up to a tenth more or less by chance, so that many services that were lost
/// together do not come back together.
Duration reconnect_delay(const ReconnectPolicy& policy, std::uint32_t attempt, Random& random);

/// How often a service may be lost: one that is started well and dies again and again makes its
/// attempts succeed, and would go on for ever.
class RestartIntensity {
 public:
  static constexpr std::size_t kMost = 5;
  static constexpr Duration kWithin = std::chrono::seconds(60);

  /// Counts one; false if that is one too many.
  bool allow(MonoTime now);
  void forget() { losses_.clear(); }

 private:
  std::deque<MonoTime> losses_;  // at most kMost
};

}  // namespace sluice::services
