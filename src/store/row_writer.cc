#include "store/row_writer.h"

#include <fmt/format.h>

#include "store/rows.h"

namespace sluice {
namespace {

/// "?1, ?2, … ?n"
std::string places(int n) {
  std::string list = "?1";
  for (int i = 2; i <= n; ++i) list += fmt::format(", ?{}", i);
  return list;
}

}  // namespace

Result<std::unique_ptr<RowWriter>> RowWriter::open(sqlite::Database& db) {
  std::unique_ptr<RowWriter> writer(new RowWriter(db));
  if (auto r = writer->prepare(); !r) return r.error();
  return writer;
}

Result<void> RowWriter::prepare() {
  using rows::kMessageColumns;
  using rows::kPartColumns;
  const std::string message_places = places(rows::kMessageColumnCount);
  const std::string part_places = places(rows::kPartColumnCount);
  const std::pair<sqlite::Statement*, std::string> wanted[] = {
      {&add_conversation_,
       "INSERT OR IGNORE INTO conversations(id, key, kind, created_at, account, chat, thread) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
      {&put_head_,
       "INSERT INTO heads(lane, head, session) VALUES(?1, ?2, 0) ON CONFLICT(lane) DO UPDATE SET "
       "head=max(head, excluded.head)"},
      {&put_session_,
       "INSERT INTO heads(lane, head, session) VALUES(?1, 0, ?2) ON CONFLICT(lane) DO UPDATE SET "
       "session=excluded.session"},

      {&add_message_,
       fmt::format("INSERT INTO messages({}) VALUES({})", kMessageColumns, message_places)},
      {&log_handled_,
       "INSERT OR REPLACE INTO message_log(id, lane, outcome, turn, attempts, history, "
       "accepted_at, "
       "started_at, ended_at, reason, sender) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
       "?11)"},
      {&log_message_,
       "INSERT OR REPLACE INTO message_log(id, lane, outcome, turn, attempts, history, "
       "accepted_at, "
       "started_at, ended_at, reason, sender) SELECT id, lane, ?2, ?3, ?4, ?5, accepted_at, ?6, "
       "?7, ?8, "
       "sender FROM messages WHERE id=?1"},
      {&bury_message_,
       fmt::format(
           "INSERT OR REPLACE INTO dead_messages({0}, ended_turn, reason, died_at) SELECT {0}, ?2, "
           "?3, ?4 FROM messages WHERE id=?1",
           kMessageColumns)},
      {&remove_message_, "DELETE FROM messages WHERE id=?1"},
      {&rewrite_, "UPDATE messages SET text=?2 WHERE id=?1"},
      {&unbury_message_, "DELETE FROM dead_messages WHERE id=?1"},

      {&put_turn_,
       fmt::format(
           "INSERT OR REPLACE INTO turns({}) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
           rows::kTurnColumns)},
      {&remove_turn_, "DELETE FROM turns WHERE id=?1"},
      {&add_history_,
       fmt::format("INSERT INTO history({}) VALUES({})", rows::kHistoryColumns, places(12))},

      {&add_part_, fmt::format("INSERT INTO outbox({}) VALUES({})", kPartColumns, part_places)},
      {&claim_,
       "UPDATE outbox SET claimed_by=?2, claimed_at=?3, duplicate=max(duplicate, ?4) WHERE id=?1"},
      {&log_part_,
       "INSERT OR REPLACE INTO part_log(id, cause, lane, turn, event, n, kind, committed_at, "
       "claimed_by, "
       "claimed_at, tries, plain, duplicate, outcome, settled_at, reason, platform_id) SELECT id, "
       "iif(turn, "
       "turn, event), lane, turn, event, n, kind, committed_at, claimed_by, claimed_at, tries, "
       "plain, "
       "duplicate, ?2, ?3, ?4, ?5 FROM outbox WHERE id=?1"},
      {&bury_part_,
       fmt::format("INSERT OR REPLACE INTO dead_parts({0}, reason, died_at) SELECT {0}, ?2, ?3 "
                   "FROM outbox WHERE id=?1",
                   kPartColumns)},
      {&remove_part_, "DELETE FROM outbox WHERE id=?1"},
      {&again_,
       "UPDATE outbox SET claimed_by=0, claimed_at=0, plain=?2, duplicate=?3, not_before=?4, "
       "tries=?5 "
       "WHERE id=?1"},
      {&unbury_part_, "DELETE FROM dead_parts WHERE id=?1"},

      {&put_cursor_, "INSERT OR REPLACE INTO cursors(account, value) VALUES(?1, ?2)"},
      {&put_account_,
       "INSERT OR REPLACE INTO accounts(name, state, reason, since, held_ms, not_before) "
       "VALUES(?1, ?2, ?3, ?4, ?5, ?6)"},
      {&put_mark_, "INSERT OR REPLACE INTO marks(name, value) VALUES(?1, ?2)"},
      {&remove_mark_, "DELETE FROM marks WHERE name=?1"},
      {&accept_restored_, "DELETE FROM meta WHERE name='restored_pending'"},
  };
  for (const auto& [statement, sql] : wanted) {
    Result<sqlite::Statement> prepared = db_.prepare(sql);
    if (!prepared) return prepared.error();
    *statement = std::move(*prepared);
  }
  return {};
}

Result<void> RowWriter::one_row(Result<void> ran, std::string_view what, std::int64_t id) const {
  if (!ran) return ran;
  if (db_.changes() == 1) return {};
  return Error(ErrorKind::kConflict, fmt::format("{} {}", what, id));
}

Result<void> RowWriter::conversation(const ConversationRow& row) {
  return add_conversation_.run(row.id, row.key, row.kind, row.created_at, row.account, row.chat,
                               row.thread);
}

Result<void> RowWriter::message(const MessageRow& row) {
  return add_message_.run(row.id, row.lane, row.kind, row.order, row.late, row.sent_at,
                          row.accepted_at, row.held_before_ms, row.sender, row.sender_name,
                          row.event, row.reply_to, row.extra, row.text);
}

Result<void> RowWriter::handled(const MessageEnd& end, LaneId lane, std::string_view sender) {
  return log_handled_.run(end.id, lane, end.outcome, end.turn, end.attempts, end.history,
                          end.accepted_at, end.started_at, end.ended_at, end.reason, sender);
}

Result<void> RowWriter::cursor(const Cursor& cursor) {
  return put_cursor_.run(cursor.account, cursor.value);
}

Result<void> RowWriter::head(LaneId lane, HistoryId head) { return put_head_.run(lane, head); }

Result<void> RowWriter::changes(const Changes& changes) {
  if (auto r = turns_and_messages(changes); !r) return r;
  if (auto r = delivery(changes); !r) return r;
  return rest(changes);
}

Result<void> RowWriter::turns_and_messages(const Changes& changes) {
  for (const TurnRow& row : changes.turns) {
    if (auto r = turn(row); !r) return r;
  }
  for (const TurnId id : changes.turns_ended) {
    if (auto r = one_row(remove_turn_.run(id), "no such open turn", id.value); !r) return r;
  }
  for (const MessageEnd& end : changes.ended) {
    if (auto r = end_message(end); !r) return r;
  }
  for (const auto& [id, text] : changes.rewrites) {
    if (auto r = one_row(rewrite_.run(id, text), "no such pending message", id.value); !r) return r;
  }
  for (const HistoryRow& row : changes.history) {
    if (auto r = history(row); !r) return r;
  }
  return {};
}

Result<void> RowWriter::delivery(const Changes& changes) {
  for (const PartRow& row : changes.parts) {
    if (auto r = part(row); !r) return r;
  }
  for (const PartClaim& claim : changes.claims) {
    auto r = one_row(claim_.run(claim.id, claim.generation, claim.at, claim.duplicate),
                     "no such part in the outbox", claim.id.value);
    if (!r) return r;
  }
  for (const PartSettlement& settlement : changes.settled) {
    if (auto r = settle(settlement); !r) return r;
  }
  return {};
}

Result<void> RowWriter::rest(const Changes& changes) {
  for (const auto& [lane, after] : changes.sessions) {
    if (auto r = put_session_.run(lane, after); !r) return r;
  }
  for (const AccountRow& row : changes.accounts) {
    if (auto r = account(row); !r) return r;
  }
  for (const auto& [name, value] : changes.marks) {
    if (auto r = mark(name, value); !r) return r;
  }
  for (const auto& [id, part] : changes.redriven) {
    auto r = one_row((part ? unbury_part_ : unbury_message_).run(id), "no such dead letter", id);
    if (!r) return r;
  }
  for (const auto& row : changes.revived) {
    if (auto r = message(*row); !r) return r;
  }
  return {};
}

Result<void> RowWriter::turn(const TurnRow& row) {
  const sqlite::Statement::Bytes messages{row.messages.data(),
                                          row.messages.size() * sizeof(MessageId)};
  return put_turn_.run(row.id, row.lane, row.state, row.attempt, row.started_at, row.not_before,
                       row.history_from, row.history_after, row.agent, messages);
}

Result<void> RowWriter::end_message(const MessageEnd& end) {
  auto r = one_row(log_message_.run(end.id, end.outcome, end.turn, end.attempts, end.history,
                                    end.started_at, end.ended_at, end.reason),
                   "no such pending message", end.id.value);
  if (!r) return r;
  if (end.outcome == MessageOutcome::kDead) {
    if (r = bury_message_.run(end.id, end.turn, end.reason, end.ended_at); !r) return r;
  }
  return remove_message_.run(end.id);
}

void RowWriter::skip_history(const Changes& changes) {
  for (const HistoryRow& row : changes.history) {
    skipped_[row.id] = before(row.prev);
    if (skipped_.size() > kSkippedMax) skipped_.erase(skipped_.begin());
  }
}

HistoryId RowWriter::before(HistoryId prev) const {
  const auto found = skipped_.find(prev);
  return found == skipped_.end() ? prev : found->second;
}

Result<void> RowWriter::history(const HistoryRow& row) {
  return add_history_.run(row.id, row.lane, before(row.prev), row.kind, row.message, row.turn,
                          row.n, row.cut, row.at, row.author, row.meta, row.text);
}

Result<void> RowWriter::part(const PartRow& row) {
  return add_part_.run(row.id, row.lane, row.turn, row.event, row.n, row.kind, row.committed_at,
                       row.held_before_ms, row.claimed_by, row.claimed_at, row.tries, row.plain,
                       row.duplicate, row.not_before, row.reply_to, row.meta, row.text);
}

Result<void> RowWriter::settle(const PartSettlement& settlement) {
  constexpr std::string_view kMissing = "no such part in the outbox";
  const std::int64_t id = settlement.id.value;
  if (settlement.outcome == PartOutcome::kAgain) {
    return one_row(again_.run(settlement.id, settlement.plain, settlement.duplicate,
                              settlement.not_before, settlement.tries),
                   kMissing, id);
  }
  auto r = one_row(log_part_.run(settlement.id, settlement.outcome, settlement.at,
                                 settlement.reason, settlement.platform_id),
                   kMissing, id);
  if (!r) return r;
  if (settlement.outcome == PartOutcome::kDead) {
    if (r = bury_part_.run(settlement.id, settlement.reason, settlement.at); !r) return r;
  }
  return remove_part_.run(settlement.id);
}

Result<void> RowWriter::account(const AccountRow& row) {
  return put_account_.run(row.name, row.state, row.reason, row.since, row.held_ms, row.not_before);
}

Result<void> RowWriter::mark(const std::string& name, const std::string& value) {
  if (name == kRestoredAccepted) {
    if (auto r = accept_restored_.run(); !r) return r;
  }
  return value.empty() ? remove_mark_.run(name) : put_mark_.run(name, value);
}

}  // namespace sluice
