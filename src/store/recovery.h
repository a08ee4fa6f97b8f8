#pragma once
// Recovery: reads what a process must know when it opens the store. One pass over each table, in
// the order in which it lies on disk.

#include "base/hash.h"
#include "base/result.h"
#include "gateway/store.h"
#include "store/sqlite.h"

namespace sluice {

/// Fills everything but generation, restored, next_id. `person` of a message is
/// KeyedHash(key).add(account).add(sender).finish().low; its `bytes` are those of its text.
/// Takes about 0.3 s for a million conversations. Errors as sqlite.h.
///
/// since: not 0 if out.conversations holds what read_conversations() found when greatest_id() was
/// that: then only what has changed after it is read of them.
Result<void> recover(sqlite::Database& db, const HashKey& key, Recovered& out,
                     std::int64_t since = 0);

/// Every conversation and where its log stands; another process may write meanwhile.
Result<Conversations> read_conversations(sqlite::Database& db);

/// The greatest id of any row that is still there.
Result<std::int64_t> greatest_id(sqlite::Database& db);

}  // namespace sluice
