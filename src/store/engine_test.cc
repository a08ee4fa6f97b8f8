// What a transaction leaves behind, duplicates, conflicts, failed commits.

#include "store/engine.h"

#include "store/store_fixture.h"

namespace sluice {
namespace {

class EngineTest : public StoreFixture {
 protected:
  EngineTest() { open(); }
};

// ---- every kind of change
// --------------------------------------------------------------------------

TEST_F(EngineTest, AnAcceptedMessageIsPendingAfterReopening) {
  Transaction t = accept(10, "héllo");
  t.conversations[0].thread = "th";
  t.cursors.push_back({"acct", "offset 7"});
  t.changes.turns.push_back(turn(11, 1, {MessageId{10}}));
  const Receipt receipt = apply(t);
  ASSERT_EQ(receipt.events.size(), 1u);
  EXPECT_EQ(receipt.events[0].verdict, EventVerdict::kNew);

  reopen();
  const Recovered& found = engine_->recovered();
  ASSERT_EQ(found.messages.size(), 1u);
  EXPECT_EQ(found.messages[0].id, MessageId{10});
  EXPECT_EQ(found.messages[0].bytes, 6u);
  EXPECT_EQ(found.messages[0].person,
            KeyedHash(engine_->hash_key()).add("acct").add("ann").finish().low);
  ASSERT_EQ(found.turns.size(), 1u);
  EXPECT_EQ(found.turns[0].messages, std::vector{MessageId{10}});
  EXPECT_EQ(found.turns[0].agent, "echo");
  ASSERT_EQ(found.cursors.size(), 1u);
  EXPECT_EQ(found.cursors[0].value, "offset 7");
  ASSERT_EQ(found.conversations.size(), 1u);
  EXPECT_EQ(found.conversations.at(0).key, (Key128{1, 77}));
  ASSERT_EQ(found.lanes.size(), 1u);
  EXPECT_EQ(found.lanes[0].chat, "chat1");
  const auto rows = reader_->messages(std::vector{MessageId{10}, MessageId{99}});
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0]->text, "héllo");
  EXPECT_EQ((*rows)[0]->sender_name, "Name of ann");
  EXPECT_EQ((*rows)[0]->accepted_at, (UnixMillis{100 * kDay + 10}));
  const auto lane = reader_->conversation(LaneId{1});
  ASSERT_TRUE(lane && lane->has_value());
  EXPECT_EQ((*lane)->thread, "th");
}

TEST_F(EngineTest, ATurnEndsInOneTransaction) {
  Transaction t = accept(10);
  t.changes.turns.push_back(turn(11, 1, {MessageId{10}}));
  apply(t);
  Changes c;
  c.turns_ended.push_back(TurnId{11});
  MessageEnd end = ended(10);
  end.turn = TurnId{11};
  end.attempts = 2;
  end.history = HistoryId{12};
  end.reason = "because";
  c.ended.push_back(end);
  c.history = {line(12, 0, 1, "hello", "ann"), line(13, 12, 1, "answer")};
  c.parts.push_back(part(14, 1, 11, "answer"));
  c.claims.push_back({PartId{14}, 5, UnixMillis{9}});
  change(c);

  reopen();
  EXPECT_TRUE(engine_->recovered().messages.empty());
  EXPECT_TRUE(engine_->recovered().turns.empty());
  ASSERT_EQ(engine_->recovered().parts.size(), 1u);
  EXPECT_TRUE(engine_->recovered().parts[0].claimed);
  EXPECT_EQ(engine_->recovered().parts[0].bytes, 6u);
  EXPECT_EQ(engine_->recovered().conversations.at(0).head, HistoryId{13});
  const auto parts = reader_->parts(std::vector{PartId{14}});
  ASSERT_TRUE(parts);
  EXPECT_EQ((*parts)[0]->claimed_by, 5);
  EXPECT_EQ((*parts)[0]->text, "answer");
  const auto life = reader_->life(MessageId{10});
  ASSERT_TRUE(life && life->has_value());
  EXPECT_FALSE((*life)->pending);
  EXPECT_EQ((*life)->end.attempts, 2u);
  EXPECT_EQ((*life)->end.reason, "because");
  EXPECT_EQ((*life)->end.accepted_at, (UnixMillis{100 * kDay + 10}));
  ASSERT_EQ((*life)->parts.size(), 1u);
  EXPECT_EQ((*life)->parts[0].row.text, "answer");
  EXPECT_FALSE((*life)->parts[0].settled);
}

TEST_F(EngineTest, ASentPartGoesToTheLogWithoutItsText) {
  change({.parts = {part(14, 1, 11, "answer")}, .claims = {{PartId{14}, 1, UnixMillis{1}}}});
  change({.settled = {settled(14)}});
  EXPECT_EQ(count("outbox"), 0);
  EXPECT_EQ(count("part_log"), 1);
  EXPECT_EQ(count("dead_parts"), 0);
}

TEST_F(EngineTest, APartThatIsTriedAgainWaitsUnclaimed) {
  change({.parts = {part(14, 1, 11, "answer")}, .claims = {{PartId{14}, 1, UnixMillis{1}}}});
  PartSettlement again = settled(14, PartOutcome::kAgain);
  again.plain = true;
  again.duplicate = true;
  again.tries = 3;
  again.not_before = UnixMillis{77};
  change({.settled = {again}});
  const auto parts = reader_->parts(std::vector{PartId{14}});
  ASSERT_EQ(parts->size(), 1u);
  const PartRow& row = *(*parts)[0];
  EXPECT_EQ(row.claimed_by, 0);
  EXPECT_TRUE(row.plain);
  EXPECT_TRUE(row.duplicate);
  EXPECT_EQ(row.tries, 3u);
  EXPECT_EQ(row.not_before, UnixMillis{77});
}

TEST_F(EngineTest, AClaimOfALabelledSendKeepsTheLabel) {
  change({.parts = {part(14, 1, 11, "answer")}});
  PartClaim claim{PartId{14}, 2, UnixMillis{1}};
  claim.duplicate = true;
  change({.claims = {claim}});
  EXPECT_TRUE((*reader_->parts(std::vector{PartId{14}}))[0]->duplicate);
}

TEST_F(EngineTest, AnOpenTurnTakesItsNewState) {
  TurnRow row = turn(11, 1, {MessageId{1}, MessageId{2}});
  change({.turns = {row}});
  row.state = TurnState::kAsking;
  row.attempt = 2;
  row.not_before = UnixMillis{4};
  change({.turns = {row}});
  reopen();
  ASSERT_EQ(engine_->recovered().turns.size(), 1u);
  EXPECT_EQ(engine_->recovered().turns[0].state, TurnState::kAsking);
  EXPECT_EQ(engine_->recovered().turns[0].attempt, 2u);
  EXPECT_EQ(engine_->recovered().turns[0].messages.size(), 2u);
}

TEST_F(EngineTest, AnEditReplacesThePendingText) {
  apply(accept(10, "old"));
  change({.rewrites = {{MessageId{10}, "new"}}});
  EXPECT_EQ((*reader_->messages(std::vector{MessageId{10}}))[0]->text, "new");
}

TEST_F(EngineTest, ASessionStartsAfterItsLine) {
  apply(accept(10));
  change({.history = {line(12, 0, 1, "a", "ann")}, .sessions = {{LaneId{1}, HistoryId{12}}}});
  reopen();
  EXPECT_EQ(engine_->recovered().conversations.at(0).session_start, HistoryId{12});
  EXPECT_EQ(engine_->recovered().conversations.at(0).head, HistoryId{12});
}

TEST_F(EngineTest, AccountsAndMarksKeepTheirNewestValue) {
  AccountRow account{"a", AccountState::kPaused, "why", UnixMillis{3}, 4, UnixMillis{5}};
  change({.accounts = {account}, .marks = {{"clock", "1"}}});
  account.state = AccountState::kActive;
  change({.accounts = {account}, .marks = {{"clock", "2"}}});
  reopen();
  ASSERT_EQ(engine_->recovered().accounts.size(), 1u);
  EXPECT_EQ(engine_->recovered().accounts[0].state, AccountState::kActive);
  EXPECT_EQ(engine_->recovered().accounts[0].held_ms, 4);
  EXPECT_EQ(engine_->recovered().marks,
            (std::vector<std::pair<std::string, std::string>>{{"clock", "2"}}));
}

TEST_F(EngineTest, ADeadMessageIsKeptAndCanBeRedriven) {
  apply(accept(10, "poison"));
  MessageEnd end = ended(10, MessageOutcome::kDead);
  end.turn = TurnId{11};
  end.reason = "three attempts";
  change({.ended = {end}});
  auto letter = reader_->dead_letter(10);
  ASSERT_TRUE(letter && letter->has_value());
  EXPECT_FALSE((*letter)->part);
  EXPECT_EQ((*letter)->message->text, "poison");
  EXPECT_EQ((*letter)->reason, "three attempts");
  EXPECT_EQ((*letter)->turn, TurnId{11});

  change({.redriven = {{10, false}},
          .revived = {std::make_shared<const MessageRow>(*(*letter)->message)}});
  EXPECT_FALSE(reader_->dead_letter(10)->has_value());
  EXPECT_TRUE((*reader_->life(MessageId{10}))->pending);
  change({.ended = {ended(10)}});
  EXPECT_EQ((*reader_->life(MessageId{10}))->end.outcome, MessageOutcome::kAnswered);
}

TEST_F(EngineTest, ADeadPartIsKeptAndCanBeRedriven) {
  change({.parts = {part(14, 1, 11, "answer")}});
  PartSettlement end = settled(14, PartOutcome::kDead);
  end.reason = "refused";
  change({.settled = {end}});
  const auto letter = reader_->dead_letter(14);
  ASSERT_TRUE(letter && letter->has_value());
  EXPECT_TRUE((*letter)->part);
  EXPECT_EQ((*letter)->outgoing->text, "answer");
  change({.parts = {*(*letter)->outgoing}, .redriven = {{14, true}}});
  change({.settled = {settled(14)}});
  EXPECT_EQ(count("dead_parts"), 0);
  EXPECT_EQ(count("part_log"), 1);
}

TEST_F(EngineTest, AHandledEventIsLoggedAtOnce) {
  Transaction t;
  KeyedEvent e = event(message(10, 1), 10);
  e.message = nullptr;
  e.handled = ended(10, MessageOutcome::kHandled);
  e.then.parts.push_back(part(12, 1, 0, "status"));
  e.then.parts[0].event = MessageId{10};
  t.events.push_back(e);
  apply(t);
  EXPECT_EQ(count("messages"), 0);
  const auto life = reader_->life(MessageId{10});
  ASSERT_TRUE(life && life->has_value());
  EXPECT_EQ((*life)->end.outcome, MessageOutcome::kHandled);
  EXPECT_EQ((*life)->lane, LaneId{1});
  ASSERT_EQ((*life)->parts.size(), 1u);
}

TEST_F(EngineTest, AMessageCanBeAcceptedAndEndInOneTransaction) {
  Transaction t = accept(10);
  t.changes.ended.push_back(ended(10, MessageOutcome::kExpired));
  t.changes.parts.push_back(part(12, 1, 11, "late"));
  t.changes.claims.push_back({PartId{12}, 1, UnixMillis{1}});
  t.changes.settled.push_back(settled(12));
  apply(t);
  EXPECT_EQ(count("messages"), 0);
  EXPECT_EQ(count("outbox"), 0);
  EXPECT_EQ(count("part_log"), 1);
}

// ---- duplicates
// ------------------------------------------------------------------------------------

TEST_F(EngineTest, TheSameEventAgainIsADuplicateAndChangesNothing) {
  apply(accept(10));
  Transaction again;
  again.events.push_back(event(message(20, 1), 10));
  again.events[0].then.parts.push_back(part(21, 1, 20, "never"));
  const Receipt receipt = apply(again);
  EXPECT_EQ(receipt.events[0].verdict, EventVerdict::kDuplicate);
  EXPECT_EQ(receipt.events[0].id, MessageId{10});
  EXPECT_EQ(count("messages"), 1);
  EXPECT_EQ(count("outbox"), 0);
}

TEST_F(EngineTest, ADuplicateIsKnownAfterReopening) {
  apply(accept(10));
  reopen();
  Transaction again;
  again.events.push_back(event(message(20, 1), 10));
  EXPECT_EQ(apply(again).events[0].verdict, EventVerdict::kDuplicate);
}

TEST_F(EngineTest, ADuplicateIsKnownAfterItsMessageHasEnded) {
  apply(accept(10));
  change({.ended = {ended(10)}});
  Transaction again;
  again.events.push_back(event(message(20, 1), 10));
  EXPECT_EQ(apply(again).events[0].verdict, EventVerdict::kDuplicate);
}

TEST_F(EngineTest, DuplicatesWithinOneBatchAreFound) {
  Transaction first = accept(10);
  first.events.push_back(event(message(11, 1), 10));
  Transaction second;
  second.events.push_back(event(message(20, 1), 10));
  const auto results = apply_all({first, second});
  EXPECT_EQ((*results[0])->events[0].verdict, EventVerdict::kNew);
  EXPECT_EQ((*results[0])->events[1].verdict, EventVerdict::kDuplicate);
  EXPECT_EQ((*results[1])->events[0].verdict, EventVerdict::kDuplicate);
  EXPECT_EQ((*results[1])->events[0].id, MessageId{10});
  EXPECT_EQ(count("messages"), 1);
}

TEST_F(EngineTest, OtherContentUnderAKnownKeyIsANewEvent) {
  apply(accept(10));
  Transaction other;
  other.events.push_back(event(message(20, 1), 10, 2));
  EXPECT_EQ(apply(other).events[0].verdict, EventVerdict::kNew);
  Transaction again;
  again.events.push_back(event(message(30, 1), 10, 1));
  again.events.push_back(event(message(31, 1), 10, 2));
  const Receipt receipt = apply(again);
  EXPECT_EQ(receipt.events[0].id, MessageId{10});
  EXPECT_EQ(receipt.events[1].id, MessageId{20});
  EXPECT_EQ(*reader_->find_event({10, 10 * 0x9e3779b97f4a7c15u}), MessageId{20});
}

TEST_F(EngineTest, OtherContentIsRefusedWhereTheFaceIsOurOwn) {
  apply(accept(10));
  Transaction other;
  other.events.push_back(event(message(20, 1), 10, 2));
  other.events[0].refuse_other_content = true;
  const Receipt receipt = apply(other);
  EXPECT_EQ(receipt.events[0].verdict, EventVerdict::kOtherContent);
  EXPECT_EQ(receipt.events[0].id, MessageId{10});
  EXPECT_EQ(count("messages"), 1);
}

TEST_F(EngineTest, KeysThatShareOnlyTheHalfInMemoryAreTwoEvents) {
  Transaction t = accept(10);
  t.events.push_back(event(message(11, 1), 11));
  t.events[1].key = {t.events[0].key.high + 1, t.events[0].key.low};
  const Receipt receipt = apply(t);
  EXPECT_EQ(receipt.events[1].verdict, EventVerdict::kNew);
}

// ---- conflicts and failures
// ------------------------------------------------------------------------

TEST_F(EngineTest, AConflictLeavesNothingAndSparesTheRestOfTheBatch) {
  Transaction bad = accept(10);
  bad.changes.history.push_back(line(12, 0, 1, "never", "ann"));
  bad.changes.turns_ended.push_back(TurnId{404});
  Transaction good;
  good.events.push_back(event(message(20, 1), 20));
  Transaction same_event_as_bad;
  same_event_as_bad.events.push_back(event(message(30, 1), 10));
  const auto results = apply_all({good, bad, same_event_as_bad});
  EXPECT_TRUE(*results[0]);
  ASSERT_FALSE(*results[1]);
  EXPECT_EQ(results[1]->error().kind(), ErrorKind::kConflict);
  ASSERT_TRUE(*results[2]);
  EXPECT_EQ((*results[2])->events[0].verdict, EventVerdict::kNew);
  EXPECT_EQ(count("messages"), 2);
  EXPECT_EQ(count("history"), 0);
  EXPECT_EQ(count("conversations"), 0);
  EXPECT_FALSE(engine_->failure());
}

TEST_F(EngineTest, LinesBuiltOnThoseOfAConflictGoOnFromTheLineBefore) {
  change({.history = {line(10, 0, 1, "there", "ann")}});
  Transaction bad;
  bad.changes.history = {line(11, 10, 1, "never", "ann"), line(12, 11, 1, "never", "ann")};
  bad.changes.turns_ended.push_back(TurnId{404});
  Transaction good = accept(20);
  good.events[0].then.history = {line(21, 12, 1, "here", "ann")};
  apply_all({bad, good});
  const auto log = reader_->history(HistoryId{21}, HistoryId{}, 10, 1 << 20);
  ASSERT_TRUE(log);
  EXPECT_EQ(log->size(), 2u) << "what was there, and the new line";
}

TEST_F(EngineTest, EveryMissingRowIsAConflict) {
  const std::vector<Changes> missing = {
      {.turns_ended = {TurnId{1}}},        {.ended = {ended(1)}},
      {.rewrites = {{MessageId{1}, "x"}}}, {.claims = {{PartId{1}, 1, UnixMillis{1}}}},
      {.settled = {settled(1)}},           {.settled = {settled(1, PartOutcome::kAgain)}},
      {.redriven = {{1, false}}},          {.redriven = {{1, true}}},
  };
  for (const Changes& changes : missing) {
    Transaction t;
    t.changes = changes;
    const auto result = try_apply(t);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::kConflict);
  }
}

TEST_F(EngineTest, AnIdThatIsThereAlreadyIsAConflict) {
  apply(accept(10));
  Transaction t;
  t.events.push_back(event(message(10, 1), 999));
  const auto result = try_apply(t);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kConflict);
}

TEST_F(EngineTest, AFullDiskFailsTheBatchUndoesItsKeysAndPasses) {
  engine_->limit_pages(60);
  std::vector<Transaction> batch = {accept(10)};
  batch.push_back(accept(11, std::string(1 << 20, 'x')));
  const auto results = apply_all(batch);
  for (const auto& result : results) {
    ASSERT_FALSE(*result);
    EXPECT_EQ(result->error().kind(), ErrorKind::kDiskFull);
  }
  EXPECT_FALSE(engine_->failure());
  EXPECT_EQ(count("messages"), 0);

  engine_->limit_pages(1'000'000);
  Transaction redelivered = accept(10);
  redelivered.epoch = 1;
  EXPECT_EQ(apply(redelivered).events[0].verdict, EventVerdict::kNew);
}

TEST_F(EngineTest, WhatWasSubmittedBeforeAFailureWasKnownFailsToo) {
  engine_->limit_pages(60);
  ASSERT_FALSE(try_apply(accept(10, std::string(1 << 20, 'x'))));
  engine_->limit_pages(1'000'000);
  const auto stale = try_apply(accept(11));
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().kind(), ErrorKind::kDiskFull);
  Transaction fresh = accept(12);
  fresh.epoch = 1;
  EXPECT_TRUE(try_apply(fresh));
}

// ---- ids
// -------------------------------------------------------------------------------------------

TEST_F(EngineTest, IdsAreNeverUsedAgainAfterAKill) {
  apply(accept(500));
  change({.ended = {ended(500)}});
  reopen();
  EXPECT_GT(engine_->recovered().next_id, 500);
}

TEST_F(EngineTest, IdsAreNeverUsedAgainAfterEveryRowIsGone) {
  change({.parts = {part(900'000, 1, 5, "x")}});
  close();
  execute("DELETE FROM outbox");
  open();
  EXPECT_EQ(engine_->recovered().next_id, 900'001);
}

// ---- heads
// -----------------------------------------------------------------------------------------

TEST_F(EngineTest, HeadsAreCompletedFromTheLogAfterAKillAtAnyPoint) {
  Transaction t;
  for (std::int64_t lane = 1; lane <= 600; ++lane) t.conversations.push_back(conversation(lane));
  apply(t);
  std::int64_t id = 1000;
  Changes c;
  for (int round = 0; round < 15; ++round) {
    for (std::int64_t lane = 1; lane <= 600; ++lane) c.history.push_back(line(++id, 0, lane, "x"));
  }
  change(c);
  // Three slices: stop after one of them, and add a line with a late id.
  ASSERT_TRUE(*engine_->maintain(options_.now, SqliteEngine::Effort::kIdle, true));
  change({.history = {line(999, 0, 1, "late"), line(++id, 0, 2, "new")}});
  reopen();
  const auto& heads = engine_->recovered().conversations;
  ASSERT_EQ(heads.size(), 600u);
  EXPECT_EQ(heads.at(0).head, HistoryId{id - 600});
  EXPECT_EQ(heads.at(1).head, HistoryId{id});
  settle(options_.now);
  close();
  open();
  EXPECT_EQ(engine_->recovered().conversations.at(0).head, HistoryId{id - 600});
  EXPECT_EQ(engine_->recovered().conversations.at(1).head, HistoryId{id});
}

TEST_F(EngineTest, ALateHistoryIdIsFoundAfterItsFlush) {
  Transaction t;
  t.conversations = {conversation(1), conversation(2)};
  apply(t);
  Changes c;
  for (std::int64_t id = 1001; id <= 10'000; ++id) c.history.push_back(line(id, 0, 1, "x"));
  change(c);
  settle(options_.now);
  change({.history = {line(999, 0, 2, "late")}});
  reopen();
  EXPECT_EQ(engine_->recovered().conversations.at(1).head, HistoryId{999});
}

TEST_F(EngineTest, TheLogIsCopiedIntoTheFileWhenItIsLong) {
  options_.checkpoint_pages = 50;
  reopen();
  apply(accept(10, std::string(1 << 20, 'x')));
  ASSERT_TRUE(engine_->maintain(options_.now, SqliteEngine::Effort::kBusy, true));
  EXPECT_GT(files::size_of(path("sluice.db")), 1u << 20);
}

}  // namespace
}  // namespace sluice
