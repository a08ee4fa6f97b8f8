// What readers of a conversation see while it happens: never the text of two attempts joined.

#include "gateway/feed.h"

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FeedTest : public ::testing::Test {
 protected:
  static constexpr LaneId kLane{7};
  /// All that is queued for the reader, in short: "grew 5", "3/1@0 text", "reset 3/2", "ended 3".
  std::vector<std::string> read(Feeds::Subscription& reader) {
    std::vector<std::string> seen;
    tasks_.spawn("read", drain(&reader, &seen));
    loop_.run_ready(1'000);
    clock_.mono = clock_.mono + seconds(1);
    loop_.timers().advance(clock_.mono);
    loop_.run_ready(1'000);
    return seen;
  }
  Task<void> drain(Feeds::Subscription* reader, std::vector<std::string>* seen) {
    for (;;) {
      const std::optional<FeedEvent> event = co_await reader->next(loop_.now() + milliseconds(500));
      if (!event) co_return;
      seen->push_back(tell(*event));
    }
  }
  static std::string tell(const FeedEvent& event) {
    if (const auto* e = std::get_if<FeedGrew>(&event)) return fmt::format("grew {}", e->head.value);
    if (const auto* e = std::get_if<FeedDelta>(&event)) {
      return fmt::format("{}/{}@{} {}", e->turn.value, e->attempt, e->offset, e->text);
    }
    if (const auto* e = std::get_if<FeedReset>(&event)) {
      return fmt::format("reset {}/{}", e->turn.value, e->attempt);
    }
    if (const auto* e = std::get_if<FeedPhase>(&event)) {
      return fmt::format("phase {} {}", e->turn.value, static_cast<int>(e->phase));
    }
    return "lagged";
  }
  ManualClock clock_;
  Loop loop_{clock_, 1};
  TaskGroup tasks_{loop_};
  Feeds feeds_{loop_, 4};
};

TEST_F(FeedTest, TellsDeltasWithTheirOffsets) {
  const auto reader = feeds_.subscribe(kLane);
  feeds_.begin_attempt(kLane, TurnId{3}, 1);
  feeds_.delta(kLane, "ab");
  feeds_.delta(kLane, "c");
  EXPECT_THAT(read(*reader), ElementsAre("3/1@0 ab", "3/1@2 c"));
}

TEST_F(FeedTest, WhoComesLaterGetsTheRunningReplyFromItsBeginning) {
  feeds_.begin_attempt(kLane, TurnId{3}, 1);
  feeds_.delta(kLane, "ab");
  feeds_.delta(kLane, "c");
  const auto reader = feeds_.subscribe(kLane);
  feeds_.delta(kLane, "d");
  EXPECT_THAT(read(*reader), ElementsAre("3/1@0 abc", "3/1@3 d"));
}

TEST_F(FeedTest, NewAttemptBeginsWithAResetAtOffsetZero) {
  const auto reader = feeds_.subscribe(kLane);
  feeds_.begin_attempt(kLane, TurnId{3}, 1);
  feeds_.delta(kLane, "first");
  feeds_.begin_attempt(kLane, TurnId{3}, 2);
  feeds_.delta(kLane, "second");
  EXPECT_THAT(read(*reader), ElementsAre("3/1@0 first", "reset 3/2", "3/2@0 second"));
}

TEST_F(FeedTest, EndedTurnLeavesNothingForThoseWhoComeLater) {
  feeds_.begin_attempt(kLane, TurnId{3}, 1);
  feeds_.delta(kLane, "text");
  feeds_.end_turn(kLane);
  const auto reader = feeds_.subscribe(kLane);
  EXPECT_THAT(read(*reader), IsEmpty());
  EXPECT_EQ(feeds_.streamed(kLane), "");
}

TEST_F(FeedTest, DeltaWithoutATurnIsDropped) {
  const auto reader = feeds_.subscribe(kLane);
  feeds_.delta(kLane, "text");
  EXPECT_THAT(read(*reader), IsEmpty());
}

TEST_F(FeedTest, OtherConversationsSeeNothing) {
  const auto reader = feeds_.subscribe(LaneId{8});
  feeds_.grew(kLane, HistoryId{5});
  EXPECT_THAT(read(*reader), IsEmpty());
}

TEST_F(FeedTest, ReaderThatCannotKeepUpIsToldSoOnceAndCostsNoMore) {
  const auto slow = feeds_.subscribe(kLane);
  for (int i = 1; i <= 100; ++i) feeds_.grew(kLane, HistoryId{i});
  EXPECT_THAT(read(*slow), ElementsAre("lagged"));
}

TEST_F(FeedTest, SlowReaderDoesNotDisturbAQuickOne) {
  const auto slow = feeds_.subscribe(kLane);
  const auto quick = feeds_.subscribe(kLane);
  for (int i = 1; i <= 8; ++i) {
    feeds_.grew(kLane, HistoryId{i});
    EXPECT_THAT(read(*quick), ElementsAre(fmt::format("grew {}", i)));
  }
}

TEST_F(FeedTest, ReaderThatLeavesIsForgotten) {
  {
    const auto reader = feeds_.subscribe(kLane);
    EXPECT_EQ(feeds_.subscriptions(), 1u);
  }
  EXPECT_EQ(feeds_.subscriptions(), 0u);
  feeds_.grew(kLane, HistoryId{5});
}

class LiveReaderTest : public GatewayTest {};

TEST_F(LiveReaderTest, HeadIsTheNewestLineThatIsOnDisk) {
  bot().info.can.pull = true;
  start();
  const Accepted asked = say("c", "hello");
  run_until_rest();
  const HistoryId head = host("bot").head(asked.lane);
  EXPECT_EQ(host("bot").find_lane("c", ""), asked.lane);
  hold_store_ = true;
  const Posted posted = post(message("c", "/status"));
  run_until_idle();
  EXPECT_EQ(host("bot").head(asked.lane), head);
  hold_store_ = false;
  run_until_idle();
  EXPECT_GT(host("bot").head(asked.lane), head);
}

TEST_F(LiveReaderTest, UnknownConversationHasNoLaneAndNoHead) {
  start();
  EXPECT_FALSE(host("bot").find_lane("nowhere", ""));
  EXPECT_FALSE(host("bot").head(LaneId{12345}));
}

TEST_F(LiveReaderTest, FeedOfAnInterruptedTurnBeginsAnewAfterARestart) {
  bot().info.can.pull = true;
  agent_does([](const TurnRequest& request) {
    Act act;
    act.streams = {request.attempt == 1 ? "first" : "second"};
    act.hangs = true;
    return act;
  });
  start();
  const Accepted asked = say("c", "hello");
  EXPECT_EQ(gateway().feeds().streamed(asked.lane), "first");
  restart();
  run_until_idle();
  EXPECT_EQ(gateway().feeds().streamed(asked.lane), "second");
}

}  // namespace
}  // namespace sluice::test
