#pragma once
// The tables, and how a file of an older version becomes one of this version.
//
// Hot tables are ordered by rowid only, and every rowid is an id from the one ascending counter:
// rows are added at the right edge and finished rows leave near the left one, so a commit touches
// few pages however large the file is. The one secondary index on a log (part_log_cause) ascends
// with it. conversations_of_owner does not, but only a conversation's first message touches it.
//
//   conversations  one row for each lane that ever was
//   heads          where each lane's history stands; derived, written lazily (meta heads_upto)
//   messages       pending messages          message_log  how the others ended
//   turns          open turns
//   outbox         parts not settled         part_log     how the others ended
//   history        the conversations' lines, append-only
//   dead_messages, dead_parts                dead letters, with their bodies
//   key_log        keys of events, append-only; keys_YYYYMMDD (key_log.h) hold the older ones
//   accounts, cursors, marks, meta           small

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/sqlite.h"

namespace sluice {

/// One step of the schema; its number is its place in the list, from 1.
struct Migration {
  std::string_view sql;
};

std::span<const Migration> migrations();

struct MigrationReport {
  int from = 0;  // 0: the file was empty
  int to = 0;
  std::string backup;  // the copy that was made before; empty if none was needed
};

/// Brings the file to the last step, in one transaction. Before it changes a file that holds data,
/// it copies it to `<path>.before-v<to>` on the same VFS, unless that copy exists. Fails with
/// kUnsupported if the file was written by a newer version.
Result<MigrationReport> migrate(sqlite::Database& db, const std::string& path, const char* vfs,
                                std::span<const Migration> steps);

/// Values of the table meta.
Result<std::optional<std::int64_t>> meta_integer(sqlite::Database& db, std::string_view name);
Result<std::optional<std::string>> meta_text(sqlite::Database& db, std::string_view name);
Result<void> set_meta(sqlite::Database& db, std::string_view name, std::int64_t value);
Result<void> set_meta(sqlite::Database& db, std::string_view name, std::string_view value);

/// Copies all of db into a new file, which is then complete and synced. Any old file of that name
/// goes.
Result<void> copy_database(sqlite::Database& db, const std::string& to, const char* vfs);

}  // namespace sluice
