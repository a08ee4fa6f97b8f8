#pragma once
// Retention: forgets what is older than it has to be, in slices that never hold up a commit for
// long. Text and history go after text_retention, with the logs of messages, parts and dead
// letters; keys after key_retention (C4). Conversations, counters and accounts stay.
//
// Writer thread, between commits. Errors as sqlite.h.

#include <chrono>
#include <cstdint>

#include "base/result.h"
#include "base/time.h"
#include "store/key_log.h"
#include "store/sqlite.h"

namespace sluice {

class Retention {
 public:
  struct Limits {
    std::chrono::milliseconds text{0};
    std::chrono::milliseconds keys{0};
  };
  /// Rows removed since opening.
  struct Counts {
    std::int64_t history = 0;
    std::int64_t messages = 0;
    std::int64_t parts = 0;
    std::int64_t dead_letters = 0;
    std::int64_t keys = 0;
  };
  /// The pause between two passes over everything.
  static constexpr std::chrono::minutes kEvery{10};

  Retention(sqlite::Database& db, KeyLog& keys, Limits limits, UnixMillis now)
      : db_(db), keys_(keys), limits_(limits), next_pass_(now + std::chrono::minutes(1)) {}

  /// One slice, in a transaction of its own, if a pass is due. True: there is more to do now.
  Result<bool> step(UnixMillis now);
  const Counts& counts() const { return counts_; }

 private:
  Result<bool> remove_rows(std::size_t table, UnixMillis cutoff);

  sqlite::Database& db_;
  KeyLog& keys_;
  Limits limits_;
  UnixMillis next_pass_;
  std::size_t at_ = 0;  // which table this pass has come to
  Counts counts_;
};

}  // namespace sluice
