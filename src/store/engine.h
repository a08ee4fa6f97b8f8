#pragma once
// SqliteEngine: the store of one data directory, on SQLite in WAL mode. Synchronous: every call
// does its work and returns. Production gives it a thread (threaded_store.h); the simulation steps
// it.
//
// One connection, this one, writes and checkpoints (Debian's SQLite 3.40 can corrupt a file when
// two do so at the same moment: https://www.sqlite.org/wal.html#walresetbug); readers (reader.h)
// only query. Every commit is fsynced (synchronous=FULL) before apply() returns (C1).
//
// Thread: one at a time, the writer thread. Errors: a failed write or fsync poisons the engine:
// every later call fails with kStorageFailed, and the process must end (C28). A full disk is rolled
// back and may pass.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "gateway/store.h"
#include "store/backup.h"
#include "store/check.h"
#include "store/dedupe.h"
#include "store/early_read.h"
#include "store/erase.h"
#include "store/files.h"
#include "store/key_log.h"
#include "store/retention.h"
#include "store/rewrite_log.h"
#include "store/row_writer.h"
#include "store/schema.h"
#include "store/sqlite.h"

namespace sluice {

class SqliteReader;

struct StoreOptions {
  std::string directory;
  UnixMillis now;  // the wall clock at opening
  /// The name of a registered VFS of the simulation; then nothing of the host's file system is
  /// touched: no lock, no rights, no key file, no identity but those below.
  const char* vfs = nullptr;
  RenameDurably rename = files::rename_durably;  // a VFS has none
  std::optional<HashKey> hash_key;               // with a VFS: the key
  std::optional<std::string> identity;           // instead of the machine's and the file's
  bool allow_network_file_system = false;
  int lock = -1;  // the directory's lock, if the process before this one has handed it over; taken
  /// The process before this one has closed the store for us, in good order: what is in the log it
  /// has synced.
  bool log_is_synced = false;
  std::shared_ptr<EarlyRead> early;  // of this store, before it was closed so; taken

  std::size_t cache_bytes = 16 << 20;      // of pages, at most
  std::size_t keys_in_memory = 7'500'000;  // about 20 bytes each
  std::chrono::milliseconds key_retention = std::chrono::days(30);
  std::chrono::milliseconds text_retention = std::chrono::days(90);
  std::int64_t checkpoint_pages = 4000;       // of the log; more is slower and stalls longer
  std::uint64_t quick_check_bytes = 8 << 20;  // larger files are checked by check() only
};

class SqliteEngine {
 public:
  /// Opens or makes the store, in this order: directory, file system, lock, key, file, migration,
  /// integrity, generation. Errors say what to do: kConflict (another daemon), kNotFound (the hash
  /// key is gone, C4), kUnsupported (newer version, network file system), kCorrupt,
  /// kPermissionDenied.
  static Result<std::unique_ptr<SqliteEngine>> open(StoreOptions options);
  /// Closes as after a crash: nothing is written. close() is the clean way.
  ~SqliteEngine();
  SqliteEngine(const SqliteEngine&) = delete;
  SqliteEngine& operator=(const SqliteEngine&) = delete;

  /// What was found; the caller may move it away.
  Recovered& recovered() { return recovered_; }
  const HashKey& hash_key() const { return hash_key_; }
  /// Another descriptor of the directory's lock, for a successor: the caller's.
  int share_lock() const { return lock_.share(); }
  std::int64_t generation() const { return generation_; }
  const MigrationReport& migration() const { return migration_; }

  /// One commit for all. Sets each request's result.
  void apply(std::span<const std::shared_ptr<Store::CommitRequest>> batch);
  /// The same, for a caller whose results must not be seen yet: results[i] belongs to batch[i].
  using ResultSlot = std::optional<Result<Receipt>>;
  void apply(std::span<const Transaction* const> batch, std::span<ResultSlot> results);
  /// Transactions up to this epoch fail with the error, as after a failed commit: one of them could
  /// not even be queued.
  void refuse_upto(std::uint64_t epoch, const Error& error);
  /// Set once a write or fsync has failed, and after close().
  const std::optional<Error>& failure() const { return failure_; }

  enum class Effort : std::uint8_t {
    kBusy,  // only what can't wait: call it after every batch
    kIdle,  // one slice of a few milliseconds of whatever is due
  };
  /// may_prune: false while the clock is suspect (C29). True: there is more to do now.
  Result<bool> maintain(UnixMillis now, Effort effort, bool may_prune);
  /// Rows that retention has removed since opening.
  const Retention::Counts& pruned() const { return retention_->counts(); }

  /// A connection of its own for reading; the engine must outlive it. It may be used on another
  /// thread. clock: bounds each read; nullptr for no bound.
  Result<std::unique_ptr<SqliteReader>> make_reader(Clock* clock) const;

  /// C31. Blocks the writer while it scans and scrubs (about a second a gigabyte). The person's
  /// pending messages and parts should have been ended by the core: here only their text goes.
  Result<EraseReport> erase_person(const std::string& account, const std::string& sender);

  /// A copy that other commits may pass by: step it until it is done (backup.h).
  Result<std::unique_ptr<BackupJob>> begin_backup(const std::string& path, UnixMillis now);
  /// Reads the whole file.
  Result<CheckReport> check();

  /// Copies as much of the log into the file as readers allow.
  Result<void> checkpoint();
  /// The file may grow to this many pages (4 KiB); then it behaves as on a full disk.
  void limit_pages(std::int64_t pages);
  /// One slice of what makes the next opening quick. True: there is more.
  Result<bool> tidy();
  enum class Closing : std::uint8_t {
    kForGood,       // writes all heads, and empties the log
    kForSuccessor,  // leaves both to a process that waits for it; tidy() has done most of it
  };
  /// The last call.
  Result<void> close(Closing how = Closing::kForGood);
  bool closed() const { return !db_.is_open(); }

 private:
  explicit SqliteEngine(StoreOptions options) : options_(std::move(options)) {}
  Result<void> open_files();
  Result<void> open_key();
  Result<void> open_database();
  Result<void> check_file();
  Result<void> check_hash_key();
  Result<void> begin_generation();
  Result<std::string> reason_to_think_restored();
  Result<void> load();
  Result<void> prepare();

  Result<void> run_batch(std::span<const Transaction* const> batch, std::span<ResultSlot> results,
                         bool one_by_one);
  Result<void> run_one_alone(const Transaction& transaction, ResultSlot& result);
  void skip_history(const Transaction& transaction);
  Result<Receipt> apply_one(const Transaction& transaction);
  Result<Receipt::Event> apply_event(const KeyedEvent& event);
  Result<void> apply_changes(const Changes& changes);
  Result<void> reserve_ids();
  void note_id(std::int64_t id) { next_id_ = std::max(next_id_, id + 1); }
  void roll_back();
  void keep_batch();
  void batch_failed(std::span<const Transaction* const> batch, std::span<ResultSlot> results,
                    const Error& error);
  /// Notes an error after which nothing may be written any more.
  Error note_failure(Error error);

  Result<bool> idle_slice(UnixMillis now, bool may_prune);
  Result<bool> flush_heads_slice();
  Result<void> note_counts();
  Result<bool> vacuum_slice();

  StoreOptions options_;
  std::string path_;
  files::LockFile lock_;
  HashKey hash_key_{};
  sqlite::Database db_;
  std::shared_ptr<KeySet> keys_ = std::make_shared<KeySet>();
  sqlite::Statement begin_, commit_, rollback_, savepoint_, release_, rollback_to_, put_meta_;
  std::unique_ptr<RowWriter> rows_;
  std::unique_ptr<KeyLog> key_log_;
  std::unique_ptr<Retention> retention_;
  MigrationReport migration_;
  Recovered recovered_;
  std::int64_t read_upto_ = 0;  // by an early read; 0: there was none
  std::int64_t generation_ = 0;
  std::optional<Error> failure_;

  std::uint64_t least_epoch_ = 0;  // older transactions are refused
  std::optional<Error> last_batch_error_;

  // Ids below it may have been used; raised on disk a block ahead of next_id_.
  std::int64_t reserved_to_ = 1;
  std::int64_t batch_reserved_to_ = 0;  // 0: the batch did not raise it
  std::int64_t next_id_ = 1;

  // Heads that are newer than on disk. The table heads knows all history up to heads_upto_; while a
  // flush is under way, flushing_ holds what is missing up to flush_to_.
  std::unordered_map<LaneId, HistoryId> heads_;
  std::vector<std::pair<LaneId, HistoryId>> batch_heads_;
  std::vector<std::pair<LaneId, HistoryId>> flushing_;
  HistoryId heads_upto_;
  HistoryId flush_to_;
  HistoryId newest_history_;
  std::uint64_t lines_since_flush_ = 0;

  std::int64_t log_pages_ = 0;  // in the WAL, as of the last commit; 0 once all is in the file
  std::int64_t checkpoint_at_ = 0;
  std::uint64_t commits_ = 0;
  std::uint64_t commits_seen_ = 0;
  UnixMillis quiet_since_;
  bool vacuum_due_ = true;
};

}  // namespace sluice
