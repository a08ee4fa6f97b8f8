// One process hands over to the next: what people notice of it is nothing (C26, C27).

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class HandOverTest : public GatewayTest {
 protected:
  HandOverTest() { agents_.known = {agent("echo", OnInterrupt::kFail)}; }
};

TEST_F(HandOverTest, TurnRunsOnAndIsAnsweredThroughTheSuccessor) {
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(5'000)); });
  start();
  const Accepted asked = say("c", "hello");
  hand_over();
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kAnswered);
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
  EXPECT_THAT(agents_.calls, SizeIs(1));
  EXPECT_TRUE(earlier_->calls.empty()) << "the earlier process does not know that it may end";
}

TEST_F(HandOverTest, ConversationGoesOnInOrder) {
  agent_does([](const TurnRequest& request) {
    return request.text() == "one" ? Act::slow(milliseconds(5'000)) : Act{};
  });
  start();
  say("c", "one");
  say("c", "two");
  hand_over();
  say("c", "three");
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re one", "re two", "re three"));
}

TEST_F(HandOverTest, WhatWasStreamedBeforeAndAfterIsOneText) {
  agent_does([](const TurnRequest&) {
    Act act = Act::slow(milliseconds(5'000));
    act.streams = {"one ", "two "};
    act.hangs = true;
    return act;
  });
  start();
  const Accepted asked = say("c", "hello");
  advance(milliseconds(10));
  hand_over();
  ASSERT_EQ(gateway().feeds().streamed(asked.lane), "one two ");
  say("c", "/stop");
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
  EXPECT_THAT(bot().taken().back(), ::testing::HasSubstr("one two"));
}

TEST_F(HandOverTest, StopInTheSuccessorEndsTheCallInTheEarlierProcess) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  const Accepted asked = say("c", "hello");
  hand_over();
  ASSERT_FALSE(earlier_->calls.empty());
  say("c", "/stop");
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
  EXPECT_TRUE(earlier_->calls.empty());
}

TEST_F(HandOverTest, CallsOfAnEarlierProcessThatDiesAreInterrupted) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  const Accepted asked = say("c", "hello");
  hand_over();
  kill_earlier();
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kFailed);
  EXPECT_THAT(bot().taken(), SizeIs(1));
}

TEST_F(HandOverTest, CallLostWithAnEarlierProcessIsNotHandedOverAgain) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  const Accepted asked = say("c", "hello");
  hand_over();
  kill_earlier();
  hand_over();  // before the turn has heard of it
  EXPECT_TRUE(earlier_->calls.empty());
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kFailed);
  EXPECT_THAT(bot().taken(), SizeIs(1));
}

TEST_F(HandOverTest, CallOutlivesASuccessorThatDies) {
  agent_does([](const TurnRequest&) {
    Act act = Act::slow(milliseconds(5'000));
    act.streams = {"half"};
    return act;
  });
  start();
  const Accepted asked = say("c", "hello");
  advance(milliseconds(10));
  hand_over();
  advance(milliseconds(10));
  restart();
  EXPECT_EQ(gateway().feeds().streamed(asked.lane), "half");
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kAnswered);
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(HandOverTest, OutcomeThatIsNotOnDiskYetIsToldAgain) {
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(5'000)); });
  start();
  const Accepted asked = say("c", "hello");
  hand_over();
  run_until_idle();
  hold_store_ = true;
  advance(milliseconds(6'000));
  restart();
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kAnswered);
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(HandOverTest, AgentsLimitCountsTheCallsOfTheEarlierProcess) {
  agents_.known.front().max_turns = 1;
  agent_does([](const TurnRequest& request) {
    return request.text() == "long" ? Act::slow(milliseconds(5'000)) : Act{};
  });
  start();
  say("c", "long");
  hand_over();
  say("d", "short", "bob");
  advance(milliseconds(1'000));
  EXPECT_THAT(agents_.calls, SizeIs(1));
  EXPECT_THAT(bot().taken(), IsEmpty());
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re long", "re short"));
}

AgentReply full_reply() {
  AgentReply reply;
  reply.text = std::string("a\0b\xff", 4);
  reply.usage = {12, 34};
  reply.parked_for = milliseconds(5);
  reply.meta.emplace();
  reply.meta->session = "s";
  reply.meta->evaluation_passed = false;
  reply.meta->duration_ms = -1;
  return reply;
}

TEST(CallNewsTest, EveryKindSurvivesItsEncodingAndNoCutOfItIsTaken) {
  const Error error(ErrorKind::kTimeout, "late", ErrorSource::kPeer, Retry::after(milliseconds(7)));
  const std::vector<CallNews> all = {
      CallBegun{TurnId{1}, 2, milliseconds(3), {HistoryId{4}, "s", true, false}, true},
      CallDelta{TurnId{1}, 2, "text"}, CallEnded{TurnId{1}, 2, full_reply()},
      CallEnded{TurnId{1}, 2, error}, CallDropped{TurnId{1}, 2}};
  for (const CallNews& news : all) {
    const std::string bytes = encode(news);
    const Result<CallNews> back = decode_call_news(bytes);
    ASSERT_TRUE(back);
    EXPECT_EQ(encode(*back), bytes);
    EXPECT_EQ(back->index(), news.index());
    for (std::size_t n = 0; n < bytes.size(); ++n)
      EXPECT_FALSE(decode_call_news(std::string_view(bytes).substr(0, n))) << n;
    EXPECT_FALSE(decode_call_news(bytes + "x"));
  }
}

}  // namespace
}  // namespace sluice::test
