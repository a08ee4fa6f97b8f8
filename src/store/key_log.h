#pragma once
// KeyLog: every key that was ever accepted, for as long as it is kept (C3, C4).
//
// On disk the newest keys are an append-only log by message id (key_log); in memory a KeySet says
// which rows may hold a key. When the set is full, the oldest keys move, off the hot path, into one
// sorted table for each day (keys_YYYYMMDD), behind a Bloom filter. Keys of pending messages are
// never forgotten.
//
// Writer thread. Errors as sqlite.h; an error inside the batch's transaction ends the batch.

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "store/dedupe.h"
#include "store/sqlite.h"

namespace sluice {

/// An earlier event with the same key.
struct KeyHit {
  MessageId id;
  bool same_content = false;
};

class KeyLog {
 public:
  struct Limits {
    std::size_t in_memory = 0;  // keys; beyond it the oldest move to the tables of days
  };
  /// set: holds all keys of the log already (key_load.h).
  static Result<std::unique_ptr<KeyLog>> open(sqlite::Database& db, std::shared_ptr<KeySet> set,
                                              Limits limits);

  /// The event with this key and content; else the newest one with the key and other content.
  Result<std::optional<KeyHit>> find(const Key128& key, const Key128& content);

  /// Inside the batch's transaction. Until keep() it can be undone.
  Result<void> add(MessageId id, const Key128& key, const Key128& content, UnixMillis at);
  std::size_t added() const { return added_.size(); }
  /// Takes back what was added after the given count: its transaction was not committed.
  void undo_to(std::size_t added);
  /// The batch is on disk.
  void keep() { added_.clear(); }

  // Work for quiet moments. Each call is one short transaction; true: there is more to do.
  /// Moves keys beyond the limit into the tables of their days.
  Result<bool> move_slice();
  /// Forgets keys older than the cutoff, but those of pending messages.
  Result<bool> prune_slice(UnixMillis cutoff);

  /// Keys in memory.
  std::size_t size() const { return set_->size(); }

 private:
  struct Day {
    sqlite::Statement find;
    sqlite::Statement insert;
    BloomFilter filter;
  };
  struct LoggedKey {
    MessageId id;
    Key128 key;
    Key128 content;
    UnixMillis at;
    bool pending = false;
  };
  KeyLog(sqlite::Database& db, std::shared_ptr<KeySet> set, Limits limits)
      : db_(db), set_(std::move(set)), limits_(limits) {}
  Result<void> load_days();
  Result<Day*> open_day(std::int64_t day);
  Result<void> load_day(std::int64_t day);
  Result<std::vector<LoggedKey>> read_slice(std::int64_t after);
  Result<std::vector<LoggedKey>> move_oldest();
  /// After a rollback: tables made in that transaction are gone with it.
  void forget_missing_days();
  Result<bool> prune_day(UnixMillis cutoff);
  Result<void> find_in_days(const Key128& key, const Key128& content, std::optional<KeyHit>& hit);

  sqlite::Database& db_;
  std::shared_ptr<KeySet> set_;
  Limits limits_;
  sqlite::Statement select_;
  sqlite::Statement insert_;
  sqlite::Statement oldest_;
  sqlite::Statement remove_;
  std::map<std::int64_t, Day> days_;
  std::vector<KeySet::Entry> added_;
  std::vector<MessageId> candidates_;  // kept for its memory
  std::int64_t pruned_to_ = 0;
};

/// The table of a day, counted from 1970.
std::string key_table(std::int64_t day);

}  // namespace sluice
