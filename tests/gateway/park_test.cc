// A turn that waits for something outside is on disk, in its lane, and in no process (C15).

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ParkTest : public GatewayTest {
 protected:
  ParkTest() {
    agent_does([](const TurnRequest& request) {
      Act act;
      if (!request.text().starts_with("park")) return act;
      AgentReply promise;
      promise.parked_for = hours(1);
      act.result = promise;
      return act;
    });
  }
  static AgentReply reply(std::string text) {
    AgentReply reply;
    reply.text = std::move(text);
    return reply;
  }
  Result<void> answer(const std::string& text, std::uint32_t attempt = 1) {
    return await(gateway().answer_parked(turn(), attempt, reply(text)));
  }
  TurnId turn() { return agents_.calls.front().request.turn; }
};

TEST_F(ParkTest, ParkedTurnIsAnsweredFromOutside) {
  start();
  const Accepted asked = say("c", "park");
  EXPECT_EQ(gateway().status().parked, 1u);
  ASSERT_TRUE(answer("here it is"));
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kAnswered);
  EXPECT_THAT(bot().taken(), ElementsAre("here it is"));
  EXPECT_EQ(gateway().status().parked, 0u);
}

TEST_F(ParkTest, ParkedTurnSurvivesAKillAndIsNotRunAgain) {
  start();
  const Accepted asked = say("c", "park");
  restart();
  EXPECT_EQ(gateway().status().parked, 1u);
  ASSERT_TRUE(answer("after the crash"));
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kAnswered);
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(ParkTest, SecondAnswerIsNotFound) {
  start();
  say("c", "park");
  ASSERT_TRUE(answer("one"));
  const Result<void> again = answer("two");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::kNotFound);
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("one"));
}

TEST_F(ParkTest, AnswerToAnotherAttemptIsAConflict) {
  start();
  say("c", "park");
  const Result<void> wrong = answer("of the past", 2);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(gateway().status().parked, 1u);
}

TEST_F(ParkTest, AnswerThatComesBeforeTheCallHasEndedIsTakenOnceItIsParked) {
  agent_does([](const TurnRequest&) {
    Act act = Act::slow(seconds(2));
    AgentReply promise;
    promise.parked_for = hours(1);
    act.result = promise;
    return act;
  });
  start();
  say("c", "park");
  const auto early = begin(gateway().answer_parked(turn(), 1, reply("quick")));
  advance(seconds(1));
  EXPECT_FALSE(*early);
  advance(seconds(2));
  ASSERT_TRUE(*early);
  EXPECT_TRUE(**early);
  EXPECT_THAT(bot().taken(), ElementsAre("quick"));
}

TEST_F(ParkTest, AnswerThatComesTooEarlyHearsAtOnceThatTheTurnHasEnded) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(2)); });
  start();
  say("c", "park");
  const auto early = begin(gateway().answer_parked(turn(), 1, reply("quick")));
  advance(seconds(3));
  ASSERT_TRUE(*early);
  EXPECT_EQ((**early).error().kind(), ErrorKind::kNotFound);
}

TEST_F(ParkTest, LaneWaitsForItsParkedTurnAndOthersDoNot) {
  start();
  say("c", "park");
  say("c", "next");
  say("d", "other");
  advance(minutes(1));
  EXPECT_THAT(bot().taken("c"), IsEmpty());
  EXPECT_THAT(bot().taken("d"), ElementsAre("re other"));
  ASSERT_TRUE(answer("first"));
  run_until_rest();
  EXPECT_THAT(bot().taken("c"), ElementsAre("first", "re next"));
}

TEST_F(ParkTest, ParkedTurnHoldsNoSlot) {
  options_.max_concurrent_turns = 1;
  start();
  say("c", "park");
  say("d", "other");
  advance(seconds(1));
  EXPECT_THAT(bot().taken("d"), ElementsAre("re other"));
}

TEST_F(ParkTest, ParkedTurnTimesOutInTheOpen) {
  start();
  const Accepted asked = say("c", "park");
  advance(minutes(59));
  EXPECT_TRUE(life(asked.id).pending);
  advance(minutes(2));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kFailed);
  EXPECT_THAT(bot().taken(), ElementsAre(HasSubstr("timed out")));
  EXPECT_EQ(answer("late").error().kind(), ErrorKind::kNotFound);
}

TEST_F(ParkTest, TimeOfAParkedTurnGoesOnOverARestart) {
  start();
  const Accepted asked = say("c", "park");
  advance(minutes(40));
  restart();
  advance(minutes(15));
  EXPECT_TRUE(life(asked.id).pending);
  advance(minutes(10));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kFailed);
}

TEST_F(ParkTest, StopEndsAParkedTurn) {
  start();
  const Accepted asked = say("c", "park");
  say("c", "/stop");
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
  EXPECT_EQ(answer("late").error().kind(), ErrorKind::kNotFound);
}

TEST_F(ParkTest, StopOfAParkedTurnSurvivesAKill) {
  start();
  const Accepted asked = say("c", "park");
  const Posted stop = post(message("c", "/stop"));
  loop().run_ready(SIZE_MAX);
  store().write(store().queued());  // on disk, and nobody has heard of it
  restart();
  advance(minutes(1));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
}

TEST_F(ParkTest, NewerMessageInterruptsAParkedTurn) {
  bot().account.mode = LaneMode::kInterrupt;
  start();
  const Accepted asked = say("c", "park");
  say("c", "newer");
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
  EXPECT_THAT(bot().taken().back(), "re newer");
}

TEST_F(ParkTest, ErrorFromOutsideThatMayPassRunsTheNextAttempt) {
  start();
  say("c", "park");
  const Result<void> heard = await(gateway().answer_parked(
      turn(), 1,
      Error(ErrorKind::kUnavailable, "not now", ErrorSource::kPeer, Retry::with_backoff())));
  EXPECT_TRUE(heard);
  advance(seconds(2));
  ASSERT_THAT(agents_.calls, SizeIs(2));
  EXPECT_EQ(agents_.calls[1].request.attempt, 2u);
}

TEST_F(ParkTest, AnswerWaitsForItsChannelToComeBack) {
  start();
  say("c", "park");
  kill();
  open();
  const Result<void> early = answer("too early");
  ASSERT_FALSE(early);
  EXPECT_TRUE(early.error().retry().allowed());
  ASSERT_TRUE(connect("bot"));
  EXPECT_TRUE(answer("now"));
}

TEST_F(ParkTest, StopOfTheDaemonDoesNotWaitForAParkedTurn) {
  start();
  say("c", "park");
  EXPECT_EQ(stop(seconds(5)), 0u);
  start();
  EXPECT_TRUE(answer("later"));
}

}  // namespace
}  // namespace sluice::test
