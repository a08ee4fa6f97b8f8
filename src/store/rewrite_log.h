#pragma once
// After a failed fsync Linux keeps what it could not write readable, and takes it for clean: the
// next process would read it from the log, build on it, and no later fsync would ever write it. The
// power then takes acknowledged commits with it. So what is found in the log is copied to a new
// file, synced, and put in the log's place before anything relies on it (C25, C28;
// docs/adr/0003-rewrite-the-log-at-open.md). At every moment the log's name leads to a whole one.

#include <functional>
#include <string>

#include "base/result.h"

namespace sluice {

/// Moves a file over another, and syncs the directory.
using RenameDurably = std::function<Result<void>(const std::string& from, const std::string& to)>;

/// Through the VFS (nullptr: the default one), before the database is opened. No log is no error.
Result<void> rewrite_log(const std::string& database, const char* vfs, const RenameDurably& rename);

}  // namespace sluice
