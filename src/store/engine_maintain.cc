// What the engine does between commits: checkpoints, derived rows, retention, compaction.

#include <algorithm>

#include <fmt/format.h>

#include "store/engine.h"

namespace sluice {
namespace {

// With nothing else to do, copy the log into the file when it has this many pages, or after this
// long.
constexpr std::int64_t kIdleCheckpointPages = 1000;
constexpr std::chrono::seconds kQuiet{30};

// Lines of history since the heads were written. The start reads as many again: some 100 ms at
// most.
constexpr std::uint64_t kIdleFlushLines = 8192;
constexpr std::uint64_t kBusyFlushLines = 65536;
// Heads of one transaction; each may touch a page of its own.
constexpr std::size_t kFlushSlice = 250;

// Free pages that are worth giving back, and how many at once.
constexpr std::int64_t kVacuumPages = 2048;
constexpr int kVacuumSlice = 100;

}  // namespace

Result<bool> SqliteEngine::maintain(UnixMillis now, Effort effort, bool may_prune) {
  if (failure_) return *failure_;
  if (commits_ != commits_seen_) {
    commits_seen_ = commits_;
    quiet_since_ = now;
  }
  Result<bool> more = false;
  if (log_pages_ >= checkpoint_at_) {
    const Result<void> done = checkpoint();
    more = done ? Result<bool>(log_pages_ == 0) : Result<bool>(done.error());
  } else if (!flushing_.empty() || lines_since_flush_ >= kBusyFlushLines) {
    more = flush_heads_slice();
  } else if (effort == Effort::kIdle) {
    more = idle_slice(now, may_prune);
  }
  if (more) return more;
  const Error error = note_failure(more.error());
  if (failure_) return error;
  return false;  // a full disk or a busy reader: later
}

Result<bool> SqliteEngine::idle_slice(UnixMillis now, bool may_prune) {
  const bool quiet = now - quiet_since_ >= kQuiet || now < quiet_since_;
  if (log_pages_ >= std::min(kIdleCheckpointPages, checkpoint_at_) || (quiet && log_pages_ > 0)) {
    if (auto r = checkpoint(); !r) return r.error();
    if (log_pages_ == 0) return true;
  }
  if (lines_since_flush_ >= kIdleFlushLines) return flush_heads_slice();
  const Result<bool> more_keys = key_log_->move_slice();
  if (!more_keys || *more_keys) return more_keys;
  if (may_prune) {
    const Result<bool> more = retention_->step(now);
    if (more && *more) vacuum_due_ = true;
    if (!more || *more) return more;
  }
  return vacuum_due_ ? vacuum_slice() : Result<bool>(false);
}

Result<void> SqliteEngine::checkpoint() {
  int in_log = 0;
  int copied = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(db_.handle(), "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
  if (code != SQLITE_OK && code != SQLITE_BUSY) return db_.error(code, "checkpoint");
  if (code == SQLITE_OK && copied >= in_log) {
    log_pages_ = 0;
    checkpoint_at_ = options_.checkpoint_pages;
  } else {
    // A reader still needs the old state. Try again when the log has grown by a quarter more.
    checkpoint_at_ = log_pages_ + options_.checkpoint_pages / 4;
  }
  return {};
}

void SqliteEngine::limit_pages(std::int64_t pages) {
  (void)db_.exec(fmt::format("PRAGMA max_page_count={}", pages));
}

Result<bool> SqliteEngine::flush_heads_slice() {
  if (flushing_.empty()) {
    flushing_.assign(heads_.begin(), heads_.end());
    heads_.clear();
    // Descending: slices are taken from the back.
    std::sort(flushing_.rbegin(), flushing_.rend());
    flush_to_ = newest_history_;
    lines_since_flush_ = 0;
  }
  auto scope = sqlite::WriteScope::begin(db_);
  if (!scope) return scope.error();
  const std::size_t count = std::min(flushing_.size(), kFlushSlice);
  for (std::size_t i = flushing_.size() - count; i < flushing_.size(); ++i) {
    if (auto r = rows_->head(flushing_[i].first, flushing_[i].second); !r) return r.error();
  }
  const bool last = count == flushing_.size();
  if (last) {
    if (auto r = put_meta_.run("heads_upto", flush_to_); !r) return r.error();
  }
  if (auto r = scope->commit(); !r) return r.error();
  flushing_.resize(flushing_.size() - count);
  if (last) heads_upto_ = flush_to_;
  return true;
}

Result<bool> SqliteEngine::vacuum_slice() {
  const auto free = db_.query_integer("PRAGMA freelist_count");
  if (!free) return free.error();
  const auto all = db_.query_integer("PRAGMA page_count");
  if (!all) return all.error();
  // Pages that will soon be used again are left alone.
  if (free->value_or(0) < kVacuumPages || free->value_or(0) < all->value_or(0) / 4) {
    vacuum_due_ = false;
    return false;
  }
  if (auto r = db_.exec(fmt::format("PRAGMA incremental_vacuum({})", kVacuumSlice)); !r)
    return r.error();
  return true;
}

Result<bool> SqliteEngine::tidy() {
  if (failure_) return *failure_;
  Result<bool> more = false;
  if (!flushing_.empty() || lines_since_flush_ > kFlushSlice) {
    more = flush_heads_slice();
  } else if (log_pages_ > 0) {
    const Result<void> done = checkpoint();
    if (!done) more = done.error();
  }
  if (!more) return note_failure(more.error());
  return more;
}

Result<void> SqliteEngine::close(Closing how) {
  if (failure_) return *failure_;
  if (how == Closing::kForGood) {
    while (!heads_.empty() || !flushing_.empty()) {
      if (auto r = flush_heads_slice(); !r) return note_failure(r.error());
    }
  }
  if (auto r = note_counts(); !r) return note_failure(r.error());
  if (how == Closing::kForGood) {
    // Readers are closed by now; if one is not, the log stays and the next start reads it.
    const int code = sqlite3_wal_checkpoint_v2(db_.handle(), "main", SQLITE_CHECKPOINT_TRUNCATE,
                                               nullptr, nullptr);
    if (code != SQLITE_OK && code != SQLITE_BUSY)
      return note_failure(db_.error(code, "last checkpoint"));
  }
  retention_.reset();
  key_log_.reset();
  rows_.reset();
  for (sqlite::Statement* statement :
       {&begin_, &commit_, &rollback_, &savepoint_, &release_, &rollback_to_, &put_meta_}) {
    *statement = sqlite::Statement();
  }
  db_.close();
  failure_ = Error(ErrorKind::kStorageFailed, "the store is closed");
  lock_ = files::LockFile();
  return {};
}

Result<void> SqliteEngine::note_counts() {
  auto scope = sqlite::WriteScope::begin(db_);
  if (!scope) return scope.error();
  for (const auto& [name, value] : {std::pair<std::string_view, std::int64_t>{"next_id", next_id_},
                                    {"key_count", static_cast<std::int64_t>(key_log_->size())}}) {
    if (auto r = put_meta_.run(name, value); !r) return r;
  }
  return scope->commit();
}

}  // namespace sluice
