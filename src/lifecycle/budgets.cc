#include "lifecycle/budgets.h"

#include <algorithm>

namespace sluice::lifecycle {

Budgets budgets_of(const ShutdownOptions& options) {
  const Duration whole = options.shutdown_timeout;
  const Duration wanted = kForceBudget + kHooksBudget + kStoreBudget;
  const Duration reserved = std::min(wanted, whole / 2);
  const auto share = [&](Duration of) {
    return Duration(static_cast<std::int64_t>(
        static_cast<double>(of.count()) *
        (static_cast<double>(reserved.count()) / static_cast<double>(wanted.count()))));
  };
  Budgets out{};
  out.hooks = share(kHooksBudget);
  out.store = share(kStoreBudget);
  out.force = reserved - out.hooks - out.store;
  const Duration rest = whole - reserved;
  out.lame_duck = std::min(options.pre_stop_delay, rest);
  out.drain = std::min(options.drain_timeout, rest - out.lame_duck);
  return out;
}

}  // namespace sluice::lifecycle
