#pragma once
// Erasure of one person (C31), and the export of what is stored about one.
//
// Erased: texts, names, attachments' lists and replies' metadata of that person's messages, in
// pending messages, history and dead letters; in direct conversations the agents' words too. Kept:
// ids, keyed hashes, times, outcomes. Backups and migration copies are out of reach.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/sqlite.h"

namespace sluice {

struct EraseReport {
  std::int64_t conversations = 0;  // direct ones
  std::int64_t messages = 0;       // pending and done
  std::int64_t history = 0;
  std::int64_t parts = 0;
  std::int64_t dead_letters = 0;
};

/// Writer thread, between commits. One transaction that reads every table of texts once. The erased
/// bytes are overwritten in the pages that hold them; scrub() does the rest.
Result<EraseReport> erase_rows(sqlite::Database& db, const std::string& account,
                               const std::string& sender);

/// Makes what was deleted unreadable in the file and its log: checkpoints, overwrites the unused
/// parts of every page, overwrites the log and empties it. Writer thread, between commits; about a
/// second a gigabyte. kUnavailable if a reader kept an old state open for too long: nothing is
/// lost, try again.
Result<void> scrub(sqlite::Database& db);

/// Calls line() with one JSON object for each stored line of the person: kind, time, text. Any
/// connection; one read transaction. line() returns false to stop.
Result<std::int64_t> export_person(sqlite::Database& db, const std::string& account,
                                   const std::string& sender,
                                   const std::function<bool(std::string_view)>& line);

}  // namespace sluice
