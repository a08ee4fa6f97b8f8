// Expiry is by age and visible (C24); clocks may jump (C29).

#include "gateway/clock_guard.h"
#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Trust = ClockGuard::Trust;

constexpr std::int64_t kHour = 3'600'000;

class ExpiryTest : public GatewayTest {
 protected:
  /// The machine is off for that long.
  void sleep_off(Duration d) {
    kill();
    clock_.mono = clock_.mono + d;
    start();
  }
  InboundMessage sent_ago(const std::string& chat, milliseconds age) {
    InboundMessage event = message(chat, fmt::format("{} h old", age / hours(1)));
    event.sent_at = UnixMillis{clock_.wall().ms - age.count()};
    return event;
  }
};

TEST_F(ExpiryTest, MessageOlderThanADayByItsPlatformExpiresWithANotice) {
  start();
  const Accepted old = say(sent_ago("c", hours(25)));
  run_until_rest();
  EXPECT_EQ(outcome(old.id), MessageOutcome::kExpired);
  EXPECT_THAT(agents_.calls, IsEmpty());
  ASSERT_THAT(bot().taken(), SizeIs(1));
  EXPECT_THAT(bot().taken()[0], HasSubstr("expired"));
}

TEST_F(ExpiryTest, MessageUnderADayOldRuns) {
  start();
  say(sent_ago("c", hours(23)));
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(ExpiryTest, WhatExpiredWhileWeWereDownIsToldOnceALane) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("c", "runs");
  for (int i = 0; i < 5; ++i) say("c", fmt::format("m{}", i));
  agent_does({});
  sleep_off(hours(30));
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("runs", "runs")) << "the interrupted one runs again";
  int notices = 0;
  for (const std::string& text : bot().taken()) notices += text.find("expired") != text.npos;
  EXPECT_EQ(notices, 1);
}

TEST_F(ExpiryTest, ReplyThatCouldNotLeaveForADayExpiresWithOneNotice) {
  bot().otherwise = SendOutcome::of(SendOutcome::What::kNotSent, "connection refused");
  start();
  say("c", "one");
  say("c", "two");
  advance(hours(25));
  bot().otherwise = SendOutcome::sent();
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre(HasSubstr("expired")));
}

TEST_F(ExpiryTest, TimeThatAnAccountWasHeldDoesNotCount) {
  start();
  EXPECT_TRUE(await(gateway().pause("bot", "holiday")));
  say("c", "hello");
  advance(hours(72));
  restart();
  advance(hours(72));
  EXPECT_TRUE(await(gateway().resume("bot")));
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
}

TEST_F(ExpiryTest, JumpOfTheClockExpiresNothing) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(10)); });
  start();
  say("c", "runs");
  say("c", "waits");
  clock_.offset_ms += 100 * kHour;
  EXPECT_EQ(gateway().status().clock, "jumped");
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re runs", "re waits"));
}

TEST_F(ExpiryTest, JumpOfTheClockReleasesNoFloodWaitAndDelaysNone) {
  for (const std::int64_t jump : {100 * kHour, -100 * kHour}) {
    SendOutcome limited = SendOutcome::of(SendOutcome::What::kRateLimited, "slow down");
    limited.wait = seconds(60);
    bot().next = {limited};
    bot().tries.clear();
    if (process_ == nullptr) start();
    say("c", "hello");
    clock_.offset_ms += jump;
    advance(seconds(59));
    EXPECT_THAT(bot().taken(), IsEmpty());
    advance(seconds(1));
    EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
  }
}

TEST_F(ExpiryTest, JumpOfTheClockMovesNoTimeout) {
  agents_.known[0].timeout = seconds(20);
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("c", "hello");
  clock_.offset_ms -= 50 * kHour;
  advance(milliseconds(19'999));
  EXPECT_THAT(bot().taken(), IsEmpty());
  advance(milliseconds(1));
  EXPECT_THAT(bot().taken(), SizeIs(1));
}

TEST_F(ExpiryTest, ClockFarAheadAtAStartExpiresNothingUntilAnOperatorAcceptsIt) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("c", "runs");
  say("c", "waits");
  kill();
  agent_does({});
  clock_.offset_ms += 8 * 24 * kHour;
  start();
  EXPECT_EQ(gateway().status().clock, "ahead");
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re runs", "re waits"));
  EXPECT_TRUE(await(gateway().accept_clock()));
  EXPECT_EQ(gateway().status().clock, "good");
  restart();
  EXPECT_EQ(gateway().status().clock, "good") << "accepted once and for all";
}

TEST_F(ExpiryTest, ClockBehindTheStoreExpiresNothingAndIsReported) {
  start();
  say("c", "hello");
  run_until_rest();
  kill();
  clock_.offset_ms -= 48 * kHour;
  start();
  EXPECT_EQ(gateway().status().clock, "behind");
  say(sent_ago("c", hours(25)));
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(2));
}

class ClockGuardTest : public ::testing::Test {
 protected:
  void pass(Duration d) { clock_.mono = clock_.mono + d; }
  ManualClock clock_;
  Loop loop_{clock_, 1};
};

TEST_F(ClockGuardTest, FollowsTheWallClockWhileItIsSteady) {
  ClockGuard guard(loop_, UnixMillis{});
  pass(hours(5));
  EXPECT_EQ(guard.now(), clock_.wall());
  EXPECT_EQ(guard.trust(), Trust::kGood);
}

TEST_F(ClockGuardTest, TakesSmallCorrectionsOver) {
  ClockGuard guard(loop_, UnixMillis{});
  pass(seconds(60));
  clock_.offset_ms += 3'000;
  EXPECT_EQ(guard.now(), clock_.wall());
  EXPECT_TRUE(guard.may_expire());
}

TEST_F(ClockGuardTest, NeverGoesBackWithinARun) {
  ClockGuard guard(loop_, UnixMillis{});
  const UnixMillis before = guard.now();
  clock_.offset_ms -= 3'000;
  EXPECT_EQ(guard.now(), before);
}

TEST_F(ClockGuardTest, GoesOnAtItsOwnPaceAfterAJump) {
  for (const std::int64_t jump : {10 * kHour, -20 * kHour}) {
    ClockGuard guard(loop_, UnixMillis{});
    const UnixMillis before = guard.now();
    clock_.offset_ms += jump;
    pass(seconds(60));
    EXPECT_EQ(guard.now(), before + milliseconds(60'000));
    EXPECT_EQ(guard.trust(), Trust::kJumped);
    EXPECT_FALSE(guard.may_expire());
  }
}

TEST_F(ClockGuardTest, IsGoodAgainOnceTheJumpIsUndone) {
  ClockGuard guard(loop_, UnixMillis{});
  clock_.offset_ms += 10 * kHour;
  EXPECT_EQ(guard.trust(), Trust::kJumped);
  clock_.offset_ms -= 10 * kHour;
  EXPECT_EQ(guard.trust(), Trust::kGood);
}

TEST_F(ClockGuardTest, AcceptsAJumpWhenAnOperatorSaysSo) {
  ClockGuard guard(loop_, UnixMillis{});
  clock_.offset_ms += 10 * kHour;
  guard.accept();
  EXPECT_EQ(guard.trust(), Trust::kGood);
  EXPECT_EQ(guard.now(), clock_.wall());
}

TEST_F(ClockGuardTest, SevenDaysAfterTheNewestStampIsStillGood) {
  const UnixMillis wall = clock_.wall();
  EXPECT_EQ(ClockGuard(loop_, UnixMillis{wall.ms - 7 * 24 * kHour}).trust(), Trust::kGood);
  EXPECT_EQ(ClockGuard(loop_, UnixMillis{wall.ms - 7 * 24 * kHour - 1}).trust(), Trust::kAhead);
  EXPECT_EQ(ClockGuard(loop_, UnixMillis{wall.ms}).trust(), Trust::kGood);
}

TEST_F(ClockGuardTest, BehindTheNewestStampByMoreThanACorrectionIsNotTrusted) {
  const UnixMillis wall = clock_.wall();
  EXPECT_EQ(ClockGuard(loop_, UnixMillis{wall.ms + 5'000}).trust(), Trust::kGood);
  EXPECT_EQ(ClockGuard(loop_, UnixMillis{wall.ms + 5'001}).trust(), Trust::kBehind);
}

TEST_F(ClockGuardTest, ClockThatWasBehindIsTrustedOnceItIsSetRight) {
  const UnixMillis newest{clock_.wall().ms + 48 * kHour};
  ClockGuard guard(loop_, newest);
  EXPECT_EQ(guard.now(), newest);
  pass(seconds(60));
  clock_.offset_ms += 49 * kHour;
  EXPECT_EQ(guard.trust(), Trust::kGood);
  EXPECT_EQ(guard.now(), clock_.wall());
}

}  // namespace
}  // namespace sluice::test
