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

TEST_F(HandOverTest, SendUnderWayEndsWhileMessagesAreAcceptedAndTheNextIsTheSuccessors) {
  bot().takes = milliseconds(3'000);
  start();
  say("c", "one");
  advance(milliseconds(100));
  const Begun<bool> rests = begin(gateway().rest_sends(loop().now() + milliseconds(5'000)));
  advance(milliseconds(100));
  say("c", "two");
  say("d", "three", "bob");
  advance(milliseconds(2'000));
  EXPECT_FALSE(*rests);
  EXPECT_THAT(bot().tries, SizeIs(1)) << "another send has begun";
  advance(milliseconds(1'000));
  EXPECT_TRUE(*rests);
  hand_over();
  run_until_rest();
  EXPECT_THAT(bot().taken("c"), ElementsAre("re one", "re two"));
  EXPECT_THAT(bot().taken("d"), ElementsAre("re three"));
}

TEST_F(HandOverTest, SendWithoutAnEndIsWaitedForNoLongerThanItMay) {
  bot().hangs = true;
  start();
  say("c", "one");
  const Begun<bool> rests = begin(gateway().rest_sends(loop().now() + milliseconds(5'000)));
  advance(milliseconds(4'999));
  EXPECT_FALSE(*rests);
  advance(milliseconds(1));
  EXPECT_TRUE(*rests);
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

/// What works for a turn in the earlier process asks an agent beside it.
class AskAfterHandOverTest : public HandOverTest {
 protected:
  AskAfterHandOverTest() {
    agents_.known.push_back(agent("helper"));
    bot().account.tokens_per_day = 100;
    (*helper_does_.result)->usage.output_tokens = 60;
    agent_does([this](const TurnRequest& request) {
      if (request.request_id == "aside") return helper_does_;
      turn_ = request;
      return Act::slow(milliseconds(5'000));
    });
    start();
    say("c", "hello");
    turn_.request_id = "aside";
    hand_over();
    run_until_idle();
  }
  Begun<Result<AgentReply>> ask() {
    auto slot = std::make_shared<std::optional<Result<AgentReply>>>();
    earlier_->tasks.spawn("test", keep_answer(earlier_->leftovers.ask(
                                                  "helper", turn_, "what is it?", milliseconds(0)),
                                              slot));
    run_until_idle();
    return slot;
  }
  static std::string word(const Begun<Result<AgentReply>>& asked) {
    if (!*asked) return "waits";
    return **asked ? (**asked)->text : std::string(to_string((*asked)->error().kind()));
  }
  static Task<void> keep_answer(Task<Result<AgentReply>> task, Begun<Result<AgentReply>> slot) {
    *slot = co_await std::move(task);
  }
  TurnRequest turn_;
  Act helper_does_ = Act::says("this");
};

TEST_F(AskAfterHandOverTest, TheSuccessorAsksAndCountsItInThePersonsBudget) {
  EXPECT_EQ(word(ask()), "this");
  EXPECT_EQ(word(ask()), "this");
  EXPECT_EQ(word(ask()), "rate_limited");
}

TEST_F(AskAfterHandOverTest, ItIsLostWithTheSuccessor) {
  helper_does_ = Act::hang();
  const Begun<Result<AgentReply>> asked = ask();
  EXPECT_EQ(word(asked), "waits");
  restart();
  run_until_idle();
  EXPECT_EQ(word(asked), "unavailable");
  helper_does_ = Act::says("again");
  EXPECT_EQ(word(ask()), "again");
}

TEST_F(AskAfterHandOverTest, NobodyIsAskedAnyMoreWhenItIsCalledOff) {
  helper_does_ = Act::hang();
  ask();
  EXPECT_EQ(agents_.calls.size(), 2u);
  EXPECT_EQ(agents_.running, 2u);
  earlier_->tasks.cancel();
  run_until_idle();
  EXPECT_EQ(agents_.running, 1u) << "the turn's own";
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

TurnRequest full_request() {
  TurnRequest request;
  request.request_id = "r";
  request.account = "bot";
  request.chat = "c";
  request.chat_kind = ChatKind::kGroup;
  request.projects = {"one", "two"};
  auto message = std::make_shared<MessageRow>();
  message->lane = LaneId{5};
  message->sender = "ann";
  request.messages.push_back(std::move(message));
  return request;
}

TEST(CallNewsTest, EveryKindSurvivesItsEncodingAndNoCutOfItIsTaken) {
  const Error error(ErrorKind::kTimeout, "late", ErrorSource::kPeer, Retry::after(milliseconds(7)));
  const std::vector<CallNews> all = {
      CallBegun{TurnId{1}, 2, milliseconds(3), {HistoryId{4}, "s", true, false}, true},
      CallDelta{TurnId{1}, 2, "text"},
      CallEnded{TurnId{1}, 2, full_reply()},
      CallEnded{TurnId{1}, 2, error},
      CallDropped{TurnId{1}, 2},
      AgentAsked{TurnId{1}, 2, 3, "a", "p", milliseconds(4), full_request()},
      AgentUnasked{TurnId{1}, 2, 3},
      AgentAnswered{TurnId{1}, 2, 3, full_reply()}};
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
