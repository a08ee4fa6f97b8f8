// A turn always ends in something the person can see (C11 to C17; seed 001: W7, W8).

#include "base/utf8.h"
#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TurnsTest : public GatewayTest {
 protected:
  /// Runs one message to its end; exactly one thing must be seen.
  std::string seen_after(MessageOutcome expected) {
    start();
    const Accepted asked = say("c", "hello");
    run_until_rest();
    EXPECT_EQ(outcome(asked.id), expected);
    const std::vector<std::string> taken = bot().taken();
    EXPECT_THAT(taken, SizeIs(1));
    return taken.empty() ? "" : taken.back();
  }
};

TEST_F(TurnsTest, AnswerReachesWhereTheMessageCameFrom) {
  start();
  const InboundMessage asked = message("c", "hello");
  say(asked);
  run_until_rest();
  ASSERT_THAT(bot().tries, SizeIs(1));
  EXPECT_EQ(bot().tries[0].request.chat, "c");
  EXPECT_EQ(bot().tries[0].request.reply_to, asked.reply_to);
  EXPECT_EQ(bot().tries[0].request.kind, PartKind::kReply);
}

TEST_F(TurnsTest, AgentThatThrowsEndsInANotice) {
  agent_does([](const TurnRequest&) {
    Act act;
    act.throws = true;
    return act;
  });
  EXPECT_THAT(seen_after(MessageOutcome::kFailed), HasSubstr("internal error"));
}

TEST_F(TurnsTest, AgentThatThrowsANumberEndsInANotice) {
  agent_does([](const TurnRequest&) {
    Act act;
    act.throws_a_number = true;
    return act;
  });
  EXPECT_THAT(seen_after(MessageOutcome::kFailed), HasSubstr("internal error"));
}

TEST_F(TurnsTest, EveryTurnIsAnsweredAlthoughOneInAHundredThrows) {
  constexpr int kMessages = 2'000;
  agent_does([](const TurnRequest& request) {
    Act act;
    act.throws = request.turn.value % 100 == 0;
    return act;
  });
  start();
  for (int i = 0; i < kMessages; ++i) say(fmt::format("c{}", i % 64), fmt::format("m{}", i));
  run_until_rest();
  EXPECT_THAT(bot().taken(), SizeIs(kMessages));
}

TEST_F(TurnsTest, AgentThatHangsEndsInANoticeAtItsTimeout) {
  agents_.known[0].timeout = seconds(20);
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("c", "hello");
  advance(milliseconds(19'999));
  EXPECT_THAT(bot().taken(), IsEmpty());
  advance(milliseconds(1));
  ASSERT_THAT(bot().taken(), SizeIs(1));
  EXPECT_THAT(bot().taken()[0], HasSubstr("timed out"));
  EXPECT_EQ(agents_.running, 0u) << "its frames are gone";
}

TEST_F(TurnsTest, GatewaysOwnTimeoutIsTheUpperBound) {
  options_.turn_timeout = seconds(5);
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("c", "hello");
  advance(seconds(5));
  EXPECT_THAT(bot().taken(), SizeIs(1));
}

TEST_F(TurnsTest, WhatWasStreamedBeforeATimeoutIsKeptMarkedAsCut) {
  agent_does([](const TurnRequest&) { return Act::hang({"half of ", "an answer"}); });
  start();
  const Accepted asked = say("c", "hello");
  run_until_rest();
  ASSERT_THAT(bot().taken(), SizeIs(2));
  EXPECT_EQ(bot().taken()[0], "half of an answer\n[cut off]");
  EXPECT_THAT(bot().taken()[1], HasSubstr("timed out"));
  const std::vector<HistoryRow> lines = history(asked.lane);
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_TRUE(lines[1].cut);
}

TEST_F(TurnsTest, AgentThatFloodsIsCutOffAtTheBound) {
  options_.reply_bytes_max = 1'000;
  agent_does([](const TurnRequest&) {
    return Act::hang(std::vector<std::string>(200, std::string(100, 'x')));
  });
  start();
  say("c", "hello");
  run_until_rest();
  ASSERT_THAT(bot().taken(), SizeIs(2));
  EXPECT_EQ(bot().taken()[0], std::string(1'000, 'x') + "\n[cut off]");
  EXPECT_THAT(bot().taken()[1], HasSubstr("too long"));
}

TEST_F(TurnsTest, AnswerOverTheBoundIsCutBetweenCodePoints) {
  options_.reply_bytes_max = 999;
  std::string umlauts;
  for (int i = 0; i < 800; ++i) umlauts += "ä";
  agent_does([umlauts](const TurnRequest&) { return Act::says(umlauts); });
  start();
  say("c", "hello");
  run_until_rest();
  ASSERT_THAT(bot().taken(), SizeIs(2));
  EXPECT_TRUE(is_utf8(bot().taken()[0]));
  EXPECT_LE(bot().taken()[0].size(), 999u + 10);
}

TEST_F(TurnsTest, AnswerThatIsNotUtf8EndsInANotice) {
  agent_does([](const TurnRequest&) { return Act::says("\xff\xfe\x80 garbage"); });
  EXPECT_THAT(seen_after(MessageOutcome::kFailed), HasSubstr("no usable answer"));
}

TEST_F(TurnsTest, GarbageThatWasStreamedReachesNeitherThePlatformNorTheLog) {
  agent_does([](const TurnRequest&) { return Act::hang({"\xff\xfe", "\x80\x80 garbage"}); });
  start();
  const Accepted asked = say("c", "hello");
  advance(seconds(1));
  say("c", "/stop");
  run_until_rest();
  for (const Platform::Try& t : bot().tries) EXPECT_TRUE(is_utf8(t.request.text));
  for (const std::string& text : history_texts(asked.lane)) EXPECT_TRUE(is_utf8(text));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
}

TEST_F(TurnsTest, ReadersGetWholeCodePointsAndNothingAfterGarbage) {
  agent_does([](const TurnRequest&) { return Act::hang({"a\xc3", "\xa4", "b\xff", "c"}); });
  start();
  const Accepted asked = say("c", "hello");
  const auto reader = host("bot").feeds().subscribe(asked.lane);
  const std::optional<FeedEvent> event = await(reader->next(loop().now() + seconds(1)));
  ASSERT_TRUE(event);
  ASSERT_TRUE(std::holds_alternative<FeedDelta>(*event));
  EXPECT_EQ(std::get<FeedDelta>(*event).text, "aäb");
}

TEST_F(TurnsTest, GarbageStreamedBeforeAFailureReachesNeitherThePlatformNorTheLog) {
  agent_does([](const TurnRequest&) { return Act::hang({"fine \xc3"}); });
  start();
  const Accepted asked = say("c", "hello");
  run_until_rest();
  for (const Platform::Try& t : bot().tries) EXPECT_TRUE(is_utf8(t.request.text));
  for (const std::string& text : history_texts(asked.lane)) EXPECT_TRUE(is_utf8(text));
}

TEST_F(TurnsTest, EmptyAnswerEndsInANotice) {
  agent_does([](const TurnRequest&) { return Act::says(""); });
  EXPECT_THAT(seen_after(MessageOutcome::kFailed), HasSubstr("no usable answer"));
}

TEST_F(TurnsTest, MissingAgentEndsInANotice) {
  bot().account.agent = "nobody";
  EXPECT_THAT(seen_after(MessageOutcome::kFailed), HasSubstr("unavailable"));
}

TEST_F(TurnsTest, AgentRemovedBeforeARestartEndsInANotice) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  const Accepted asked = say("c", "hello");
  kill();
  agents_.known = {agent("another")};
  start();
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kFailed);
  EXPECT_THAT(bot().taken(), SizeIs(1));
}

TEST_F(TurnsTest, ErrorThatNoRetryHelpsIsToldAtOnce) {
  agent_does([](const TurnRequest&) { return Act::fails(ErrorKind::kPermissionDenied); });
  EXPECT_THAT(seen_after(MessageOutcome::kFailed), HasSubstr("permission"));
  EXPECT_THAT(agents_.calls, SizeIs(1));
  EXPECT_THAT(dead_letters(), IsEmpty());
}

TEST_F(TurnsTest, ErrorThatMayPassIsTriedAgainWithGrowingPauses) {
  options_.max_turn_attempts = 4;
  agent_does([](const TurnRequest& request) {
    return request.attempt < 4 ? Act::fails(ErrorKind::kUnavailable, Retry::with_backoff()) : Act{};
  });
  start();
  say("c", "hello");
  run_until_rest();
  ASSERT_THAT(agents_.calls, SizeIs(4));
  for (int i = 0; i < 3; ++i) {
    const std::size_t n = static_cast<std::size_t>(i);
    EXPECT_EQ(agents_.calls[n + 1].request.attempt, n + 2);
    EXPECT_EQ(agents_.calls[n + 1].began - agents_.calls[n].began, Duration(seconds(1 << i)));
  }
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
}

TEST_F(TurnsTest, PauseThatTheProviderAskedForIsKept) {
  agent_does([](const TurnRequest& request) {
    return request.attempt == 1 ? Act::fails(ErrorKind::kRateLimited, Retry::after(seconds(45)))
                                : Act{};
  });
  start();
  say("c", "hello");
  advance(milliseconds(44'999));
  EXPECT_THAT(agents_.calls, SizeIs(1));
  advance(milliseconds(1));
  EXPECT_THAT(agents_.calls, SizeIs(2));
}

TEST_F(TurnsTest, PauseThatTheProviderAskedForOutlivesARestart) {
  agent_does([](const TurnRequest& request) {
    return request.attempt == 1 ? Act::fails(ErrorKind::kRateLimited, Retry::after(seconds(45)))
                                : Act{};
  });
  start();
  say("c", "hello");
  advance(seconds(10));
  restart();
  advance(milliseconds(34'999));
  EXPECT_THAT(agents_.calls, SizeIs(1));
  advance(milliseconds(1));
  EXPECT_THAT(agents_.calls, SizeIs(2));
}

TEST_F(TurnsTest, AttemptsAreBoundedAndEndInADeadLetterAndANotice) {
  agent_does([](const TurnRequest&) {
    return Act::fails(ErrorKind::kUnavailable, Retry::with_backoff());
  });
  EXPECT_THAT(seen_after(MessageOutcome::kDead), HasSubstr("unavailable"));
  EXPECT_THAT(agents_.calls, SizeIs(3));
  ASSERT_THAT(dead_letters(), SizeIs(1));
  EXPECT_EQ(dead_letters()[0].message->text, "hello");
  EXPECT_EQ(metric("sluice_dead_letters_total"), 1);
}

TEST_F(TurnsTest, DeadMessageRunsAgainWhenRedriven) {
  bool broken = true;
  agent_does([&broken](const TurnRequest&) {
    return broken ? Act::fails(ErrorKind::kUnavailable, Retry::with_backoff()) : Act{};
  });
  start();
  const Accepted asked = say("c", "hello");
  run_until_rest();
  broken = false;
  EXPECT_TRUE(await(gateway().redrive(asked.id.value)));
  run_until_rest();
  EXPECT_EQ(bot().taken().back(), "re hello");
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kAnswered);
  EXPECT_THAT(dead_letters(), IsEmpty());
  EXPECT_EQ(await(gateway().redrive(asked.id.value)).error().kind(), ErrorKind::kNotFound);
}

TEST_F(TurnsTest, DiscardedDeadMessageIsGone) {
  agent_does([](const TurnRequest&) {
    return Act::fails(ErrorKind::kUnavailable, Retry::with_backoff());
  });
  start();
  const Accepted asked = say("c", "hello");
  run_until_rest();
  EXPECT_TRUE(await(gateway().discard(asked.id.value)));
  EXPECT_THAT(dead_letters(), IsEmpty());
  EXPECT_EQ(await(gateway().discard(asked.id.value)).error().kind(), ErrorKind::kNotFound);
  restart();
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(3));
}

TEST_F(TurnsTest, StopKeepsWhatThePersonSawMarkedAsCut) {
  agent_does([](const TurnRequest&) { return Act::hang({"first words"}); });
  start();
  const Accepted asked = say("c", "hello");
  advance(seconds(1));
  say("c", "/stop");
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
  EXPECT_THAT(bot().taken(), ElementsAre("Stopping.", "first words\n[cut off]"));
  EXPECT_EQ(agents_.running, 0u);
}

TEST_F(TurnsTest, StopOfASilentTurnSaysSo) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("c", "hello");
  say("c", "/stop");
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("Stopping.", "Stopped."));
}

TEST_F(TurnsTest, StopEndsATurnThatWaitsForItsNextAttempt) {
  agent_does([](const TurnRequest&) {
    return Act::fails(ErrorKind::kUnavailable, Retry::after(std::chrono::minutes(10)));
  });
  start();
  const Accepted asked = say("c", "hello");
  advance(seconds(1));
  say("c", "/stop");
  advance(std::chrono::minutes(11));
  EXPECT_THAT(agents_.calls, SizeIs(1));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
}

TEST_F(TurnsTest, AcknowledgedStopOutlivesACrashBeforeTheTurnsEnd) {
  agent_does([](const TurnRequest&) { return Act::hang({"words"}); });
  start();
  const Accepted asked = say("c", "hello");
  hold_store_ = true;
  const Posted stop = post(message("c", "/stop"));
  run_until_idle();
  store().write(1);
  store().tell_one();
  run_until_idle();
  ASSERT_TRUE(*stop && **stop);
  ASSERT_EQ(store().queued(), 2u) << "the turn's end and the answer's claim";
  hold_store_ = false;
  restart();
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(1));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
}

TEST_F(TurnsTest, TwoRepeatedCommandsAtOnceLeaveTheLogWhereItWas) {
  start();
  const InboundMessage status = message("c", "/status");
  const InboundMessage help = message("c", "/help");
  const Accepted asked = say(status);
  say(help);
  const std::size_t lines = history_texts(asked.lane).size();
  hold_store_ = true;
  const Posted one = post(status);
  const Posted two = post(help);
  run_until_idle();
  hold_store_ = false;
  run_until_idle();
  EXPECT_THAT(history_texts(asked.lane), SizeIs(lines));
  say("c", "/status");
  EXPECT_THAT(history_texts(asked.lane), SizeIs(lines + 2));
}

TEST_F(TurnsTest, StopThatIsBeingCommittedAllowsNoOtherAttempt) {
  agent_does([](const TurnRequest&) {
    return Act::fails(ErrorKind::kUnavailable, Retry::after(seconds(10)));
  });
  start();
  const Accepted asked = say("c", "hello");
  hold_store_ = true;
  const Posted stop = post(message("c", "/stop"));
  clock_.mono = clock_.mono + seconds(20);
  loop().timers().advance(clock_.mono);
  run_until_idle();
  hold_store_ = false;
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(1));
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
}

TEST_F(TurnsTest, OperatorStopsATurn) {
  agent_does([](const TurnRequest&) { return Act::hang({"words"}); });
  start();
  const Accepted asked = say("c", "hello");
  EXPECT_TRUE(gateway().stop_turn(asked.lane));
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kStopped);
  EXPECT_FALSE(gateway().stop_turn(asked.lane));
}

TEST_F(TurnsTest, AttemptIsOnDiskBeforeTheAgentIsCalled) {
  start();
  hold_store_ = true;
  const Posted posted = post(message("c", "hello"));
  run_until_idle();
  EXPECT_THAT(agents_.calls, IsEmpty());
  hold_store_ = false;
  run_until_idle();
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(TurnsTest, NothingIsAnsweredBeforeItIsOnDisk) {
  start();
  hold_store_ = true;
  const Posted posted = post(message("c", "hello"));
  run_until_idle();
  EXPECT_FALSE(*posted);
  kill();
  start();
  run_until_rest();
  EXPECT_THAT(agents_.calls, IsEmpty());
}

}  // namespace
}  // namespace sluice::test
