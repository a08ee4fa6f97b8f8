#pragma once
// Backup and restore (C4, C30). A backup is one SQLite file: the whole store, the hash key, and a
// mark by which a store restored from it is known. Whoever has the file can read every message: it
// is made with mode 0600.

#include <cstdint>
#include <memory>
#include <string>

#include "base/hash.h"
#include "base/result.h"
#include "base/time.h"
#include "store/sqlite.h"

namespace sluice {

struct BackupReport {
  std::string path;
  std::uint64_t bytes = 0;
};

/// A backup while the daemon runs. It is a consistent copy as of its last step: what this
/// connection commits in between is carried over. Writer thread; the engine must outlive it.
/// Destroying it before finish() removes what was written.
class BackupJob {
 public:
  /// kConflict if the target exists.
  static Result<std::unique_ptr<BackupJob>> begin(sqlite::Database& source, const HashKey& key,
                                                  UnixMillis now, std::string path);
  ~BackupJob();

  /// Copies about a megabyte. False: all is copied, call finish().
  Result<bool> step();
  /// Marks, syncs, and gives the file its name.
  Result<BackupReport> finish();

 private:
  BackupJob(HashKey key, UnixMillis now, std::string path);

  HashKey key_;
  UnixMillis now_;
  std::string path_;
  std::string partial_;
  sqlite::Database target_;
  sqlite3_backup* backup_ = nullptr;
};

struct RestoreOptions {
  std::string backup;
  std::string directory;
  bool replace = false;  // moves a store that is there to <name>.replaced-N
};
/// Only while no daemon runs: takes the lock. The store it leaves is known as restored: its pending
/// sends wait for the operator. kConflict if a store is there and replace is not set.
Result<void> restore_backup(const RestoreOptions& options);

}  // namespace sluice
