// A store that was read early is opened as if it had not been.

#include "store/early_read.h"

#include <algorithm>

#include "store/files.h"
#include "store/store_fixture.h"

namespace sluice {
namespace {

class EarlyReadTest : public StoreFixture {
 protected:
  EarlyReadTest() {
    open();
    talk(1, 100);
    talk(2, 200);
  }

  void read_early() {
    auto early = EarlyRead::of(files::join(directory_, files::kDatabase));
    ASSERT_TRUE(early) << early.error().to_string();
    options_.early = std::move(*early);
    options_.log_is_synced = true;
  }
  /// The process hands over, and the next one opens the store with what it has read.
  void succeed() {
    reader_.reset();
    ASSERT_TRUE(engine_->close(SqliteEngine::Closing::kForSuccessor));
    engine_.reset();
    open();
    options_.early.reset();
  }
  /// A message in a lane and its answer; ids from the given one on.
  void talk(std::int64_t lane, std::int64_t id) {
    Transaction t;
    t.conversations.push_back(conversation(lane));
    t.events.push_back(event(message(id, lane), static_cast<std::uint64_t>(id)));
    apply(t);
    Changes c;
    MessageEnd end = ended(id);
    end.history = HistoryId{id + 1};
    c.ended.push_back(end);
    c.history = {line(id + 1, 0, lane, "hello", "ann"), line(id + 2, id + 1, lane, "answer")};
    change(c);
  }
  HistoryId head(std::int64_t lane) { return of(lane).head; }
  ConversationHead of(std::int64_t lane) {
    const Conversations& all = engine_->recovered().conversations;
    const Conversations::Slot slot = all.find(LaneId{lane});
    EXPECT_NE(slot, Conversations::kNone) << "lane " << lane << " is not known";
    return slot == Conversations::kNone ? ConversationHead{} : all.at(slot);
  }
  EventVerdict verdict(std::int64_t id, std::uint64_t key) {
    return apply({.events = {event(message(id, 1), key)}}).events.at(0).verdict;
  }
};

TEST_F(EarlyReadTest, NothingHasChanged) {
  read_early();
  succeed();
  EXPECT_EQ(engine_->recovered().conversations.size(), 2u);
  EXPECT_EQ(head(1), HistoryId{102});
  EXPECT_EQ(head(2), HistoryId{202});
  EXPECT_EQ(of(1).key, (Key128{1, 77}));
  EXPECT_EQ(verdict(300, 100), EventVerdict::kDuplicate);
  EXPECT_EQ(verdict(301, 301), EventVerdict::kNew);
}

TEST_F(EarlyReadTest, WhatCameAfterItIsKnown) {
  read_early();
  talk(1, 300);
  talk(3, 400);
  succeed();
  EXPECT_EQ(engine_->recovered().conversations.size(), 3u);
  EXPECT_EQ(head(1), HistoryId{302});
  EXPECT_EQ(head(2), HistoryId{202});
  EXPECT_EQ(head(3), HistoryId{402});
  for (const std::int64_t key : {100, 200, 300, 400})
    EXPECT_EQ(verdict(500 + key, static_cast<std::uint64_t>(key)), EventVerdict::kDuplicate);
}

TEST_F(EarlyReadTest, EachKeyIsKeptOnce) {
  read_early();
  const std::shared_ptr<KeySet> keys = options_.early->keys;
  EXPECT_EQ(keys->size(), 2u);
  succeed();
  EXPECT_EQ(keys->size(), 2u);
  read_early();
  talk(1, 300);
  const std::shared_ptr<KeySet> more = options_.early->keys;
  succeed();
  EXPECT_EQ(more->size(), 3u);
}

TEST_F(EarlyReadTest, HeadsThatWereWrittenMeanwhileAreKnown) {
  read_early();
  talk(1, 300);
  for (bool more = true; more;) {
    const auto slice = engine_->maintain(options_.now, SqliteEngine::Effort::kIdle, false);
    ASSERT_TRUE(slice);
    more = *slice;
  }
  succeed();
  EXPECT_EQ(head(1), HistoryId{302});
}

// Found by the crash test: such lines were in neither, and what came next forgot them.
TEST_F(EarlyReadTest, LinesWhoseHeadsWereNotWrittenThenAndAreNowAreKnown) {
  for (std::int64_t lane = 1'000; lane < 1'400; ++lane) talk(lane, lane * 100);
  ASSERT_LT(count("heads"), 400);
  read_early();
  for (bool more = true; more;) {
    const auto slice = engine_->tidy();
    ASSERT_TRUE(slice);
    more = *slice;
  }
  ASSERT_GE(count("heads"), 400);
  succeed();
  for (std::int64_t lane = 1'000; lane < 1'400; ++lane)
    ASSERT_EQ(head(lane), HistoryId{lane * 100 + 2});
}

TEST_F(EarlyReadTest, ASessionThatBeganMeanwhileIsKnown) {
  read_early();
  change(
      {.history = {line(300, 202, 2, "/new", "ann")}, .sessions = {{LaneId{2}, HistoryId{300}}}});
  succeed();
  EXPECT_EQ(of(2).session_start, HistoryId{300});
}

TEST_F(EarlyReadTest, AnOpenTurnsSessionIsKnownThoughNoLineTellsOfIt) {
  read_early();
  Transaction t;
  t.events.push_back(event(message(300, 2), 300));
  t.changes.turns.push_back(turn(301, 2, {MessageId{300}}));
  t.changes.sessions = {{LaneId{2}, HistoryId{202}}};
  apply(t);
  succeed();
  EXPECT_EQ(of(2).session_start, HistoryId{202});
  ASSERT_EQ(engine_->recovered().lanes.size(), 1u);
  EXPECT_EQ(engine_->recovered().lanes[0].chat, "chat2");
  EXPECT_EQ(engine_->recovered().messages.at(0).person,
            KeyedHash(engine_->hash_key()).add("acct").add("ann").finish().low);
}

TEST_F(EarlyReadTest, AConversationWhoseIdIsOlderThanOthersIsKnown) {
  talk(50, 5'000);
  read_early();
  talk(40, 6'000);  // its first message had been refused when it got its id
  succeed();
  EXPECT_EQ(engine_->recovered().conversations.size(), 4u);
  EXPECT_EQ(head(40), HistoryId{6'002});
  EXPECT_EQ(head(50), HistoryId{5'002});
}

TEST_F(EarlyReadTest, WithoutACleanEndOfTheOtherProcessItIsNotUsed) {
  read_early();
  options_.log_is_synced = false;
  talk(3, 300);
  reopen();
  EXPECT_EQ(engine_->recovered().conversations.size(), 3u);
  EXPECT_EQ(head(3), HistoryId{302});
  EXPECT_EQ(verdict(400, 300), EventVerdict::kDuplicate);
}

TEST_F(EarlyReadTest, AnotherVersionsTablesAreNotRead) {
  close();
  execute("PRAGMA user_version=1");
  const auto early = EarlyRead::of(files::join(directory_, files::kDatabase));
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().kind(), ErrorKind::kUnsupported);
}

TEST_F(EarlyReadTest, AStoreThatIsNotThereIsNotMade) {
  EXPECT_FALSE(EarlyRead::of(directory_ + "/nothing.db"));
  EXPECT_FALSE(files::exists(directory_ + "/nothing.db"));
}

TEST_F(EarlyReadTest, ATidyStoreHasItsHeadsWrittenAndItsLogCopied) {
  for (std::int64_t lane = 1'000; lane < 1'600; ++lane) talk(lane, lane * 10);
  EXPECT_LT(count("heads"), 600);
  for (int slices = 0;; ++slices) {
    ASSERT_LT(slices, 10);
    const auto more = engine_->tidy();
    ASSERT_TRUE(more);
    if (!*more) break;
  }
  EXPECT_GE(count("heads"), 600);
}

}  // namespace
}  // namespace sluice
