// One conversation, one lane (C5, C6, C10); the seed's gateway reordered 42 to 89 % of its replies
// with few conversations (W1).

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class OrderTest : public GatewayTest {
 protected:
  void take_one_to_nine_milliseconds() {
    agent_does(
        [this](const TurnRequest&) { return Act::slow(milliseconds(random_.between(1, 9))); });
  }
  /// Floods the conversations and counts replies that overtook an earlier one of theirs.
  int inversions(int conversations, int messages, bool paced) {
    take_one_to_nine_milliseconds();
    start();
    for (int i = 0; i < messages; ++i) {
      say(fmt::format("c{}", i % conversations), fmt::format("{}", i),
          fmt::format("p{}", i % conversations));
      if (paced) advance(std::chrono::microseconds(500));
    }
    run_until_rest();
    EXPECT_THAT(bot().tries, SizeIs(static_cast<std::size_t>(messages)));
    std::map<std::string, int> newest;
    int inverted = 0;
    for (const Platform::Try& t : bot().tries) {
      const int n = std::stoi(t.request.text.substr(3));
      int& last = newest.try_emplace(t.request.chat, -1).first->second;
      if (n < last) ++inverted;
      last = std::max(last, n);
    }
    return inverted;
  }
  InboundMessage numbered(const std::string& chat, std::int64_t order) {
    return numbered(chat, order, fmt::format("n{}", order));
  }
  InboundMessage numbered(const std::string& chat, std::int64_t order, const std::string& text) {
    InboundMessage m = message(chat, text);
    m.order = order;
    return m;
  }
  /// The turn that runs ends after a second; the next one waits for its message, which is no longer
  /// in memory after a restart. Nothing is written or read by itself from here on.
  void hold_the_next_turns_message() {
    hold_store_ = true;
    advance(seconds(1));
    store().write(store().queued());  // the first turn's end
    store().tell_one();
    run_until_idle();
    ASSERT_EQ(store().reads(), 1u) << "the second message, for its turn";
  }
  Random random_{42};
};

TEST_F(OrderTest, NothingIsInvertedInOneConversationWithJitteredTurns) {
  EXPECT_EQ(inversions(1, 500, false), 0);
}

TEST_F(OrderTest, NothingIsInvertedInEightConversationsWithJitteredTurns) {
  EXPECT_EQ(inversions(8, 800, false), 0);
}

TEST_F(OrderTest, NothingIsInvertedInFourConversationsAtAPaceOfTwoThousandASecond) {
  EXPECT_EQ(inversions(4, 800, true), 0);
}

TEST_F(OrderTest, NothingIsInvertedWhenSendsTakeDifferentTimesAndFail) {
  bot().takes = milliseconds(20);
  for (int i = 0; i < 60; ++i) {
    bot().next.push_back(i % 7 == 3
                             ? SendOutcome::of(SendOutcome::What::kNotSent, "connection refused")
                             : SendOutcome::sent());
  }
  start();
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    say("c", fmt::format("m{}", i));
    expected.push_back(fmt::format("re m{}", i));
  }
  run_until_rest();
  EXPECT_EQ(bot().taken(), expected);
}

TEST_F(OrderTest, DifferentConversationsRunSideBySide) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  for (int i = 0; i < 8; ++i) say(fmt::format("c{}", i), "hello");
  EXPECT_EQ(run_until_rest(), seconds(1));
}

TEST_F(OrderTest, ThreadsOfAChatAreConversationsOfTheirOwn) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  InboundMessage one = message("c", "one");
  one.thread = "t1";
  InboundMessage two = message("c", "two");
  two.thread = "t2";
  const Accepted first = say(one);
  const Accepted second = say(two);
  EXPECT_NE(first.lane, second.lane);
  EXPECT_EQ(run_until_rest(), seconds(1));
  EXPECT_EQ(bot().tries.front().request.thread, "t1");
}

TEST_F(OrderTest, OneTurnAtATimeInAConversation) {
  take_one_to_nine_milliseconds();
  start();
  for (int i = 0; i < 50; ++i) say("c", fmt::format("m{}", i));
  run_until_rest();
  EXPECT_EQ(agents_.most_running, 1u);
}

TEST_F(OrderTest, GapInThePlatformsOrderIsWaitedFor) {
  start();
  say(numbered("c", 1));
  say(numbered("c", 3));
  advance(milliseconds(100));
  EXPECT_THAT(agents_.texts(), ElementsAre("n1"));
  say(numbered("c", 2));
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("n1", "n2", "n3"));
}

TEST_F(OrderTest, GapIsGivenUpAfterTheWindowAndWhatComesLaterIsMarkedLate) {
  start();
  say(numbered("c", 1));
  say(numbered("c", 3));
  advance(milliseconds(299));
  EXPECT_THAT(agents_.texts(), ElementsAre("n1"));
  advance(milliseconds(1));
  EXPECT_THAT(agents_.texts(), ElementsAre("n1", "n3"));
  say(numbered("c", 2));
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("n1", "n3", "n2"));
  EXPECT_TRUE(agents_.calls.back().request.messages.front()->late);
  EXPECT_EQ(metric("sluice_messages_late_total"), 1);
}

TEST_F(OrderTest, MessagesThatArriveInTheWrongOrderRunInThePlatforms) {
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(50)); });
  start();
  say(numbered("c", 1));
  for (const int n : {5, 3, 2, 4}) say(numbered("c", n));
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("n1", "n2", "n3", "n4", "n5"));
}

TEST_F(OrderTest, MessagesOfOneBodyRunInItsOrder) {
  start();
  std::vector<InboundMessage> body;
  for (int i = 0; i < 5; ++i) body.push_back(message("c", fmt::format("m{}", i)));
  const Posted posted = post("bot", std::move(body));
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("m0", "m1", "m2", "m3", "m4"));
}

TEST_F(OrderTest, OrderOutlivesARestart) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  for (int i = 0; i < 5; ++i) say("c", fmt::format("m{}", i));
  kill();
  agent_does({});
  agents_.calls.clear();
  start();
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("m0", "m1", "m2", "m3", "m4"));
}

TEST_F(OrderTest, EveryAttemptSeesTheSameHistory) {
  agent_does([](const TurnRequest& request) {
    return request.text() == "second" && request.attempt == 1
               ? Act::fails(ErrorKind::kUnavailable, Retry::with_backoff())
               : Act{};
  });
  start();
  say("c", "first");
  say("c", "second");
  advance(milliseconds(1));
  say("c", "/status");  // writes into the log between the attempts
  run_until_rest();
  ASSERT_THAT(agents_.calls, SizeIs(3));
  for (const std::size_t call : {1, 2}) {
    std::vector<std::string> seen;
    for (const HistoryRow& row : agents_.calls[call].request.history) seen.push_back(row.text);
    EXPECT_THAT(seen, ElementsAre("first", "re first")) << "attempt " << call;
  }
}

TEST_F(OrderTest, SecondDeliveryOfAnEventIsADuplicateAndRunsNothing) {
  start();
  const InboundMessage event = message("c", "hello");
  const Accepted first = say(event);
  run_until_rest();
  const Accepted again = say(event);
  EXPECT_EQ(again.verdict, EventVerdict::kDuplicate);
  EXPECT_EQ(again.id, first.id);
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(OrderTest, DuplicateIsStillKnownAfterPowerIsLost) {
  start();
  const InboundMessage event = message("c", "hello");
  say(event);
  run_until_rest();
  lose_power();
  start();
  EXPECT_EQ(say(event).verdict, EventVerdict::kDuplicate);
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(OrderTest, SameIdWithAnotherTextFromAPlatformIsAnEventOfItsOwn) {
  start();
  InboundMessage event = message("c", "hello");
  say(event);
  event.text = "something else";
  EXPECT_EQ(say(event).verdict, EventVerdict::kNew);
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(2));
}

TEST_F(OrderTest, SameIdWithAnotherTextOnOurOwnFaceIsRefused) {
  bot().info.can.own_face = true;
  start();
  InboundMessage event = message("c", "hello");
  say(event);
  event.text = "something else";
  EXPECT_EQ(say(event).verdict, EventVerdict::kOtherContent);
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("hello"));
}

TEST_F(OrderTest, EditReplacesAWaitingMessageInItsPlace) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "runs");
  const InboundMessage waiting = message("c", "typo");
  say(waiting);
  say("c", "last");
  InboundMessage edit = waiting;
  edit.kind = EventKind::kEdit;
  edit.revision = "1";
  edit.text = "fixed";
  say(edit);
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("runs", "fixed", "last"));
}

TEST_F(OrderTest, DeleteWithdrawsAWaitingMessage) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "runs");
  InboundMessage waiting = message("c", "regretted");
  const Accepted accepted = say(waiting);
  waiting.kind = EventKind::kDelete;
  waiting.revision = "gone";
  say(waiting);
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("runs"));
  EXPECT_EQ(outcome(accepted.id), MessageOutcome::kWithdrawn);
}

TEST_F(OrderTest, EditOfAMessageThatHasRunIsATurnOfItsOwn) {
  start();
  InboundMessage event = message("c", "helo");
  say(event);
  run_until_rest();
  event.kind = EventKind::kEdit;
  event.revision = "1";
  event.text = "hello";
  say(event);
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("helo", "hello"));
}

TEST_F(OrderTest, CollectMakesOneTurnOfWhatGatheredAfterAQuietTime) {
  bot().account.mode = LaneMode::kCollect;
  start();
  say("c", "one");
  advance(seconds(1));
  say("c", "two");
  advance(milliseconds(1'499));
  EXPECT_THAT(agents_.calls, SizeIs(0));
  advance(milliseconds(1));
  ASSERT_THAT(agents_.calls, SizeIs(1));
  EXPECT_EQ(agents_.calls[0].request.text(), "one\ntwo");
  EXPECT_THAT(bot().taken(), ElementsAre("re one\ntwo"));
  EXPECT_TRUE(at_rest()) << "both are done in the turn's transaction";
}

TEST_F(OrderTest, CollectDoesNotWaitForSomebodyWhoNeverStops) {
  bot().account.mode = LaneMode::kCollect;
  start();
  for (int i = 0; i < 15; ++i) {
    say("c", fmt::format("m{}", i));
    advance(seconds(1));
  }
  ASSERT_THAT(agents_.calls, SizeIs(1));
  EXPECT_THAT(agents_.calls[0].request.messages, SizeIs(15));
}

TEST_F(OrderTest, InterruptStopsTheRunningTurnAndRunsTheNewest) {
  bot().account.mode = LaneMode::kInterrupt;
  agent_does([](const TurnRequest& request) {
    return request.text() == "long story" ? Act::hang({"Once upon a time"}) : Act{};
  });
  start();
  const Accepted first = say("c", "long story");
  advance(seconds(1));
  say("c", "never mind");
  run_until_rest();
  EXPECT_EQ(outcome(first.id), MessageOutcome::kStopped);
  EXPECT_THAT(bot().taken(), ElementsAre("Once upon a time\n[cut off]", "re never mind"));
}

// Found by the simulation, seed 802762.
TEST_F(OrderTest, LateMessageWhoseSuccessorHadNotBegunBeforeACrashTakesItsPlace) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "first");
  say(numbered("c", 2, "two"));
  restart();
  ASSERT_NO_FATAL_FAILURE(hold_the_next_turns_message());
  post(numbered("c", 1, "one"));
  run_until_idle();
  store().write(store().queued());
  restart();
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("first", "first", "one", "two"));
}

// Found by the simulation, seed 500675.
TEST_F(OrderTest, InterruptOfATurnBeforeItsFirstRowIsWrittenEndsIt) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "first");
  const Accepted second = say("c", "second");
  bot().account.mode = LaneMode::kInterrupt;
  restart();
  ASSERT_NO_FATAL_FAILURE(hold_the_next_turns_message());
  post(message("c", "third"));
  run_until_idle();
  store().write(store().queued());
  store().tell_one();
  run_until_idle();
  hold_store_ = false;
  run_until_rest();
  EXPECT_EQ(outcome(second.id), MessageOutcome::kStopped);
  EXPECT_FALSE(process_->storage_failed);
  EXPECT_THAT(agents_.texts(), ElementsAre("first", "first", "third"));
}

TEST_F(OrderTest, InterruptMergesNothingAcrossAGapThatMayStillClose) {
  bot().account.mode = LaneMode::kInterrupt;
  start();
  say(numbered("c", 1, "one"));
  run_until_rest();
  say(numbered("c", 4, "four"));  // waits for two and three
  say(numbered("c", 2, "two"));
  say(numbered("c", 3, "three"));
  run_until_rest();
  std::vector<std::string> heard;
  for (const auto& call : agents_.calls) heard.push_back(call.request.text());
  EXPECT_THAT(heard, ElementsAre("one", "two", "three\nfour"));
}

TEST_F(OrderTest, DuplicateCommandBesideAnEndingTurnLeavesTheLogWhole) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  const Accepted first = say("c", "first");
  run_until_rest();
  const InboundMessage command = message("c", "/status");
  say(command);
  say("c", "second");
  hold_store_ = true;
  const Posted again = post(command);  // its lines will never be written …
  run_until_idle();
  advance(seconds(1));  // … but the turn ends while nobody knows that yet
  hold_store_ = false;
  run_until_rest();
  EXPECT_EQ((**again)->front().verdict, EventVerdict::kDuplicate);
  EXPECT_THAT(history_texts(first.lane), ElementsAre("first", "re first", "/status",
                                                     HasSubstr("Idle"), "second", "re second"));
}

TEST_F(OrderTest, RepeatedSendBesideAnEndingTurnLeavesTheLogWhole) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  const Accepted first = say("c", "first");
  run_until_rest();
  await(gateway().send_to("bot", {"c", "", "news", ""}, "job"));
  say("c", "second");
  hold_store_ = true;
  const auto again = begin(gateway().send_to("bot", {"c", "", "news", ""}, "job"));
  run_until_idle();
  advance(seconds(1));
  hold_store_ = false;
  run_until_rest();
  EXPECT_EQ((**again)->verdict, EventVerdict::kDuplicate);
  EXPECT_THAT(history_texts(first.lane),
              ElementsAre("first", "re first", "news", "second", "re second"));
}

}  // namespace
}  // namespace sluice::test
