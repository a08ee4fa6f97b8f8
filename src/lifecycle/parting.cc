#include "lifecycle/parting.h"

#include <algorithm>
#include <unordered_set>

namespace sluice::lifecycle {
namespace {

using std::chrono::milliseconds;

Parting parting_for(Random& random, bool restart) {
  const milliseconds spread = restart ? kRestartSpread : kComeBackSpread;
  const auto more =
      static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(spread.count()) + 1));
  return {restart, (restart ? milliseconds(0) : kComeBackAfter) + milliseconds(more)};
}

/// Asks up to `most` whose conversations are quiet; on a restart any: their turns go on elsewhere.
/// Returns how many were asked.
std::size_t ask_some(InFlight& in_flight, bool restart, std::size_t most) {
  std::unordered_set<std::int64_t> busy;
  if (!restart) {
    in_flight.for_each([&](const Guard& guard) {
      if (guard.work() == Work::kTurn) busy.insert(guard.conversation());
    });
  }
  std::size_t asked = 0;
  in_flight.for_each([&](Guard& guard) {
    if (asked >= most || !guard.may_be_asked() || busy.contains(guard.conversation())) return;
    guard.ask_to_part(parting_for(in_flight.loop().random(), restart));
    ++asked;
  });
  return asked;
}

}  // namespace

Task<void> part_with_followers(InFlight* in_flight, bool restart, Duration window) {
  const Duration whole = std::clamp(window, kPartingTick, kPartingWindowMost);
  const auto ticks = static_cast<std::size_t>(whole / kPartingTick);
  const std::size_t each =
      std::max<std::size_t>(1, (in_flight->count(Work::kSocket) + ticks - 1) / ticks);
  while (in_flight->count(Work::kSocket) > 0) {
    if (ask_some(*in_flight, restart, each) > 0) {
      co_await sleep_for(in_flight->loop(), kPartingTick);
    } else {
      co_await in_flight->changed().wait();
    }
  }
}

}  // namespace sluice::lifecycle
