#pragma once
// RowWriter: turns the changes of a transaction into rows, with statements prepared once. It knows
// nothing of batches and commits (engine.h) nor of keys (key_log.h).
//
// Writer thread, inside a transaction. Errors: kConflict when a row that has to be there is not, or
// one that must not be there is; the caller then rolls back. All others as sqlite.h.

#include <map>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"
#include "gateway/store.h"
#include "store/sqlite.h"

namespace sluice {

class RowWriter {
 public:
  static Result<std::unique_ptr<RowWriter>> open(sqlite::Database& db);

  Result<void> conversation(const ConversationRow& row);
  Result<void> message(const MessageRow& row);
  /// An event that was done at once: no pending row ever was.
  Result<void> handled(const MessageEnd& end, LaneId lane, std::string_view sender);
  Result<void> cursor(const Cursor& cursor);
  Result<void> changes(const Changes& changes);
  /// The lines of a repeated event, or of a transaction that failed alone, are not written: what
  /// was built on them is put right.
  void skip_history(const Changes& changes);
  /// Notes where a lane's history stands; see schema.h, heads.
  Result<void> head(LaneId lane, HistoryId head);

  /// The core accepts a restored store by setting this mark (C30).
  static constexpr std::string_view kRestoredAccepted = "restored_accepted";

 private:
  explicit RowWriter(sqlite::Database& db) : db_(db) {}
  Result<void> prepare();
  Result<void> one_row(Result<void> ran, std::string_view what, std::int64_t id) const;

  Result<void> turn(const TurnRow& row);
  Result<void> end_message(const MessageEnd& end);
  Result<void> history(const HistoryRow& row);
  Result<void> part(const PartRow& row);
  Result<void> settle(const PartSettlement& settlement);
  Result<void> account(const AccountRow& row);
  Result<void> mark(const std::string& name, const std::string& value);
  Result<void> turns_and_messages(const Changes& changes);
  Result<void> delivery(const Changes& changes);
  Result<void> rest(const Changes& changes);

  sqlite::Database& db_;
  sqlite::Statement add_conversation_, put_head_, put_session_;
  sqlite::Statement add_message_, log_handled_, log_message_, bury_message_, remove_message_,
      rewrite_, unbury_message_;
  sqlite::Statement put_turn_, remove_turn_;
  sqlite::Statement add_history_;
  sqlite::Statement add_part_, claim_, log_part_, bury_part_, remove_part_, again_, unbury_part_;
  // Lines that were not written, and what came before each. The core may have built on such a line
  // before it learned of that; ids ascend, and so many are never under way.
  static constexpr std::size_t kSkippedMax = 8192;
  std::map<HistoryId, HistoryId> skipped_;
  HistoryId before(HistoryId prev) const;

  sqlite::Statement put_cursor_, put_account_, put_mark_, remove_mark_, accept_restored_;
};

}  // namespace sluice
