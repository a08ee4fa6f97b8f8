#include "lifecycle/parting.h"

#include <algorithm>
#include <unordered_set>

namespace sluice::lifecycle {
namespace {

using std::chrono::milliseconds;

milliseconds up_to(Random& random, milliseconds most) {
  return milliseconds(
      static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(most.count()) + 1)));
}

Parting parting_for(Random& random, bool restart) {
  if (restart) return {true, up_to(random, kRestartSpread), {}};
  return {false, kComeBackAfter + up_to(random, kComeBackSpread), {}};
}

Parting parting_for_successor(Random& random) {
  return {true, up_to(random, kRestartSpread), kGoodbyeAfter + up_to(random, kGoodbyeSpread)};
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

void send_to_successor(InFlight& in_flight) {
  in_flight.for_each([&](Guard& guard) {
    if (guard.may_be_asked()) guard.ask_to_part(parting_for_successor(in_flight.loop().random()));
  });
}

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
