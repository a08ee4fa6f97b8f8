#pragma once
// What can be said about a store's file by reading all of it: for `sluice doctor`.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/sqlite.h"

namespace sluice {

struct CheckReport {
  std::vector<std::string> problems;  // empty: sound
  int schema = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t log_bytes = 0;                             // of the write-ahead log
  std::uint64_t free_bytes = 0;                            // inside the file, to be reused
  std::vector<std::pair<std::string, std::int64_t>> rows;  // by table
};

/// Any connection; its thread. Takes about a second a gigabyte. Problems are told in the report; an
/// error is returned only if the file can't be read.
Result<CheckReport> check_database(sqlite::Database& db, const std::string& path);

}  // namespace sluice
