#include "lifecycle/in_flight.h"

#include <vector>

#include "lifecycle/lifecycle_fixture.h"

namespace sluice::lifecycle {
namespace {

using std::chrono::milliseconds;

class InFlightTest : public LifecycleTest {
 protected:
  std::vector<std::string> ids() {
    std::vector<std::string> out;
    in_flight_.for_each([&](const Guard& guard) { out.push_back(guard.request_id()); });
    return out;
  }
};

TEST_F(InFlightTest, Item4AcquireCountsAndTheGuardsEndUncounts) {
  EXPECT_EQ(in_flight_.count(), 0u);
  EXPECT_TRUE(in_flight_.accepting());
  auto first = in_flight_.acquire(Work::kRequest);
  ASSERT_TRUE(first);
  EXPECT_EQ(in_flight_.count(), 1u);
  auto second = in_flight_.acquire(Work::kRequest);
  EXPECT_EQ(in_flight_.count(), 2u);
  first.reset();
  EXPECT_EQ(in_flight_.count(), 1u);
  second.reset();
  EXPECT_EQ(in_flight_.count(), 0u);
}

TEST_F(InFlightTest, Item5TenGuardsAreTenAndNoneAreNone) {
  std::vector<Guard> guards;
  for (int i = 0; i < 10; ++i) guards.push_back(*in_flight_.acquire(Work::kTurn));
  EXPECT_EQ(in_flight_.count(), 10u);
  EXPECT_EQ(in_flight_.count(Work::kTurn), 10u);
  guards.clear();
  EXPECT_EQ(in_flight_.count(), 0u);
}

TEST_F(InFlightTest, Item6NothingIsAcquiredOnceNothingIsAccepted) {
  in_flight_.stop_accepting();
  EXPECT_FALSE(in_flight_.accepting());
  EXPECT_FALSE(in_flight_.acquire(Work::kRequest));
  EXPECT_EQ(in_flight_.count(), 0u);
}

Task<void> acquire_at_some_time(InFlight* in_flight, int rounds, std::uint64_t seed, int* late) {
  Random random(seed);
  for (int i = 0; i < rounds; ++i) {
    for (std::uint64_t n = random.below(4); n > 0; --n) co_await yield(in_flight->loop());
    const bool open = in_flight->accepting();
    auto guard = in_flight->acquire(Work::kRequest);
    if (guard.has_value() != open) ++*late;
    for (std::uint64_t n = random.below(4); n > 0; --n) co_await yield(in_flight->loop());
  }
}

Task<void> flip_after(InFlight* in_flight, int yields) {
  for (int i = 0; i < yields; ++i) co_await yield(in_flight->loop());
  in_flight->stop_accepting();
}

// The seed undoes an increment that raced with the flip; here nothing runs in between.
TEST_F(InFlightTest, Item7NoGuardIsIssuedAfterTheFlipWhateverRunsBesideIt) {
  constexpr int kTasks = 64;
  int late = 0;
  for (int i = 0; i < kTasks; ++i) {
    tasks_.spawn("acquire",
                 acquire_at_some_time(&in_flight_, 100, static_cast<std::uint64_t>(i) + 1, &late));
  }
  tasks_.spawn("flip", flip_after(&in_flight_, 150));
  settle();
  EXPECT_EQ(late, 0);
  EXPECT_EQ(in_flight_.count(), 0u);
  EXPECT_FALSE(in_flight_.accepting());
}

TEST_F(InFlightTest, WorkThatWasAcceptedGoesOnEvenThen) {
  in_flight_.stop_accepting();
  const Guard turn = in_flight_.hold(Work::kTurn);
  EXPECT_EQ(in_flight_.count(Work::kTurn), 1u);
}

TEST_F(InFlightTest, AGuardKnowsItsRequestItsConversationAndItsStart) {
  const MonoTime began = loop_.now();
  Guard guard = *in_flight_.acquire(Work::kRequest, "r1", 7);
  advance(milliseconds(30));
  guard.set_request_id("r2");
  EXPECT_EQ(guard.request_id(), "r2");
  EXPECT_EQ(guard.conversation(), 7);
  EXPECT_EQ(guard.since(), began);
}

TEST_F(InFlightTest, AGuardThatMovesKeepsItsPlace) {
  Guard a = *in_flight_.acquire(Work::kRequest, "a");
  const Guard b = *in_flight_.acquire(Work::kRequest, "b");
  const Guard moved = std::move(a);
  EXPECT_EQ(ids(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(in_flight_.count(), 2u);
  EXPECT_FALSE(a.held());
}

class Follows : public Parts {
 public:
  void part(const Parting& parting) override { asked.push_back(parting); }
  std::vector<Parting> asked;
};

TEST_F(InFlightTest, ARequestThatFollowsCountsAsASocketAndIsAskedToPartOnce) {
  Follows who;
  Guard guard = *in_flight_.acquire(Work::kRequest);
  guard.follow(3, who);
  EXPECT_EQ(in_flight_.count(Work::kRequest), 0u);
  EXPECT_EQ(in_flight_.count(Work::kSocket), 1u);
  EXPECT_TRUE(guard.ask_to_part({false, milliseconds(5)}));
  EXPECT_FALSE(guard.ask_to_part({false, milliseconds(5)}));
  EXPECT_EQ(who.asked.size(), 1u);
  guard.stop_following();
  EXPECT_EQ(in_flight_.count(Work::kRequest), 1u);
}

}  // namespace
}  // namespace sluice::lifecycle
