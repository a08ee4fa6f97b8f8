#include "store/engine.h"

#include <fmt/format.h>

#include "base/mutant.h"
#include "store/reader.h"

namespace sluice {
namespace {

// Ids are promised on disk in blocks, so that one row is written for thousands of transactions.
constexpr std::int64_t kReservedAhead = 65536;

/// Whether an error concerns one transaction and not the file.
bool is_of_one(const Error& error) {
  return error.kind() == ErrorKind::kConflict || error.kind() == ErrorKind::kTooLarge;
}

}  // namespace

SqliteEngine::~SqliteEngine() = default;

void SqliteEngine::apply(std::span<const std::shared_ptr<Store::CommitRequest>> batch) {
  std::vector<const Transaction*> transactions;
  transactions.reserve(batch.size());
  for (const auto& request : batch) transactions.push_back(&request->transaction);
  std::vector<ResultSlot> results(batch.size());
  apply(transactions, results);
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i]->result = std::move(results[i]);
}

void SqliteEngine::apply(std::span<const Transaction* const> batch, std::span<ResultSlot> results) {
  SLUICE_ASSERT(batch.size() == results.size());
  if (failure_) {
    for (ResultSlot& result : results) result.emplace(*failure_);
    return;
  }
  for (std::size_t i = 0; i < batch.size(); ++i) {
    // Submitted before the failure of an earlier one was known: it may build on rows that never
    // were.
    if (batch[i]->epoch < least_epoch_) results[i].emplace(*last_batch_error_);
  }
  Result<void> done = run_batch(batch, results, false);
  if (!done && is_of_one(done.error())) {
    // One transaction can't be applied: again, each by itself. The usual way pays nothing for this.
    roll_back();
    done = run_batch(batch, results, true);
  }
  if (done) {
    keep_batch();
    return;
  }
  if (mutant(Mutant::kFsyncErrorIgnored) && done.error().kind() == ErrorKind::kStorageFailed) {
    if (db_.in_transaction()) (void)rollback_.run();
    keep_batch();
    for (ResultSlot& result : results) {
      if (!result) result.emplace(Receipt{});
    }
    return;
  }
  roll_back();
  batch_failed(batch, results, done.error());
}

Result<void> SqliteEngine::run_batch(std::span<const Transaction* const> batch,
                                     std::span<ResultSlot> results, bool one_by_one) {
  if (auto r = begin_.run(); !r) return r;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i]->epoch < least_epoch_) continue;
    if (one_by_one) {
      if (auto r = run_one_alone(*batch[i], results[i]); !r) return r;
      continue;
    }
    Result<Receipt> receipt = apply_one(*batch[i]);
    if (!receipt) return receipt.error();
    results[i].emplace(std::move(receipt));
  }
  if (auto r = reserve_ids(); !r) return r;
  return commit_.run();
}

Result<void> SqliteEngine::run_one_alone(const Transaction& transaction, ResultSlot& result) {
  if (auto r = savepoint_.run(); !r) return r;
  const std::size_t keys_before = key_log_->added();
  const std::size_t heads_before = batch_heads_.size();
  Result<Receipt> receipt = apply_one(transaction);
  if (!receipt && !is_of_one(receipt.error())) return receipt.error();
  if (!receipt) {
    if (auto r = rollback_to_.run(); !r) return r;
    skip_history(transaction);
    key_log_->undo_to(keys_before);
    batch_heads_.resize(heads_before);
  }
  result.emplace(std::move(receipt));
  return release_.run();
}

void SqliteEngine::skip_history(const Transaction& transaction) {
  for (const KeyedEvent& event : transaction.events) rows_->skip_history(event.then);
  rows_->skip_history(transaction.changes);
}

Result<Receipt> SqliteEngine::apply_one(const Transaction& transaction) {
  Receipt receipt;
  for (const ConversationRow& row : transaction.conversations) {
    note_id(row.id.value);
    if (auto r = rows_->conversation(row); !r) return r.error();
  }
  receipt.events.reserve(transaction.events.size());
  for (const KeyedEvent& event : transaction.events) {
    Result<Receipt::Event> applied = apply_event(event);
    if (!applied) return applied.error();
    receipt.events.push_back(*applied);
  }
  for (const Cursor& cursor : transaction.cursors) {
    if (auto r = rows_->cursor(cursor); !r) return r.error();
  }
  if (auto r = apply_changes(transaction.changes); !r) return r.error();
  return receipt;
}

Result<Receipt::Event> SqliteEngine::apply_event(const KeyedEvent& event) {
  note_id(event.id.value);
  if (!mutant(Mutant::kNoDedupe)) {
    const auto hit = key_log_->find(event.key, event.content);
    if (!hit) return hit.error();
    const bool repeated = hit->has_value() && ((*hit)->same_content || event.refuse_other_content);
    if (repeated) rows_->skip_history(event.then);
    if (hit->has_value() && (*hit)->same_content) {
      return Receipt::Event{EventVerdict::kDuplicate, (*hit)->id};
    }
    if (hit->has_value() && event.refuse_other_content) {
      return Receipt::Event{EventVerdict::kOtherContent, (*hit)->id};
    }
  }
  if (auto r = key_log_->add(event.id, event.key, event.content, event.at); !r) return r.error();
  if (event.handled) {
    // The log names the conversation of what the event set off.
    LaneId lane = event.message ? event.message->lane : event.lane;
    if (!lane && !event.then.parts.empty()) lane = event.then.parts.front().lane;
    if (!lane && !event.then.history.empty()) lane = event.then.history.front().lane;
    const std::string_view sender = event.message ? std::string_view(event.message->sender) : "";
    if (auto r = rows_->handled(*event.handled, lane, sender); !r) return r.error();
  } else if (event.message) {
    if (auto r = rows_->message(*event.message); !r) return r.error();
  }
  if (auto r = apply_changes(event.then); !r) return r.error();
  return Receipt::Event{EventVerdict::kNew, event.id};
}

Result<void> SqliteEngine::apply_changes(const Changes& changes) {
  if (auto r = rows_->changes(changes); !r) return r;
  for (const TurnRow& row : changes.turns) note_id(row.id.value);
  for (const PartRow& row : changes.parts) note_id(row.id.value);
  for (const HistoryRow& row : changes.history) {
    note_id(row.id.value);
    batch_heads_.emplace_back(row.lane, row.id);
    if (row.id <= std::max(heads_upto_, flush_to_)) {
      // A late id: the start would not look for it in the log any more.
      if (auto r = rows_->head(row.lane, row.id); !r) return r;
    }
  }
  return {};
}

Result<void> SqliteEngine::reserve_ids() {
  if (next_id_ <= reserved_to_) return {};
  batch_reserved_to_ = next_id_ + kReservedAhead;
  return put_meta_.run("next_id", batch_reserved_to_);
}

void SqliteEngine::roll_back() {
  if (db_.in_transaction()) {
    if (auto r = rollback_.run(); !r) (void)note_failure(r.error());
  }
  key_log_->undo_to(0);
  batch_heads_.clear();
  batch_reserved_to_ = 0;
}

void SqliteEngine::keep_batch() {
  key_log_->keep();
  reserved_to_ = std::max(reserved_to_, std::exchange(batch_reserved_to_, 0));
  for (const auto& [lane, line] : batch_heads_) {
    HistoryId& head = heads_[lane];
    head = std::max(head, line);
    newest_history_ = std::max(newest_history_, line);
  }
  lines_since_flush_ += batch_heads_.size();
  batch_heads_.clear();
  ++commits_;
}

void SqliteEngine::batch_failed(std::span<const Transaction* const> batch,
                                std::span<ResultSlot> results, const Error& error) {
  last_batch_error_ = note_failure(error);
  std::uint64_t newest = least_epoch_;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    newest = std::max(newest, batch[i]->epoch + 1);
    results[i].emplace(*last_batch_error_);
  }
  least_epoch_ = newest;
}

void SqliteEngine::refuse_upto(std::uint64_t epoch, const Error& error) {
  least_epoch_ = std::max(least_epoch_, epoch + 1);
  last_batch_error_ = error;
}

Error SqliteEngine::note_failure(Error error) {
  if (error.kind() == ErrorKind::kDiskFull || error.kind() == ErrorKind::kUnavailable) return error;
  if (!failure_) failure_ = Error(ErrorKind::kStorageFailed, error.context());
  return *failure_;
}

Result<std::unique_ptr<SqliteReader>> SqliteEngine::make_reader(Clock* clock) const {
  return SqliteReader::open(path_, options_.vfs, keys_, clock);
}

Result<EraseReport> SqliteEngine::erase_person(const std::string& account,
                                               const std::string& sender) {
  if (failure_) return *failure_;
  Result<EraseReport> report = erase_rows(db_, account, sender);
  if (!report) return note_failure(report.error());
  if (mutant(Mutant::kEraseKeepsText)) return report;
  if (auto r = scrub(db_); !r) return note_failure(r.error());
  log_pages_ = 0;
  return report;
}

Result<std::unique_ptr<BackupJob>> SqliteEngine::begin_backup(const std::string& path,
                                                              UnixMillis now) {
  if (failure_) return *failure_;
  return BackupJob::begin(db_, hash_key_, now, path);
}

Result<CheckReport> SqliteEngine::check() { return check_database(db_, path_); }

}  // namespace sluice
