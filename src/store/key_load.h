#pragma once
// KeyLoad: reads every key of the log into the set when a store is opened; a million take about
// 0.2 s of one core. The log is cut into ranges of ids; whoever has time takes the next one: a
// thread with a connection of its own, from begin() on, and in finish() the caller.
//
// Used by the thread that opens the store. Nothing may write keys meanwhile.

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "store/dedupe.h"
#include "store/sqlite.h"

namespace sluice {

class KeyLoad {
 public:
  /// Fewer keys than about this many are not worth a thread.
  static constexpr std::int64_t kAlone = 100'000;

  /// path: of the store that db has open, where another connection may read it from another thread;
  /// empty: nowhere. since: rows up to this id are in the set already.
  static Result<std::unique_ptr<KeyLoad>> begin(sqlite::Database& db, const std::string& path,
                                                std::shared_ptr<KeySet> set,
                                                std::int64_t since = 0);
  /// Helps, and returns when all are in the set. The first error, if there was one.
  Result<void> finish();
  /// Gives up what has not been read.
  ~KeyLoad() { next_ = kRanges; }

 private:
  static constexpr std::int64_t kRanges = 64;

  KeyLoad(sqlite::Database& db, std::shared_ptr<KeySet> set) : db_(db), set_(std::move(set)) {}
  Result<void> read_ranges(sqlite::Database& db);
  Result<void> read_from(const std::string& path);

  sqlite::Database& db_;
  std::shared_ptr<KeySet> set_;
  std::int64_t first_ = 0;  // the least id
  std::int64_t width_ = 1;  // of a range
  std::atomic<std::int64_t> next_{0};
  Result<void> helped_;  // the thread's, once it has ended
  std::jthread helper_;  // last: it uses the others
};

}  // namespace sluice
