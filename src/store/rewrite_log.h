#pragma once
// After a failed fsync Linux keeps what it could not write readable, and takes it for clean: the
// next process would read it from the log, build on it, and no later fsync would ever write it. The
// power then takes acknowledged commits with it. So what is found in the log is written again, byte
// for byte, and synced, before anything relies on it (C25, C28;
// docs/adr/0003-rewrite-the-log-at-open.md).

#include <string>

#include "base/result.h"

namespace sluice {

/// Through the VFS (nullptr: the default one), before the database is opened. No log is no error.
Result<void> rewrite_log(const std::string& database, const char* vfs);

}  // namespace sluice
