#pragma once
// Goodbyes to those who follow conversations: each is asked to end when nothing runs in its
// conversation any more (on a restart at once, because what runs there goes on in the successor),
// one after another, with a hint of its own when to come back, so that they do not all return in
// the same moment.
//
// Shard-confined.

#include "lifecycle/in_flight.h"
#include "runtime/task.h"

namespace sluice::lifecycle {

/// How often somebody is asked: a crowd is spread over the window, a few are through at once.
inline constexpr Duration kPartingTick = std::chrono::milliseconds(5);
inline constexpr Duration kPartingWindowMost = std::chrono::seconds(10);
/// On a stop they come back after this at the earliest, spread over the time behind it.
inline constexpr std::chrono::milliseconds kComeBackAfter{1'000};
inline constexpr std::chrono::milliseconds kComeBackSpread{4'000};
/// On a restart somebody else serves already.
inline constexpr std::chrono::milliseconds kRestartSpread{2'000};

/// All of them at once, because somebody else serves in a moment: they follow no more, and say
/// goodbye spread over the time behind this, when the successor is likely to serve. Nobody waits.
inline constexpr std::chrono::milliseconds kGoodbyeAfter{50};
inline constexpr std::chrono::milliseconds kGoodbyeSpread{450};
void send_to_successor(InFlight& in_flight);

/// Until nobody follows any more. window: for all of them together.
Task<void> part_with_followers(InFlight* in_flight, bool restart, Duration window);

}  // namespace sluice::lifecycle
