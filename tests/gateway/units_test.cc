// The core's tables and rules on their own: conversations, fair slots, what to do with a part after
// a try, how a reply is split.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/utf8.h"
#include "gateway/conversations.h"
#include "gateway/core.h"
#include "gateway/fair_slots.h"
#include "gateway/settle.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using What = SendOutcome::What;

Key128 key_of(std::uint64_t n) { return Key128{n * 31, n}; }

TEST(ConversationsTest, FindsByKeyAndByLaneWhatWasAdded) {
  Conversations table;
  for (std::uint64_t n = 1; n <= 10'000; ++n) {
    table.add(key_of(n), LaneId{static_cast<std::int64_t>(n * 3)});
  }
  for (std::uint64_t n = 1; n <= 10'000; ++n) {
    const auto slot = table.find(key_of(n));
    ASSERT_NE(slot, Conversations::kNone);
    EXPECT_EQ(table.at(slot).lane.value, static_cast<std::int64_t>(n * 3));
    EXPECT_EQ(table.find(table.at(slot).lane), slot);
  }
  EXPECT_EQ(table.size(), 10'000u);
}

TEST(ConversationsTest, DoesNotFindWhatIsNotThere) {
  Conversations table;
  EXPECT_EQ(table.find(key_of(1)), Conversations::kNone);
  EXPECT_EQ(table.find(LaneId{1}), Conversations::kNone);
  table.add(key_of(1), LaneId{5});
  EXPECT_EQ(table.find(key_of(2)), Conversations::kNone);
  EXPECT_EQ(table.find(LaneId{4}), Conversations::kNone);
  EXPECT_EQ(table.find(LaneId{6}), Conversations::kNone);
}

TEST(ConversationsTest, TellsKeysApartThatFallIntoOneBucket) {
  Conversations table;
  for (std::uint64_t n = 1; n <= 40; ++n) {
    table.add(Key128{n, 64}, LaneId{static_cast<std::int64_t>(n)});
  }
  for (std::uint64_t n = 1; n <= 40; ++n) {
    EXPECT_EQ(table.at(table.find(Key128{n, 64})).lane.value, static_cast<std::int64_t>(n));
  }
}

TEST(ConversationsTest, GoesOnFromWhatTheStoreRecovered) {
  std::vector<ConversationHead> heads;
  for (std::uint64_t n = 1; n <= 1'000; ++n) {
    heads.push_back({key_of(n), LaneId{static_cast<std::int64_t>(n)}, HistoryId{9}, {}, 0});
  }
  Conversations table;
  table.load(std::move(heads));
  EXPECT_EQ(table.at(table.find(key_of(500))).head, HistoryId{9});
  table.add(key_of(2'000), LaneId{2'000});
  EXPECT_EQ(table.at(table.find(LaneId{2'000})).key, key_of(2'000));
}

class FairSlotsTest : public ::testing::Test {
 protected:
  struct Named : FairSlots::Claimant {};
  std::unique_ptr<FairSlots> slots() { return std::make_unique<FairSlots>(options_); }
  /// first runs, the others wait: only second has to wait until first is done.
  static void expect_only_second_waits_for_first(FairSlots& fair, Named& first, Named& second,
                                                 Named& other) {
    EXPECT_EQ(fair.grant(), &other);
    EXPECT_EQ(fair.grant(), nullptr);
    fair.release(first);
    EXPECT_EQ(fair.grant(), &second);
    fair.release(second);
    fair.release(other);
  }
  CoreOptions options_;
  FairSlots::Agent agent_;
};

TEST_F(FairSlotsTest, TakesAtOnceWhileThereIsRoomAndNobodyWaits) {
  options_.max_concurrent_turns = 4;
  options_.max_turns_per_account_percent = 100;
  const auto fair = slots();
  Named lanes[5];
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(fair->try_take(lanes[i], "a", static_cast<std::uint64_t>(i), agent_));
  }
  EXPECT_FALSE(fair->try_take(lanes[4], "a", 4, agent_));
  EXPECT_EQ(fair->running(), 4u);
  for (Named& lane : lanes) fair->release(lane);
  EXPECT_EQ(fair->running(), 0u);
}

TEST_F(FairSlotsTest, NewcomerDoesNotPassThoseWhoWait) {
  options_.max_concurrent_turns = 1;
  const auto fair = slots();
  Named first, waits, newcomer;
  ASSERT_TRUE(fair->try_take(first, "a", 1, agent_));
  fair->enqueue(waits, "a", 2, agent_);
  fair->release(first);
  EXPECT_FALSE(fair->try_take(newcomer, "a", 3, agent_));
  EXPECT_EQ(fair->grant(), &waits);
  fair->release(waits);
}

TEST_F(FairSlotsTest, LaneIsQueuedOnce) {
  options_.max_concurrent_turns = 1;
  const auto fair = slots();
  Named first, waits;
  ASSERT_TRUE(fair->try_take(first, "a", 1, agent_));
  fair->enqueue(waits, "a", 2, agent_);
  fair->enqueue(waits, "a", 2, agent_);
  EXPECT_EQ(fair->waiting(), 1u);
  fair->release(first);
  EXPECT_EQ(fair->grant(), &waits);
  EXPECT_EQ(fair->grant(), nullptr);
  fair->release(waits);
}

TEST_F(FairSlotsTest, ReleaseTakesAWaitingLaneOutOfTheQueue) {
  options_.max_concurrent_turns = 1;
  const auto fair = slots();
  Named first, waits;
  ASSERT_TRUE(fair->try_take(first, "a", 1, agent_));
  fair->enqueue(waits, "a", 2, agent_);
  fair->release(waits);
  fair->release(waits);  // no effect
  fair->release(first);
  EXPECT_EQ(fair->grant(), nullptr);
  EXPECT_EQ(fair->waiting(), 0u);
}

TEST_F(FairSlotsTest, AccountsTakeTurnsWhateverTheirNumbers) {
  options_.max_concurrent_turns = 1;
  const auto fair = slots();
  Named running, crowd[6], lone;
  ASSERT_TRUE(fair->try_take(running, "x", 1, agent_));
  for (int i = 0; i < 6; ++i) {
    fair->enqueue(crowd[i], "big", static_cast<std::uint64_t>(i), agent_);
  }
  fair->enqueue(lone, "small", 1, agent_);
  fair->release(running);
  FairSlots::Claimant* first = fair->grant();
  fair->release(*first);
  FairSlots::Claimant* second = fair->grant();
  EXPECT_TRUE(first == &lone || second == &lone);
  fair->release(*second);
}

TEST_F(FairSlotsTest, PersonAtTheirCapIsPassedOverUntilTheyGiveOneBack) {
  options_.max_turns_per_person = 1;
  const auto fair = slots();
  Named first, second, other;
  ASSERT_TRUE(fair->try_take(first, "a", 1, agent_));
  fair->enqueue(second, "a", 1, agent_);
  fair->enqueue(other, "a", 2, agent_);
  expect_only_second_waits_for_first(*fair, first, second, other);
}

TEST_F(FairSlotsTest, LanesOfAFullAgentDoNotHoldTheirPersonsOthers) {
  FairSlots::Agent busy;
  busy.max = 1;
  const auto fair = slots();
  Named first, second, other;
  ASSERT_TRUE(fair->try_take(first, "a", 1, busy));
  fair->enqueue(second, "a", 1, busy);
  fair->enqueue(other, "a", 1, agent_);
  expect_only_second_waits_for_first(*fair, first, second, other);
}

TEST_F(FairSlotsTest, EveryAccountMayRunOneHoweverSmallItsShare) {
  options_.max_concurrent_turns = 1;
  options_.max_turns_per_account_percent = 10;
  const auto fair = slots();
  Named lane;
  EXPECT_TRUE(fair->try_take(lane, "a", 1, agent_));
  fair->release(lane);
}

class SettleTest : public ::testing::Test {
 protected:
  Settlement after(SendOutcome outcome, double jitter = 0.5) {
    return settle(part_, outcome, can_, options_, now_, jitter);
  }
  SettleTest() {
    part_.id = PartId{9};
    part_.claimed_at = now_;
  }
  CoreOptions options_;
  Capabilities can_;
  UnixMillis now_{1'000'000};
  PartRow part_;
};

TEST_F(SettleTest, SentKeepsThePlatformsId) {
  const Settlement s = after(SendOutcome::sent("m-1"));
  EXPECT_EQ(s.row.outcome, PartOutcome::kSent);
  EXPECT_EQ(s.row.platform_id, "m-1");
}

TEST_F(SettleTest, BackoffDoublesUpToItsBoundWithinItsJitter) {
  for (const double jitter : {0.0, 0.5, 0.999}) {
    std::int64_t step = options_.send_backoff.count();
    for (std::uint32_t tries = 0; tries < 40; ++tries) {
      part_.tries = tries;
      const Settlement s = after(SendOutcome::of(What::kNotSent, "x"), jitter);
      EXPECT_EQ(s.row.outcome, PartOutcome::kAgain);
      const std::int64_t wait = (s.row.not_before - now_).count();
      EXPECT_GE(wait, step / 2);
      EXPECT_LE(wait, step);
      step = std::min(step * 2, options_.send_backoff_max.count());
    }
  }
}

TEST_F(SettleTest, FloodWaitIsExactAndKnowsWhomItIsFor) {
  SendOutcome limited = SendOutcome::of(What::kRateLimited, "slow down");
  limited.wait = seconds(33);
  EXPECT_EQ(after(limited).row.not_before, now_ + seconds(33));
  EXPECT_EQ(after(limited).account_not_before.ms, 0);
  limited.whole_account = true;
  EXPECT_EQ(after(limited).account_not_before, now_ + seconds(33));
}

TEST_F(SettleTest, RefusalIsFinalAndTakesTheRest) {
  const Settlement s = after(SendOutcome::of(What::kRefused, "no"));
  EXPECT_EQ(s.row.outcome, PartOutcome::kDead);
  EXPECT_TRUE(s.drop_rest_of_reply);
  EXPECT_FALSE(s.park_account);
}

TEST_F(SettleTest, RefusedFormatIsPlainTextAtOnceAndThenFinal) {
  const Settlement first = after(SendOutcome::of(What::kRefusedFormat, "x"));
  EXPECT_EQ(first.row.outcome, PartOutcome::kAgain);
  EXPECT_TRUE(first.row.plain);
  EXPECT_EQ(first.row.not_before, now_);
  part_.plain = true;
  EXPECT_EQ(after(SendOutcome::of(What::kRefusedFormat, "x")).row.outcome, PartOutcome::kDead);
}

TEST_F(SettleTest, RefusedAccountParksAndKeepsThePart) {
  const Settlement s = after(SendOutcome::of(What::kAccountRefused, "revoked"));
  EXPECT_TRUE(s.park_account);
  EXPECT_EQ(s.row.outcome, PartOutcome::kAgain);
}

TEST_F(SettleTest, UnknownIsLabelledAndTheSecondTimeDead) {
  const Settlement first = after(SendOutcome::of(What::kUnknown, "reset"));
  EXPECT_EQ(first.row.outcome, PartOutcome::kAgain);
  EXPECT_TRUE(first.row.duplicate);
  part_.duplicate = true;
  const Settlement second = after(SendOutcome::of(What::kUnknown, "reset"));
  EXPECT_EQ(second.row.outcome, PartOutcome::kDead);
  EXPECT_FALSE(second.drop_rest_of_reply) << "it probably arrived";
}

TEST_F(SettleTest, UnknownWithinTheKeysWindowNeedsNoLabel) {
  can_.idempotency_window = hours(1);
  const Settlement s = after(SendOutcome::of(What::kUnknown, "reset"));
  EXPECT_EQ(s.row.outcome, PartOutcome::kAgain);
  EXPECT_FALSE(s.row.duplicate);
}

TEST_F(SettleTest, UnknownRulePrefersTheKeyThenTheLookThenTheLabel) {
  can_.idempotency_window = hours(1);
  can_.can_look_back = true;
  EXPECT_EQ(unknown_rule(part_, can_, now_ + hours(1) + milliseconds(-1), false),
            UnknownRule::kRepeatWithKey);
  EXPECT_EQ(unknown_rule(part_, can_, now_ + hours(1), false), UnknownRule::kLookBack);
  EXPECT_EQ(unknown_rule(part_, can_, now_ + hours(1), true), UnknownRule::kRepeatLabelled);
  part_.duplicate = true;
  EXPECT_EQ(unknown_rule(part_, can_, now_ + hours(1), true), UnknownRule::kGiveUp);
}

TEST(FormatterTest, SplitsAtLineEndsThenSpacesThenCodePoints) {
  const Formatter formatter;
  EXPECT_THAT(formatter.reply("short", 100), ElementsAre("short"));
  EXPECT_THAT(formatter.reply("", 100), ElementsAre(""));
  EXPECT_THAT(formatter.reply("one two\nthree", 9), ElementsAre("one two\n", "three"));
  EXPECT_THAT(formatter.reply("one two three", 9), ElementsAre("one two ", "three"));
  EXPECT_THAT(formatter.reply("ääää", 3), ElementsAre("ä", "ä", "ä", "ä"));
}

TEST(FormatterTest, LosesNothingAndKeepsEveryBound) {
  const Formatter formatter;
  std::string text;
  for (int i = 0; i < 400; ++i) text += i % 7 == 0 ? "\n" : i % 5 == 0 ? " " : "wört€";
  for (std::size_t bound = 4; bound < 200; ++bound) {
    std::string whole;
    for (const std::string& part : formatter.reply(text, bound)) {
      EXPECT_LE(part.size(), bound);
      EXPECT_TRUE(is_utf8(part));
      whole += part;
    }
    EXPECT_EQ(whole, text);
  }
}

TEST(BodyCacheTest, KeepsTheNewestAndGivesEachOnce) {
  BodyCache cache(2);
  for (const std::int64_t id : {1, 2, 3}) {
    auto row = std::make_shared<MessageRow>();
    row->id = MessageId{id};
    cache.put(row);
  }
  EXPECT_EQ(cache.take(MessageId{1}), nullptr);
  EXPECT_NE(cache.take(MessageId{3}), nullptr);
  EXPECT_EQ(cache.take(MessageId{3}), nullptr);
  EXPECT_EQ(cache.size(), 1u);
}

}  // namespace
}  // namespace sluice
