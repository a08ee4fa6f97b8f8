// Retention, keys by day, compaction, backup and restore, erasure and export, the check.

#include <boost/json.hpp>

#include "store/store_fixture.h"

namespace sluice {
namespace {

class UpkeepTest : public StoreFixture {
 protected:
  UnixMillis after_days(std::int64_t days) const {
    return UnixMillis{options_.now.ms + days * kDay};
  }
  EventVerdict redeliver(std::int64_t new_id, std::uint64_t key) {
    Transaction again;
    again.events.push_back(event(message(new_id, 1), key));
    const Receipt receipt = apply(again);
    return receipt.events.empty() ? EventVerdict::kNew : receipt.events[0].verdict;
  }
};

// ---- retention

TEST_F(UpkeepTest, TextGoesAfterItsTimeAndNotBefore) {
  open();
  apply(accept(10));
  Changes c;
  c.ended.push_back(ended(10));
  c.history = {line(12, 0, 1, "old words", "ann")};
  c.parts = {part(14, 1, 11, "x")};
  c.settled = {settled(14)};
  change(c);
  settle(after_days(89));
  EXPECT_EQ(count("history"), 1);
  settle(after_days(91));
  EXPECT_EQ(count("history"), 0);
  EXPECT_EQ(count("message_log"), 0);
  EXPECT_EQ(count("part_log"), 0);
  EXPECT_EQ(count("conversations"), 1);
  EXPECT_EQ(engine_->pruned().history, 1);
}

TEST_F(UpkeepTest, NothingIsPrunedWhileTheClockIsSuspect) {
  open();
  apply(accept(10));
  change({.ended = {ended(10)}});
  settle(after_days(1000), false);
  EXPECT_EQ(count("message_log"), 1);
  EXPECT_EQ(count("key_log"), 1);
}

TEST_F(UpkeepTest, RetentionRemovesManySlices) {
  open();
  Changes c;
  for (std::int64_t id = 10; id < 2010; ++id) c.history.push_back(line(id, 0, 1, "x"));
  change(c);
  settle(after_days(100));
  EXPECT_EQ(count("history"), 0);
}

TEST_F(UpkeepTest, KeysGoAfterTheirTime) {
  open();
  apply(accept(10));
  change({.ended = {ended(10)}});
  settle(after_days(29));
  EXPECT_EQ(redeliver(20, 10), EventVerdict::kDuplicate);
  settle(after_days(31));
  EXPECT_EQ(count("key_log"), 0);
  EXPECT_EQ(redeliver(21, 10), EventVerdict::kNew);
}

TEST_F(UpkeepTest, TheKeyOfAPendingMessageIsNeverForgotten) {
  open();
  apply(accept(10));
  apply(accept(11));
  change({.ended = {ended(11)}});
  settle(after_days(400));
  EXPECT_EQ(redeliver(20, 10), EventVerdict::kDuplicate);
  EXPECT_EQ(redeliver(21, 11), EventVerdict::kNew);
  change({.ended = {ended(10), ended(21)}});
  settle(after_days(401));
  EXPECT_EQ(count("key_log"), 0);
}

TEST_F(UpkeepTest, KeysBeyondTheLimitMoveToTheirDaysAndAreStillKnown) {
  options_.keys_in_memory = 100;
  open();
  std::vector<Transaction> batch;
  for (std::int64_t id = 1; id <= 1500; ++id) {
    Transaction& t = batch.emplace_back(accept(id));
    t.events[0].at = UnixMillis{(100 + id / 500) * kDay};
    t.changes.ended.push_back(ended(id));
  }
  apply_all(batch);
  settle(options_.now);
  EXPECT_LE(count("key_log"), 100);
  EXPECT_GE(count("key_days"), 3);
  EXPECT_EQ(redeliver(2000, 7), EventVerdict::kDuplicate);
  EXPECT_EQ(redeliver(2001, 1490), EventVerdict::kDuplicate);
  EXPECT_EQ(*reader_->find_event({7, 7 * 0x9e3779b97f4a7c15u}), MessageId{7});
  reopen();
  EXPECT_EQ(redeliver(2002, 7), EventVerdict::kDuplicate);
  EXPECT_EQ(redeliver(2003, 5000), EventVerdict::kNew);
}

TEST_F(UpkeepTest, ADayOfKeysIsDroppedWhenItIsOver) {
  options_.keys_in_memory = 10;
  open();
  std::vector<Transaction> batch;
  for (std::int64_t id = 1; id <= 1200; ++id) {
    Transaction& t = batch.emplace_back(accept(id));
    t.events[0].at = UnixMillis{100 * kDay};
    t.changes.ended.push_back(ended(id));
  }
  apply_all(batch);
  settle(options_.now);
  EXPECT_EQ(count("key_days"), 1);
  settle(after_days(32));
  EXPECT_EQ(count("key_days"), 0);
  EXPECT_EQ(count("sqlite_schema WHERE name LIKE 'keys_%'"), 0);
  EXPECT_EQ(redeliver(2000, 7), EventVerdict::kNew);
}

TEST_F(UpkeepTest, TheFileShrinksAfterMuchWasRemoved) {
  open();
  Changes c;
  for (std::int64_t id = 10; id < 60; ++id) {
    c.history.push_back(line(id, 0, 1, std::string(400'000, 'x')));
  }
  change(c);
  settle(options_.now);
  ASSERT_TRUE(engine_->checkpoint());
  const auto before = files::size_of(path("sluice.db"));
  settle(after_days(100));
  ASSERT_TRUE(engine_->checkpoint());
  EXPECT_LT(files::size_of(path("sluice.db")), before / 2);
}

// ---- backup

class BackupTest : public UpkeepTest {
 protected:
  void back_up(const std::string& to) {
    auto job = engine_->begin_backup(to, options_.now);
    ASSERT_TRUE(job) << job.error().to_string();
    for (;;) {
      const auto more = (*job)->step();
      ASSERT_TRUE(more) << more.error().to_string();
      if (!*more) break;
    }
    const auto report = (*job)->finish();
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_GT(report->bytes, 0u);
  }
};

TEST_F(BackupTest, ARestoredStoreHoldsEverythingAndIsKnownAsRestored) {
  open();
  apply(accept(10, "precious"));
  back_up(path("b"));
  const HashKey key = engine_->hash_key();
  close();
  const std::string other = path("other");
  const auto restored = restore_backup({.backup = path("b"), .directory = other});
  ASSERT_TRUE(restored) << restored.error().to_string();
  options_.directory = other;
  open();
  EXPECT_EQ(engine_->hash_key(), key);
  EXPECT_EQ((*reader_->messages(std::vector{MessageId{10}}))[0]->text, "precious");
  EXPECT_EQ(redeliver(20, 10), EventVerdict::kDuplicate);
  EXPECT_TRUE(engine_->recovered().restored);
  EXPECT_FALSE(
      *reader_->database().query_integer("SELECT 1 FROM sqlite_schema WHERE name='backup_mark'"));
}

TEST_F(BackupTest, ABackupTakesInWhatIsCommittedMeanwhile) {
  open();
  for (std::int64_t id = 10; id < 30; ++id) apply(accept(id, std::string(100'000, 'x')));
  auto job = engine_->begin_backup(path("b"), options_.now);
  ASSERT_TRUE(job);
  ASSERT_TRUE(*(*job)->step());
  apply(accept(50, "meanwhile"));
  while (*(*job)->step()) {
  }
  ASSERT_TRUE((*job)->finish());
  close();
  ASSERT_TRUE(restore_backup({.backup = path("b"), .directory = path("other")}));
  options_.directory = path("other");
  open();
  EXPECT_EQ((*reader_->messages(std::vector{MessageId{50}})).size(), 1u);
  EXPECT_TRUE(engine_->check()->problems.empty());
}

TEST_F(BackupTest, AnAbandonedBackupLeavesNoFile) {
  open();
  {
    auto job = engine_->begin_backup(path("b"), options_.now);
    ASSERT_TRUE((*job)->step());
  }
  EXPECT_FALSE(files::exists(path("b")));
  EXPECT_FALSE(files::exists(path("b.partial")));
}

TEST_F(BackupTest, ABackupNeverReplacesAFile) {
  open();
  std::ofstream(path("b")) << "mine";
  EXPECT_EQ(engine_->begin_backup(path("b"), options_.now).error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(slurp(path("b")), "mine");
}

TEST_F(BackupTest, RestoringIsRefusedWhereADaemonRunsOrAStoreIs) {
  open();
  back_up(path("b"));
  RestoreOptions options{.backup = path("b"), .directory = directory_};
  EXPECT_EQ(restore_backup(options).error().kind(), ErrorKind::kConflict);
  close();
  EXPECT_EQ(restore_backup(options).error().kind(), ErrorKind::kConflict);
}

TEST_F(BackupTest, ReplacingKeepsTheOldStoreAside) {
  open();
  apply(accept(10, "kept"));
  back_up(path("b"));
  apply(accept(11, "newer"));
  close();
  ASSERT_TRUE(restore_backup({.backup = path("b"), .directory = directory_, .replace = true}));
  EXPECT_TRUE(files::exists(path("sluice.db.replaced-1")));
  open();
  EXPECT_EQ(engine_->recovered().messages.size(), 1u);
}

TEST_F(BackupTest, WhatIsNoBackupIsNotRestored) {
  open();
  close();
  EXPECT_EQ(restore_backup({.backup = path("sluice.db"), .directory = path("o")}).error().kind(),
            ErrorKind::kInvalidArgument);
  std::ofstream(path("junk")) << std::string(9000, 'j');
  EXPECT_EQ(restore_backup({.backup = path("junk"), .directory = path("o")}).error().kind(),
            ErrorKind::kCorrupt);
  EXPECT_EQ(restore_backup({.backup = path("none"), .directory = path("o")}).error().kind(),
            ErrorKind::kNotFound);
}

// ---- erasure

class EraseTest : public UpkeepTest {
 protected:
  static constexpr const char* kSecret = "SECRETxyzzy";
  /// Text that no page can hold in one piece among others, and text that fits anywhere.
  static std::string secret(std::int64_t n) {
    return std::string(kSecret) + std::string(static_cast<std::size_t>(n % 7) * 900, 's') + kSecret;
  }
  /// A direct conversation of ann (lane 1), a group with her and bob (lane 2), one of bob (lane 3).
  void fill() {
    std::vector<Transaction> batch(1);
    batch[0].conversations = {conversation(1), conversation(2, "acct", ChatKind::kGroup),
                              conversation(3)};
    std::int64_t id = 100;
    std::int64_t heads[4] = {};
    for (int round = 0; round < 300; ++round) {
      const std::int64_t lane = 1 + round % 3;
      const bool ann = lane == 1 || (lane == 2 && round % 2 == 0);
      const std::string who = ann ? "ann" : "bob";
      const std::string text = ann ? secret(round) : "harmless words";
      const MessageRow row = message(++id, lane, text, who);
      batch.emplace_back().events.push_back(event(row, static_cast<std::uint64_t>(id)));
      if (round > 290) continue;  // stays pending
      Changes& c = batch.emplace_back().changes;
      c.ended.push_back(
          ended(row.id.value, round % 10 == 0 ? MessageOutcome::kDead : MessageOutcome::kAnswered));
      const std::int64_t asked = ++id;
      const std::int64_t told = ++id;
      const std::int64_t sent = ++id;
      const std::string answer = lane == 1 ? "you said " + text : "answer";
      c.history = {line(asked, heads[lane], lane, text, who), line(told, asked, lane, answer)};
      heads[lane] = told;
      c.parts = {part(sent, lane, told, answer)};
      if (round % 5 == 0) c.settled = {settled(sent, PartOutcome::kDead)};
      if (round % 5 == 1) batch.emplace_back().changes.settled = {settled(sent)};
      // Several commits, so that pages are written, freed and used again.
      if (batch.size() > 40) apply_all(std::exchange(batch, {}));
    }
    apply_all(batch);
  }
};

TEST_F(EraseTest, NoByteOfThePersonsTextIsLeft) {
  open();
  fill();
  // Some pages of it were freed before, and some of it is in the log only.
  ASSERT_TRUE(engine_->checkpoint());
  apply(accept(40'000, secret(3)));
  change({.ended = {ended(40'000)}});
  apply(accept(40'001, secret(5)));
  ASSERT_TRUE(on_disk(kSecret));
  const auto report = engine_->erase_person("acct", "ann");
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_GT(report->history, 0);
  EXPECT_GT(report->messages, 0);
  EXPECT_GT(report->parts, 0);
  EXPECT_GT(report->dead_letters, 0);
  EXPECT_EQ(report->conversations, 1);
  EXPECT_FALSE(on_disk(kSecret));
  EXPECT_FALSE(on_disk("Name of ann"));
}

TEST_F(EraseTest, NothingComesBackWithLaterChanges) {
  open();
  fill();
  ASSERT_TRUE(engine_->erase_person("acct", "ann"));
  std::vector<Transaction> batch;
  for (std::int64_t id = 50'000; id < 50'300; ++id) {
    batch.push_back(accept(id, "later"));
    batch.back().changes.history.push_back(line(id + 1000, 0, 1, "later"));
    if (batch.size() == 30) apply_all(std::exchange(batch, {}));
  }
  close();
  EXPECT_FALSE(on_disk(kSecret));
  open();
  EXPECT_TRUE(engine_->check()->problems.empty());
}

TEST_F(EraseTest, OtherPeoplesTextStays) {
  open();
  fill();
  const auto before = count("history WHERE author='bob' AND text='harmless words'");
  EXPECT_GT(before, 0);
  ASSERT_TRUE(engine_->erase_person("acct", "ann"));
  EXPECT_EQ(count("history WHERE author='bob' AND text='harmless words'"), before);
  EXPECT_EQ(count("history WHERE lane=2 AND text='answer'"),
            count("history WHERE lane=2 AND author='' AND text!=''"));
  EXPECT_TRUE(engine_->check()->problems.empty());
}

TEST_F(EraseTest, TheSameSenderOfAnotherAccountIsSomebodyElse) {
  open();
  Transaction t;
  t.conversations = {conversation(1), conversation(2, "other")};
  t.changes.history = {line(12, 0, 1, "mine", "ann"), line(13, 0, 2, "hers", "ann")};
  apply(t);
  ASSERT_TRUE(engine_->erase_person("acct", "ann"));
  EXPECT_FALSE(on_disk("mine"));
  EXPECT_EQ((*reader_->history(HistoryId{13}, {}, 10, 1000))[0].text, "hers");
}

TEST_F(EraseTest, KeysOutliveTheText) {
  open();
  apply(accept(10, kSecret));
  ASSERT_TRUE(engine_->erase_person("acct", "ann"));
  EXPECT_EQ(redeliver(20, 10), EventVerdict::kDuplicate);
}

TEST_F(EraseTest, AnExportHoldsWhatThePersonWroteAndWasTold) {
  open();
  Transaction t = accept(10, "pend\"ing");
  t.changes.history = {line(12, 0, 1, "question", "ann"), line(13, 12, 1, "answer")};
  t.conversations.push_back(conversation(2, "acct", ChatKind::kGroup));
  t.changes.history.push_back(line(14, 0, 2, "bob's", "bob"));
  apply(t);
  std::vector<std::string> texts;
  const auto n = reader_->export_person("acct", "ann", [&](std::string_view text) {
    texts.emplace_back(boost::json::parse(text).at("text").as_string());
    return true;
  });
  ASSERT_TRUE(n) << n.error().to_string();
  EXPECT_EQ(texts, (std::vector<std::string>{"question", "answer", "pend\"ing"}));
}

// ---- check

TEST_F(UpkeepTest, TheCheckCountsRowsAndFindsNothingWrong) {
  open();
  apply(accept(10));
  const auto report = engine_->check();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->problems.empty());
  EXPECT_EQ(report->schema, static_cast<int>(migrations().size()));
  EXPECT_NE(std::find(report->rows.begin(), report->rows.end(),
                      std::pair<std::string, std::int64_t>("messages", 1)),
            report->rows.end());
}

TEST_F(UpkeepTest, TheCheckFindsMessagesOfUnknownConversations) {
  open();
  Transaction t;
  t.events.push_back(event(message(10, 77), 10));
  apply(t);
  EXPECT_EQ(engine_->check()->problems.size(), 1u);
}

}  // namespace
}  // namespace sluice
