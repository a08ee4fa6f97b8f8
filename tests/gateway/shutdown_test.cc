// Ending and starting again (seed 001: W3, W4).

#include <set>

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ShutdownTest : public GatewayTest {
 protected:
  /// Every text was taken by the platform exactly once, unlabelled.
  void expect_each_answered_once(std::size_t count) {
    const std::vector<std::string> taken = bot().taken();
    EXPECT_EQ(taken.size(), count);
    EXPECT_EQ(std::set<std::string>(taken.begin(), taken.end()).size(), count);
  }
};

TEST_F(ShutdownTest, SignalBeforeRunEndsIt) {
  start();
  gateway().signal_shutdown();
  EXPECT_TRUE(gateway().is_shutdown());
  const Begun<bool> ran = begin(gateway().run());
  EXPECT_TRUE(*ran);
}

TEST_F(ShutdownTest, SignalMayBeRepeated) {
  start();
  const Begun<bool> ran = begin(gateway().run());
  gateway().signal_shutdown();
  gateway().signal_shutdown();
  run_until_idle();
  EXPECT_TRUE(*ran);
}

TEST_F(ShutdownTest, StopLetsRunningTurnsEndAndSendsTheirReplies) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(2)); });
  start();
  for (int i = 0; i < 8; ++i) say(fmt::format("c{}", i), fmt::format("m{}", i));
  EXPECT_EQ(stop(seconds(10)), 0u);
  EXPECT_THAT(agents_.calls, SizeIs(8));
  expect_each_answered_once(8);
}

TEST_F(ShutdownTest, StopWaitsForTheEndsOfTurnsToBeWritten) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "hello");
  const Begun<std::size_t> left = begin(gateway().stop(loop().now() + seconds(10)));
  hold_store_ = true;  // a disk that takes its time over the turn's end
  advance(milliseconds(1'100));
  hold_store_ = false;
  advance(seconds(1));
  ASSERT_TRUE(*left);
  kill();
  start();
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re hello")) << "not labelled: nothing was unknown";
}

TEST_F(ShutdownTest, StopStartsNoNewTurnAndAcceptsNothing) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(2)); });
  start();
  say("c", "runs");
  say("c", "waits");
  const Begun<std::size_t> left = begin(gateway().stop(loop().now() + seconds(10)));
  run_until_idle();
  EXPECT_EQ(refusal(message("d", "too late")).kind(), ErrorKind::kUnavailable);
  advance(seconds(3));
  ASSERT_TRUE(*left);
  EXPECT_THAT(agents_.texts(), ElementsAre("runs"));
}

TEST_F(ShutdownTest, StopReturnsAtItsDeadlineAndSaysWhatItLeft) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  for (int i = 0; i < 3; ++i) say(fmt::format("c{}", i), "hello");
  const MonoTime from = loop().now();
  EXPECT_EQ(stop(seconds(4)), 3u);
  EXPECT_LE(clock_.mono - from, Duration(seconds(4) + milliseconds(20)));
}

// 88 569 of 90 777 accepted messages were never answered by the seed's gateway.
TEST_F(ShutdownTest, MessagesAcceptedInAFloodAreAllAnsweredAfterTheNextStart) {
  constexpr int kMessages = 3'000;
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(5)); });
  start();
  std::vector<Posted> bodies;
  for (int i = 0; i < kMessages; i += 50) {
    std::vector<InboundMessage> body;
    for (int k = i; k < i + 50; ++k) {
      body.push_back(
          message(fmt::format("c{}", k % 64), fmt::format("m{}", k), fmt::format("p{}", k % 16)));
    }
    bodies.push_back(post("bot", std::move(body)));
  }
  run_until_idle();
  advance(milliseconds(10));
  for (const Posted& body : bodies) ASSERT_TRUE(*body && **body);
  EXPECT_EQ(stop(seconds(10)), 0u);
  EXPECT_LT(bot().taken().size(), kMessages / 2u) << "the flood was over before the stop";
  start();
  run_until_rest();
  expect_each_answered_once(kMessages);
  EXPECT_THAT(agents_.calls, SizeIs(kMessages));
}

TEST_F(ShutdownTest, MessagesAcceptedBeforePowerIsLostAreAllAnswered) {
  constexpr int kMessages = 300;
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(5)); });
  start();
  for (int i = 0; i < kMessages; ++i) say(fmt::format("c{}", i % 8), fmt::format("m{}", i));
  lose_power();
  start();
  run_until_rest();
  std::set<std::string> answered;
  for (const Platform::Try& t : bot().tries) answered.insert(t.request.text);
  for (int i = 0; i < kMessages; ++i) {
    EXPECT_TRUE(answered.contains(fmt::format("re m{}", i)) ||
                answered.contains(fmt::format("(This may be a duplicate.)\nre m{}", i)))
        << "m" << i;
  }
}

TEST_F(ShutdownTest, ReplyCommittedButNotSentIsSentAfterTheNextStart) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  const Accepted asked = say("c", "hello");
  disconnect("bot");
  advance(seconds(2));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kAnswered);
  EXPECT_THAT(bot().tries, IsEmpty());
  restart();
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(ShutdownTest, InterruptedTurnRunsAgainWhereTheAgentMay) {
  agent_does([](const TurnRequest& request) { return request.attempt == 1 ? Act::hang() : Act{}; });
  start();
  say("c", "hello");
  restart();
  run_until_rest();
  ASSERT_THAT(agents_.calls, SizeIs(2));
  EXPECT_EQ(agents_.calls[0].request.turn, agents_.calls[1].request.turn);
  EXPECT_EQ(agents_.calls[1].request.attempt, 2u);
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
}

TEST_F(ShutdownTest, InterruptedTurnOfACarefulAgentWaitsForThePersonsWord) {
  agents_.known = {agent("echo", OnInterrupt::kAsk)};
  agent_does([](const TurnRequest& request) { return request.attempt == 1 ? Act::hang() : Act{}; });
  start();
  say("c", "pay the bill");
  restart();
  run_until_idle();
  ASSERT_THAT(bot().taken(), SizeIs(1));
  EXPECT_THAT(bot().taken().front(), ::testing::HasSubstr("/retry"));
  EXPECT_THAT(agents_.calls, SizeIs(1));
  restart();  // the question outlives a restart and is not asked twice
  run_until_idle();
  EXPECT_THAT(bot().taken(), SizeIs(1));
  say("c", "/retry");
  run_until_rest();
  EXPECT_THAT(bot().taken().back(), "re pay the bill");
}

TEST_F(ShutdownTest, InterruptedTurnThatIsDroppedEndsInTheOpen) {
  agents_.known = {agent("echo", OnInterrupt::kAsk)};
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  const Accepted asked = say("c", "pay the bill");
  restart();
  run_until_idle();
  say("c", "/drop");
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kDropped);
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

// Found by the simulation, seed 32425: stopping one took both off the list of suspects.
TEST_F(ShutdownTest, TwoInterruptedTurnsOfOneConversationThatArePutBackBothEnd) {
  agents_.known = {agent("echo", OnInterrupt::kAsk)};
  agent_does([](const TurnRequest& request) {
    return request.attempt == 1 || request.text() == "other" ? Act::hang() : Act{};
  });
  start();
  const Accepted first = say("c", "one");
  restart();
  const Accepted second = say("c", "two");
  say("d", "other");
  restart();
  run_until_idle();
  say("d", "/retry");  // one suspect at a time: this one holds the others back
  say("c", "/retry");
  say("c", "/retry");
  say("c", "/stop");
  run_until_idle();
  say("d", "/stop");
  run_until_rest();
  EXPECT_FALSE(life(first.id).pending);
  EXPECT_FALSE(life(second.id).pending);
  EXPECT_THAT(bot().taken(), ::testing::Contains(::testing::AnyOf("re one", "re two")));
}

// Found by the simulation, seed 119277: a hand-over in that instant found the message only.
TEST_F(ShutdownTest, StopOfATurnThatIsBeingAcceptedOutlivesACrash) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  hold_store_ = true;
  post(message("c", "hello"));
  run_until_idle();
  post(message("c", "/stop"));
  run_until_idle();
  store().write(store().queued());
  restart();
  run_until_rest();
  EXPECT_THAT(agents_.calls, ::testing::IsEmpty());
  EXPECT_THAT(bot().taken(), ::testing::Contains(::testing::HasSubstr("topped")));
}

TEST_F(ShutdownTest, StopOfATurnWhoseNextAttemptIsAboutToBeWrittenOutlivesACrash) {
  agent_does([](const TurnRequest&) {
    return Act::fails(ErrorKind::kUnavailable, Retry::after(milliseconds(1'000)));
  });
  start();
  const Accepted asked = say("c", "hello");
  hold_store_ = true;
  advance(seconds(30));
  ASSERT_EQ(store().reads(), 1u) << "its message, for the second attempt";
  post(message("c", "/stop"));
  run_until_idle();
  store().write(store().queued());
  store().read_one(0);
  run_until_idle();
  store().write(store().queued());
  restart();
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(1));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
}

// Found by the simulation, seed 603855: it was taken for a turn's, which nobody ran.
TEST_F(ShutdownTest, CommandThatIsAboutToRunIsNotStopped) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "first");
  const Accepted anew = say("c", "/new");
  restart();
  hold_store_ = true;
  advance(seconds(1));
  store().write(store().queued());  // the turn's end
  store().tell_one();
  run_until_idle();
  ASSERT_EQ(store().reads(), 1u) << "the command";
  post(message("c", "/stop"));
  run_until_idle();
  store().write(store().queued());
  restart();
  run_until_rest();
  EXPECT_EQ(outcome(anew.id), MessageOutcome::kHandled);
}

TEST_F(ShutdownTest, QuestionThatNobodyAnswersIsGivenUpAfterADay) {
  agents_.known = {agent("echo", OnInterrupt::kAsk)};
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  const Accepted asked = say("c", "pay the bill");
  restart();
  advance(std::chrono::hours(23));
  EXPECT_TRUE(life(asked.id).pending);
  advance(std::chrono::hours(2));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kDead);
  EXPECT_THAT(bot().taken().back(), ::testing::HasSubstr("given up"));
}

TEST_F(ShutdownTest, InterruptedTurnOfAStrictAgentFailsInTheOpen) {
  agents_.known = {agent("echo", OnInterrupt::kFail)};
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  const Accepted asked = say("c", "hello");
  restart();
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kFailed);
  ASSERT_THAT(bot().taken(), SizeIs(1));
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(ShutdownTest, PoisonMessageIsSetAsideAndSpendsOnlyItsOwnAttempts) {
  agent_does([](const TurnRequest& request) {
    return request.text() == "poison" ? Act::hang() : Act::slow(milliseconds(10));
  });
  start();
  const Accepted poison = say("p", "poison");
  std::vector<Accepted> innocent;
  for (int i = 0; i < 3; ++i) innocent.push_back(say(fmt::format("c{}", i), fmt::format("m{}", i)));
  for (int death = 0; death < 3; ++death) {
    restart();
    advance(seconds(1));
    EXPECT_LE(agents_.running, 1u) << "suspects run one at a time";
  }
  run_until_rest();
  for (const Accepted& one : innocent) EXPECT_EQ(outcome(one.id), MessageOutcome::kAnswered);
  EXPECT_EQ(outcome(poison.id), MessageOutcome::kDead);
  EXPECT_THAT(dead_letters(), SizeIs(1));
}

TEST_F(ShutdownTest, RestoredStoreSendsNothingBeforeAnOperatorHasLooked) {
  bot().hangs = true;
  start();
  say("c", "hello");
  kill();
  identity_ = "another machine";
  bot().hangs = false;
  bot().tries.clear();
  start();
  advance(std::chrono::hours(1));
  EXPECT_THAT(bot().tries, IsEmpty());
  EXPECT_TRUE(await(gateway().resume("bot")));
  run_until_rest();
  EXPECT_THAT(bot().taken(), SizeIs(1));
}

}  // namespace
}  // namespace sluice::test
