#include "channels/http/follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "channels/http/follower_fixture.h"

namespace sluice::http {
namespace {

using test::World;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using From = Start::From;
using std::chrono::seconds;

Start after(HistoryId id) { return {From::kAfter, id}; }

TEST(HttpFollowerTest, SendsTheWholeLogThenSaysThatItIsLive) {
  World w;
  w.host.say(HistoryKind::kPerson, "one");
  w.host.say(HistoryKind::kAgent, "two");
  w.connect(after({}));
  EXPECT_THAT(w.reader.texts, ElementsAre("one", "two"));
  EXPECT_THAT(w.reader.events, ElementsAre("message", "message", "live"));
}

TEST(HttpFollowerTest, SendsALineWhenItIsCommitted) {
  World w;
  w.connect(after({}));
  EXPECT_THAT(w.reader.texts, IsEmpty());
  w.host.say(HistoryKind::kPerson, "one");
  w.settle();
  EXPECT_THAT(w.reader.texts, ElementsAre("one"));
}

TEST(HttpFollowerTest, ResumesBehindTheLineThatTheReaderNames) {
  World w;
  const HistoryId first = w.host.say(HistoryKind::kPerson, "one");
  w.host.say(HistoryKind::kAgent, "two");
  w.connect(after(first));
  EXPECT_THAT(w.reader.texts, ElementsAre("two"));
}

TEST(HttpFollowerTest, BeginsWithTheNewestLinesIfTheReaderNamesNone) {
  World w;
  for (int i = 0; i < 150; ++i) w.host.say(HistoryKind::kPerson, std::to_string(i));
  w.connect({});
  ASSERT_EQ(w.reader.texts.size(), Follower::kRecentLines);
  EXPECT_EQ(w.reader.texts.front(), "50");
  EXPECT_EQ(w.reader.texts.back(), "149");
}

TEST(HttpFollowerTest, BeginsNowIfTheReaderWantsThat) {
  World w;
  w.host.say(HistoryKind::kPerson, "old");
  w.connect({From::kLatest, {}});
  w.host.say(HistoryKind::kPerson, "new");
  w.settle();
  EXPECT_THAT(w.reader.texts, ElementsAre("new"));
}

TEST(HttpFollowerTest, SendsALongLogInOrderWithoutHoldingItInMemory) {
  World w;
  for (int i = 0; i < 1'000; ++i) w.host.say(HistoryKind::kPerson, std::to_string(i));
  w.connect(after({}));
  ASSERT_EQ(w.reader.texts.size(), 1'000u);
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(w.reader.texts[i], std::to_string(i));
  EXPECT_LE(w.host.store().largest_answer, Follower::kChunkLines);
}

TEST(HttpFollowerTest, SendsALineThatIsLongerThanAChunk) {
  World w;
  w.host.say(HistoryKind::kPerson, "before");
  w.host.say(HistoryKind::kAgent, std::string(2 * Follower::kChunkBytes, 'x'));
  w.host.say(HistoryKind::kPerson, "after");
  w.connect(after({}));
  ASSERT_EQ(w.reader.texts.size(), 3u);
  EXPECT_EQ(w.reader.texts[1].size(), 2 * Follower::kChunkBytes);
}

TEST(HttpFollowerTest, BeginsWhereRetentionHasCutTheLog) {
  World w;
  for (int i = 0; i < 200; ++i) w.host.say(HistoryKind::kPerson, std::to_string(i));
  auto& lines = w.host.store().lines;
  lines.erase(lines.begin(), std::next(lines.begin(), 70));
  w.connect(after({}));
  ASSERT_EQ(w.reader.texts.size(), 130u);
  EXPECT_EQ(w.reader.texts.front(), "70");
}

TEST(HttpFollowerTest, StartsAfreshForAReaderWhoHasSeenMoreThanThereIs) {
  World w;
  w.host.say(HistoryKind::kPerson, "one");
  w.connect(after(HistoryId{1'000}));
  EXPECT_THAT(w.reader.events, ElementsAre("rewind", "message", "live"));
  w.host.say(HistoryKind::kPerson, "two");
  w.settle();
  EXPECT_THAT(w.reader.texts, ElementsAre("one", "two"));
}

TEST(HttpFollowerTest, LinesThatAreCommittedWhileTheLogIsReadComeOnce) {
  World w;
  w.host.say(HistoryKind::kPerson, "one");
  w.host.store().hold = true;
  w.connect(after({}));
  w.host.say(HistoryKind::kAgent, "two");
  w.host.say(HistoryKind::kPerson, "three");
  w.host.store().release();
  w.settle();
  EXPECT_THAT(w.reader.texts, ElementsAre("one", "two", "three"));
}

TEST(HttpFollowerTest, WaitsForAConversationThatDoesNotExistYet) {
  World w;
  w.host.lane = LaneId{};
  w.connect({});
  w.host.lane = LaneId{4};
  w.host.say(HistoryKind::kPerson, "first");
  w.face->arrivals.pulse();
  w.settle();
  EXPECT_THAT(w.reader.texts, ElementsAre("first"));
}

TEST(HttpFollowerTest, FindsANewConversationWithoutAHintToo) {
  World w;
  w.host.lane = LaneId{};
  w.connect({});
  w.host.lane = LaneId{4};
  w.host.say(HistoryKind::kAgent, "from the operator");
  w.advance(Follower::kLookAgain);
  EXPECT_THAT(w.reader.texts, ElementsAre("from the operator"));
}

TEST(HttpFollowerTest, ShowsAReplyWhileItGrowsAndReplacesItByItsLine) {
  World w;
  w.connect(after({}));
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 1);
  w.host.feeds().delta(w.host.lane, "Hel");
  w.host.feeds().delta(w.host.lane, "lo");
  w.settle();
  EXPECT_EQ(w.reader.shown.text, "Hello");
  EXPECT_THAT(w.reader.events, ElementsAre("live", "delta", "delta"));
  w.host.end_turn(TurnId{5}, "Hello");
  w.settle();
  EXPECT_EQ(w.reader.shown.text, "");
  EXPECT_THAT(w.reader.texts, ElementsAre("", "Hello"));
  EXPECT_EQ(w.reader.events.back(), "phase");
}

TEST(HttpFollowerTest, AResumedReaderGetsTheRunningReplyFromItsBeginningAfterAReset) {
  World w;
  w.connect(after({}));
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 1);
  w.host.feeds().delta(w.host.lane, "Hel");
  w.settle();
  w.cut();
  w.host.feeds().delta(w.host.lane, "lo");
  w.reader.events.clear();
  w.reconnect();
  EXPECT_EQ(w.reader.shown.text, "Hello");
  EXPECT_THAT(w.reader.events, ElementsAre("live", "reset", "delta"));
}

TEST(HttpFollowerTest, AReaderWhoMissedANewAttemptIsToldBeforeItsText) {
  World w;
  w.connect(after({}));
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 1);
  w.host.feeds().delta(w.host.lane, "first try");
  w.settle();
  w.cut();
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 2);  // its reset finds no reader
  w.reconnect();
  w.host.feeds().delta(w.host.lane, "second");
  w.settle();
  EXPECT_EQ(w.reader.shown.attempt, 2);
  EXPECT_EQ(w.reader.shown.text, "second");
}

TEST(HttpFollowerTest, ASlowReaderCatchesUpWithoutReadingWhatItHasAgain) {
  World w(4);
  w.connect(after({}));
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 1);
  w.host.feeds().delta(w.host.lane, "a");
  w.settle();
  w.sink->blocked = true;
  for (int i = 0; i < 20; ++i) {
    w.host.feeds().delta(w.host.lane, "b");
    w.settle();
  }
  w.reader.events.clear();
  w.sink->unblock();
  w.settle();
  EXPECT_EQ(w.reader.shown.text, "a" + std::string(20, 'b'));
  EXPECT_THAT(w.reader.events, ElementsAre("delta", "live", "delta"));
  EXPECT_EQ(w.face->lagged.value(), 1u);
}

TEST(HttpFollowerTest, AReaderOfHtmlGetsBlocksAndKeepsWhatIsFinished) {
  World w;
  w.html = true;
  w.connect(after({}));
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 1);
  w.host.feeds().delta(w.host.lane, "*one*\n\ntwo\n");
  w.settle();
  EXPECT_THAT(w.reader.shown.blocks, ElementsAre("<p><em>one</em></p>\n", "<p>two</p>\n"));
  w.host.feeds().delta(w.host.lane, "three");
  w.advance(Follower::kRenderEvery * 2);
  EXPECT_THAT(w.reader.shown.blocks, ElementsAre("<p><em>one</em></p>\n", "<p>two\nthree</p>\n"));
  EXPECT_THAT(w.reader.events, ElementsAre("live", "html", "html"));
}

TEST(HttpFollowerTest, ManyDeltasAreRenderedTogether) {
  World w;
  w.html = true;
  w.connect(after({}));
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 1);
  for (int i = 0; i < 100; ++i) {
    w.host.feeds().delta(w.host.lane, "a");
    w.settle();
  }
  EXPECT_THAT(w.reader.events, ElementsAre("live", "html"));
  w.advance(Follower::kRenderEvery * 2);
  EXPECT_THAT(w.reader.events, ElementsAre("live", "html", "html"));
  EXPECT_THAT(w.reader.shown.blocks, ElementsAre("<p>" + std::string(100, 'a') + "</p>\n"));
}

TEST(HttpFollowerTest, BlocksOfANewAttemptBeginAfresh) {
  World w;
  w.html = true;
  w.connect(after({}));
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 1);
  w.host.feeds().delta(w.host.lane, "first\n\nmore\n\nmore");
  w.settle();
  w.host.feeds().delta(w.host.lane, " and more");
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 2);
  w.host.feeds().delta(w.host.lane, "second");
  w.advance(Follower::kRenderEvery * 2);
  EXPECT_EQ(w.reader.shown.attempt, 2);
  EXPECT_THAT(w.reader.shown.blocks, ElementsAre("<p>second</p>\n"));
}

TEST(HttpFollowerTest, HoldsBackHalfACharacterUntilItIsWhole) {
  World w;
  w.connect(after({}));
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 1);
  w.host.feeds().delta(w.host.lane, "a\xf0\x9f");
  w.settle();
  EXPECT_EQ(w.reader.shown.text, "a");
  w.host.feeds().delta(w.host.lane, "\x98\x80z");
  w.settle();
  EXPECT_EQ(w.reader.shown.text, "a\xf0\x9f\x98\x80z");
}

TEST(HttpFollowerTest, ShowsNothingOfAnAttemptBehindBytesThatAreNoText) {
  World w;
  w.connect(after({}));
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 1);
  w.host.feeds().delta(w.host.lane, "ok");
  w.host.feeds().delta(w.host.lane, "\xff\xfe");
  w.host.feeds().delta(w.host.lane, "more");
  w.settle();
  EXPECT_EQ(w.reader.shown.text, "ok");
  w.host.feeds().begin_attempt(w.host.lane, TurnId{5}, 2);
  w.host.feeds().delta(w.host.lane, "better");
  w.settle();
  EXPECT_EQ(w.reader.shown.text, "better");
}

TEST(HttpFollowerTest, BeatsWhileNothingHappens) {
  World w;
  w.connect(after({}));
  w.advance(seconds(14));
  EXPECT_EQ(w.reader.heartbeats, 0);
  w.advance(seconds(1));
  EXPECT_EQ(w.reader.heartbeats, 1);
  w.advance(seconds(15));
  EXPECT_EQ(w.reader.heartbeats, 2);
}

TEST(HttpFollowerTest, BeatsWhileItWaitsForAConversation) {
  World w;
  w.host.lane = LaneId{};
  w.connect(after({}));
  for (int i = 0; i < 8; ++i) w.advance(seconds(2));
  EXPECT_EQ(w.reader.heartbeats, 1);
}

TEST(HttpFollowerTest, EndsWhenTheCallerIsNotAllowedAnyMore) {
  World w;
  bool allowed = true;
  w.still_allowed = [&] { return allowed; };
  w.connect(after({}));
  w.advance(Follower::kHeartbeat);
  EXPECT_TRUE(w.connected);
  allowed = false;
  w.advance(Follower::kHeartbeat);
  EXPECT_FALSE(w.connected);
}

TEST(HttpFollowerTest, EndsWhenTheReaderGoes) {
  World w;
  w.connect(after({}));
  w.sink->hang_up();
  w.host.say(HistoryKind::kPerson, "x");
  w.settle();
  EXPECT_FALSE(w.connected);
  EXPECT_EQ(w.host.feeds().subscriptions(), 0u);
}

TEST(HttpFollowerTest, EndsWhenTheLogCannotBeRead) {
  World w;
  w.host.say(HistoryKind::kPerson, "x");
  w.host.store().fail = true;
  w.connect(after({}));
  EXPECT_FALSE(w.connected);
  EXPECT_THAT(w.reader.events, IsEmpty());
}

TEST(HttpFollowerTest, EndsAtOnceWhenTheChannelStops) {
  World w;
  w.connect(after({}));
  w.face->stopping = true;
  w.face->streams.for_each([](StreamBase& stream) { stream.wake(); });
  w.settle();
  EXPECT_FALSE(w.connected);
}

/// Everything that can happen to a reader, in random order. Whatever it was, the reader ends with
/// each line once, in order, and has never seen what was not there.
class RandomReaderTest : public ::testing::TestWithParam<int> {
 protected:
  void step(World& w) {
    Random& random = w.loop.random();
    switch (random.below(12)) {
      case 0:
        w.host.say(HistoryKind::kNotice, "notice");
        break;
      case 1:
      case 2:
        begin_or_end(w);
        break;
      case 3:
      case 4:
      case 5:
        add_delta(w);
        break;
      case 6:
        w.cut();
        break;
      case 7:
        w.sink->blocked = true;
        break;
      case 8:
        w.sink->unblock();
        break;
      case 9:
        w.host.store().hold = true;
        break;
      case 10:
        w.host.store().release();
        break;
      default:
        w.advance(seconds(1));
    }
    if (!w.connected) w.reconnect();
    if (random.percent(60)) w.settle();
    check(w);
  }
  void begin_or_end(World& w) {
    if (!running_) {
      running_ = true;
      ++turn_;
      attempt_ = 1;
    } else if (w.loop.random().percent(40)) {
      ++attempt_;
    } else {
      w.host.end_turn(TurnId{turn_}, "the whole reply");
      running_ = false;
      return;
    }
    text_.clear();
    w.host.feeds().begin_attempt(w.host.lane, TurnId{turn_}, static_cast<std::uint32_t>(attempt_));
  }
  void add_delta(World& w) {
    if (!running_) return;
    // Sometimes in the middle of a character.
    static const std::string kSource = "abcd\xc3\xa9\xf0\x9f\x98\x80";
    const std::string piece =
        kSource.substr(text_.size() % kSource.size(), 1 + w.loop.random().below(4));
    text_ += piece;
    w.host.feeds().delta(w.host.lane, piece);
    texts_[{turn_, attempt_}] = text_;
  }
  void check(World& w) {
    auto shown = w.reader.shown;
    if (w.html && !shown.blocks.empty()) {
      // The text is one paragraph.
      ASSERT_EQ(shown.blocks.size(), 1u);
      shown.text = shown.blocks[0].substr(3, shown.blocks[0].size() - 8);
    }
    const std::string& whole = texts_[{shown.turn, shown.attempt}];
    ASSERT_TRUE(whole.starts_with(shown.text)) << shown.text << " is not of " << whole;
  }

  bool running_ = false;
  std::int64_t turn_ = 0;
  std::int64_t attempt_ = 0;
  std::string text_;
  std::map<std::pair<std::int64_t, std::int64_t>, std::string> texts_;
};

TEST_P(RandomReaderTest, HasEachLineOnceAndInOrderWhateverHappens) {
  World w(6, static_cast<std::uint64_t>(GetParam()));
  w.socket = GetParam() % 2 == 0;
  w.html = GetParam() % 3 == 0;
  w.connect(after({}));
  for (int i = 0; i < 400 && !HasFatalFailure(); ++i) step(w);
  w.host.store().release();
  w.sink->unblock();
  w.settle();
  if (!w.connected) w.reconnect();
  if (running_) w.host.end_turn(TurnId{turn_}, "the whole reply");
  w.settle();
  std::vector<std::int64_t> log;
  for (const auto& [id, line] : w.host.store().lines) log.push_back(id);
  EXPECT_EQ(w.reader.ids, log);
  EXPECT_EQ(w.reader.shown.text, "");
  EXPECT_THAT(w.reader.shown.blocks, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomReaderTest, ::testing::Range(1, 61));

}  // namespace
}  // namespace sluice::http
