// What becomes of a part (C18 to C23, C30; seed 001: W6, W7).

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using What = SendOutcome::What;

class DeliveryTest : public GatewayTest {
 protected:
  static constexpr std::string_view kLabel = "(This may be a duplicate.)\n";
  static SendOutcome limited(milliseconds wait, bool whole_account) {
    SendOutcome outcome = SendOutcome::of(What::kRateLimited, "slow down");
    outcome.wait = wait;
    outcome.whole_account = whole_account;
    return outcome;
  }
  /// Three parts: "aaa…", "bbb…", "ccc…".
  void answer_in_three_parts() {
    bot().info.can.part_bytes_max = 100;
    agent_does([](const TurnRequest& request) {
      if (request.text() != "long") return Act{};
      return Act::says(std::string(100, 'a') + std::string(100, 'b') + std::string(100, 'c'));
    });
  }
  void crash_while_sending() {
    bot().hangs = true;
    start();
    say("c", "hello");
    ASSERT_THAT(bot().tries, SizeIs(1));
    bot().hangs = false;
    restart();
  }
};

TEST_F(DeliveryTest, OneFailedSendDoesNotLoseTheReply) {
  bot().next.push_back(SendOutcome::of(What::kNotSent, "connection refused"));
  start();
  say("c", "hello");
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
  EXPECT_THAT(bot().tries, SizeIs(2));
}

TEST_F(DeliveryTest, EveryReplyArrivesAlthoughOneSendInAHundredFails) {
  constexpr int kMessages = 1'000;
  for (int i = 0; i < kMessages; ++i) {
    bot().next.push_back(i % 100 == 7 ? SendOutcome::of(What::kNotSent, "reset")
                                      : SendOutcome::sent());
  }
  start();
  for (int i = 0; i < kMessages; ++i) say(fmt::format("c{}", i % 64), fmt::format("m{}", i));
  run_until_rest();
  EXPECT_THAT(bot().taken(), SizeIs(kMessages));
}

TEST_F(DeliveryTest, SendThatKeepsFailingIsTriedEverMoreSeldomUntilItExpires) {
  bot().otherwise = SendOutcome::of(What::kNotSent, "connection refused");
  start();
  const Accepted asked = say("c", "hello");
  advance(hours(1));
  const std::size_t tries = bot().tries.size();
  EXPECT_GT(tries, 10u);
  EXPECT_LT(tries, 40u);
  advance(hours(25));
  EXPECT_EQ(life(asked.id).parts.front().settled->outcome, PartOutcome::kExpired);
}

TEST_F(DeliveryTest, ChannelThatThrowsIsAnUnknownOutcome) {
  bot().throws = true;
  start();
  say("c", "hello");
  bot().throws = false;
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre(std::string(kLabel) + "re hello"));
}

TEST_F(DeliveryTest, ChannelThatThrowsANumberIsAnUnknownOutcomeToo) {
  bot().throws_a_number = true;
  start();
  say("c", "hello");
  bot().throws_a_number = false;
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre(std::string(kLabel) + "re hello"));
}

TEST_F(DeliveryTest, SendWithoutAnAnswerIsUnknownAfterItsTimeout) {
  bot().hangs = true;
  start();
  say("c", "hello");
  advance(milliseconds(29'999));
  EXPECT_THAT(bot().tries, SizeIs(1));
  bot().hangs = false;
  advance(seconds(2));
  EXPECT_THAT(bot().taken(), ElementsAre(std::string(kLabel) + "re hello"));
  EXPECT_EQ(metric("sluice_parts_possible_duplicate_total"), 1);
}

TEST_F(DeliveryTest, OutcomeUnknownTwiceIsADeadPart) {
  bot().otherwise = SendOutcome::of(What::kUnknown, "reset while waiting for the answer");
  start();
  const Accepted asked = say("c", "hello");
  advance(hours(1));
  EXPECT_THAT(bot().tries, SizeIs(4)) << "the reply and a notice, each once more, labelled";
  EXPECT_TRUE(bot().tries[1].request.possible_duplicate);
  EXPECT_EQ(life(asked.id).parts.front().settled->outcome, PartOutcome::kDead);
}

TEST_F(DeliveryTest, PlatformsKeyMakesTheRepetitionUnlabelled) {
  bot().info.can.idempotency_window = hours(1);
  crash_while_sending();
  run_until_rest();
  ASSERT_THAT(bot().tries, SizeIs(2));
  EXPECT_EQ(bot().tries[1].request.text, "re hello");
  EXPECT_EQ(bot().tries[1].request.idempotency_key, bot().tries[0].request.idempotency_key);
}

TEST_F(DeliveryTest, PlatformsKeyIsNotTrustedBeyondItsWindow) {
  bot().info.can.idempotency_window = seconds(60);
  bot().hangs = true;
  start();
  say("c", "hello");
  kill();
  clock_.mono = clock_.mono + seconds(61);
  bot().hangs = false;
  start();
  run_until_rest();
  EXPECT_EQ(bot().taken().back(), std::string(kLabel) + "re hello");
}

TEST_F(DeliveryTest, PartFoundOnThePlatformIsNotSentAgain) {
  bot().info.can.can_look_back = true;
  bot().finds = true;
  crash_while_sending();
  run_until_rest();
  EXPECT_THAT(bot().tries, SizeIs(1));
  EXPECT_THAT(bot().looked_for, SizeIs(1));
}

TEST_F(DeliveryTest, PartNotFoundOnThePlatformIsSentOnceMoreLabelled) {
  bot().info.can.can_look_back = true;
  crash_while_sending();
  run_until_rest();
  EXPECT_THAT(bot().looked_for, SizeIs(1));
  EXPECT_THAT(bot().taken(), ElementsAre(std::string(kLabel) + "re hello"));
}

TEST_F(DeliveryTest, LookBackThatThrowsEndsInOneMoreLabelledSend) {
  bot().info.can.can_look_back = true;
  bot().find_throws = true;
  crash_while_sending();
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre(std::string(kLabel) + "re hello"));
}

TEST_F(DeliveryTest, PlainChannelSendsOnceMoreLabelled) {
  crash_while_sending();
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre(std::string(kLabel) + "re hello"));
}

TEST_F(DeliveryTest, SecondCrashWhileSendingTheLabelledOneEndsIt) {
  crash_while_sending();
  bot().hangs = true;
  restart();  // the labelled send hangs when this process dies, too
  bot().hangs = false;
  restart();
  run_until_rest();
  int copies = 0;
  for (const Platform::Try& t : bot().tries) copies += t.request.kind == PartKind::kReply ? 1 : 0;
  EXPECT_EQ(copies, 2);
}

TEST_F(DeliveryTest, NothingIsSentWithoutAClaimOnDisk) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "hello");
  hold_store_ = true;
  advance(seconds(2));
  EXPECT_THAT(bot().tries, IsEmpty());
  kill();  // neither the turn's end nor the claim was written
  start();
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re hello")) << "not labelled: it can't have left";
}

TEST_F(DeliveryTest, RefusedPartTakesTheRestOfItsReplyAndTellsOnce) {
  answer_in_three_parts();
  bot().next = {SendOutcome::sent(), SendOutcome::of(What::kRefused, "message is too rude")};
  start();
  const Accepted asked = say("c", "long");
  run_until_rest();
  ASSERT_THAT(bot().taken(), SizeIs(2));
  EXPECT_EQ(bot().taken()[0], std::string(100, 'a'));
  EXPECT_THAT(bot().taken()[1], HasSubstr("could not be delivered"));
  EXPECT_THAT(bot().tries, SizeIs(3)) << "the third part was never tried";
  EXPECT_THAT(dead_letters(), SizeIs(2));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kAnswered);
}

TEST_F(DeliveryTest, RefusedReplyDoesNotHoldTheNext) {
  bot().next = {SendOutcome::of(What::kRefused, "no")};
  start();
  say("c", "one");
  say("c", "two");
  run_until_rest();
  ASSERT_THAT(bot().taken(), SizeIs(2));
  EXPECT_THAT(bot().taken()[0], HasSubstr("could not be delivered"));
  EXPECT_EQ(bot().taken()[1], "re two");
}

TEST_F(DeliveryTest, RefusedNoticeIsOnlyLogged) {
  bot().otherwise = SendOutcome::of(What::kRefused, "blocked by the person");
  start();
  say("c", "hello");
  run_until_rest();
  EXPECT_THAT(bot().tries, SizeIs(2));
  EXPECT_EQ(log().count("part_dead"), 2u);
}

TEST_F(DeliveryTest, RefusedFormatIsTriedOnceAsPlainText) {
  bot().next = {SendOutcome::of(What::kRefusedFormat, "can't parse entities")};
  start();
  say("c", "hello");
  run_until_rest();
  ASSERT_THAT(bot().tries, SizeIs(2));
  EXPECT_FALSE(bot().tries[0].request.plain);
  EXPECT_TRUE(bot().tries[1].request.plain);
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
}

TEST_F(DeliveryTest, FormatRefusedAsPlainTextTooIsRefusedForGood) {
  bot().next = {SendOutcome::of(What::kRefusedFormat, "can't parse"),
                SendOutcome::of(What::kRefusedFormat, "can't parse")};
  start();
  say("c", "hello");
  run_until_rest();
  ASSERT_THAT(bot().taken(), SizeIs(1));
  EXPECT_THAT(bot().taken()[0], HasSubstr("could not be delivered"));
}

TEST_F(DeliveryTest, FloodWaitOfAChatPausesThatChatExactly) {
  bot().next = {limited(seconds(40), false)};
  start();
  say("c", "one");
  say("d", "two", "bob");
  EXPECT_THAT(bot().taken(), ElementsAre("re two"));
  advance(milliseconds(39'999));
  EXPECT_THAT(bot().taken(), SizeIs(1));
  advance(milliseconds(1));
  EXPECT_THAT(bot().taken(), ElementsAre("re two", "re one"));
}

TEST_F(DeliveryTest, FloodWaitOfAnAccountPausesAllItsChats) {
  bot().next = {limited(seconds(40), true)};
  start();
  say("c", "one");
  say("d", "two", "bob");
  advance(milliseconds(39'999));
  EXPECT_THAT(bot().taken(), IsEmpty());
  advance(seconds(1));
  EXPECT_THAT(bot().taken(), SizeIs(2));
}

TEST_F(DeliveryTest, FloodWaitsOutliveARestart) {
  for (const bool whole_account : {false, true}) {
    bot().next = {limited(seconds(40), whole_account)};
    bot().tries.clear();
    if (process_ == nullptr) start();
    say("c", "hello");
    advance(seconds(10));
    restart();
    advance(milliseconds(29'999));
    EXPECT_THAT(bot().taken(), IsEmpty());
    advance(milliseconds(1));
    EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
  }
}

TEST_F(DeliveryTest, FloodWaitCostsNoTryAndLosesNoText) {
  for (int i = 0; i < 50; ++i) bot().next.push_back(limited(seconds(30), false));
  start();
  say("c", "hello");
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
}

TEST_F(DeliveryTest, RefusedAccountParksGoesOnReceivingAndDeliversWhenResumed) {
  bot().next = {SendOutcome::of(What::kAccountRefused, "token revoked")};
  start();
  say("c", "one");
  say("d", "two");
  EXPECT_THAT(bot().taken(), IsEmpty());
  const auto status = gateway().status().accounts.front();
  EXPECT_EQ(status.state, AccountState::kParked);
  EXPECT_EQ(status.reason, "token revoked");
  advance(hours(48));
  EXPECT_THAT(bot().taken(), IsEmpty());
  restart();
  advance(seconds(1));
  EXPECT_THAT(bot().taken(), IsEmpty()) << "still parked after a restart";
  EXPECT_TRUE(await(gateway().resume("bot")));
  run_until_rest();
  EXPECT_THAT(bot().taken(), ::testing::UnorderedElementsAre("re one", "re two"))
      << "time parked does not count";
}

TEST_F(DeliveryTest, PausedAccountHoldsItsSendsUntilResumed) {
  start();
  EXPECT_TRUE(await(gateway().pause("bot", "maintenance")));
  say("c", "hello");
  advance(hours(1));
  EXPECT_THAT(bot().tries, IsEmpty());
  EXPECT_TRUE(await(gateway().resume("bot")));
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
  EXPECT_EQ(await(gateway().pause("nobody", "")).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(await(gateway().resume("nobody")).error().kind(), ErrorKind::kNotFound);
}

TEST_F(DeliveryTest, AccountThatSomebodyElseUsesStopsSendingAndGoesOnReceiving) {
  start();
  host("bot").conflict("another poller");
  run_until_idle();
  EXPECT_TRUE(say("c", "hello").id);
  advance(hours(1));
  EXPECT_THAT(bot().tries, IsEmpty());
  EXPECT_EQ(gateway().status().accounts.front().state, AccountState::kConflict);
}

TEST_F(DeliveryTest, DeadPartIsSentWhenRedriven) {
  bot().next = {SendOutcome::of(What::kRefused, "not now")};
  start();
  say("c", "hello");
  run_until_rest();
  ASSERT_THAT(dead_letters(), SizeIs(1));
  EXPECT_TRUE(dead_letters()[0].part);
  EXPECT_TRUE(await(gateway().redrive(dead_letters()[0].id)));
  run_until_rest();
  EXPECT_EQ(bot().taken().back(), "re hello");
  EXPECT_THAT(dead_letters(), IsEmpty());
}

TEST_F(DeliveryTest, ControlAnswersOvertakePartsNotYetClaimed) {
  answer_in_three_parts();
  bot().takes = seconds(1);
  start();
  say("c", "long");
  say("c", "/status");
  run_until_rest();
  ASSERT_THAT(bot().taken(), SizeIs(4));
  EXPECT_EQ(bot().tries[0].request.text, std::string(100, 'a'));
  EXPECT_EQ(bot().tries[1].request.kind, PartKind::kAnswer);
  EXPECT_EQ(bot().tries[2].request.text, std::string(100, 'b'));
}

TEST_F(DeliveryTest, PartsOfAConversationLeaveOneAfterAnother) {
  answer_in_three_parts();
  bot().takes = seconds(1);
  start();
  say("c", "long");
  run_until_rest();
  ASSERT_THAT(bot().tries, SizeIs(3));
  for (const std::size_t n : {1, 2}) {
    EXPECT_GE(bot().tries[n].at - bot().tries[n - 1].at, Duration(seconds(1)));
    EXPECT_EQ(bot().tries[n].request.n, n);
  }
}

TEST_F(DeliveryTest, LaneRunsAtMostTwoTurnsAheadOfItsDelivery) {
  bot().hangs = true;
  options_.send_timeout = hours(1);
  start();
  for (int i = 0; i < 6; ++i) say("c", fmt::format("m{}", i));
  advance(seconds(60));
  EXPECT_THAT(agents_.calls, SizeIs(2));
}

TEST_F(DeliveryTest, PullChannelNeedsNoSends) {
  bot().info.can.pull = true;
  start();
  const Accepted asked = say("c", "hello");
  run_until_rest();
  EXPECT_THAT(bot().tries, IsEmpty());
  EXPECT_THAT(history_texts(asked.lane), ElementsAre("hello", "re hello"));
}

TEST_F(DeliveryTest, SendsOfAnAccountAreBounded) {
  options_.sends_per_account = 4;
  bot().takes = seconds(1);
  start();
  for (int i = 0; i < 20; ++i) {
    say(fmt::format("c{}", i), fmt::format("m{}", i), fmt::format("p{}", i));
  }
  advance(milliseconds(500));
  EXPECT_THAT(bot().tries, SizeIs(4));
  run_until_rest();
  EXPECT_THAT(bot().taken(), SizeIs(20));
}

}  // namespace
}  // namespace sluice::test
