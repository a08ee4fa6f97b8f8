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
/// Takes about a second for a million conversations. Errors as sqlite.h.
Result<void> recover(sqlite::Database& db, const HashKey& key, Recovered& out);

/// The greatest id of any row that is still there.
Result<std::int64_t> greatest_id(sqlite::Database& db);

}  // namespace sluice
