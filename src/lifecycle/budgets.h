#pragma once
// Budgets: how the time of a stop is divided. The end of it (hooks, and closing the store) is
// reserved, so that it always takes place: what is under way gets what is left. Pure.

#include "base/time.h"

namespace sluice::lifecycle {

inline constexpr Duration kForceBudget = std::chrono::seconds(2);
inline constexpr Duration kHooksBudget = std::chrono::seconds(3);
inline constexpr Duration kStoreBudget = std::chrono::seconds(2);

struct ShutdownOptions {
  /// For what is under way to end by itself.
  Duration drain_timeout = std::chrono::seconds(30);
  /// For all of the stop.
  Duration shutdown_timeout = std::chrono::seconds(30);
  /// Not ready any more, and everything still served: until load balancers have heard of it.
  Duration pre_stop_delay = Duration(0);
};

/// They add up to shutdown_timeout at most. In a short stop the reserved ones shrink too: together
/// they never take more than half of it.
struct Budgets {
  Duration lame_duck;
  Duration drain;  // drain_timeout, or what is left of the whole
  Duration force;
  Duration hooks;
  Duration store;
};
Budgets budgets_of(const ShutdownOptions& options);

}  // namespace sluice::lifecycle
