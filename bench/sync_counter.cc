#include "sync_counter.h"

#include <atomic>

#include <sqlite3.h>

#include "base/assert.h"

namespace sluice::bench {
namespace {

// SQLite's VFS has no room for anything but globals; there is one counter at a time.
std::atomic<std::uint64_t> sync_count{0};
sqlite3_vfs* host = nullptr;
sqlite3_vfs counting{};
/// The host's methods of a file, with xSync exchanged. Every file of the host's VFS that can be
/// synced has the same ones, but for those with shared memory, so the copy is made at each open.
struct Methods {
  sqlite3_io_methods ours;
  const sqlite3_io_methods* theirs = nullptr;
};
Methods methods[8];
std::size_t methods_used = 0;

int count_sync(sqlite3_file* file, int flags) {
  sync_count.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < methods_used; ++i) {
    if (file->pMethods == &methods[i].ours) return methods[i].theirs->xSync(file, flags);
  }
  return SQLITE_IOERR_FSYNC;
}

int open_counting(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  const int code = host->xOpen(host, name, file, flags, out);
  if (code != SQLITE_OK || file->pMethods == nullptr) return code;
  for (std::size_t i = 0; i < methods_used; ++i) {
    if (methods[i].theirs == file->pMethods) {
      file->pMethods = &methods[i].ours;
      return code;
    }
  }
  SLUICE_ASSERT(methods_used < std::size(methods));
  Methods& made = methods[methods_used++];
  made.ours = *file->pMethods;
  made.theirs = file->pMethods;
  made.ours.xSync = count_sync;
  file->pMethods = &made.ours;
  return code;
}

}  // namespace

SyncCounter::SyncCounter() {
  host = sqlite3_vfs_find(nullptr);
  counting = *host;
  counting.zName = "counting";
  counting.pNext = nullptr;
  counting.xOpen = open_counting;
  sync_count = 0;
  SLUICE_ASSERT(sqlite3_vfs_register(&counting, 1) == SQLITE_OK);
}

SyncCounter::~SyncCounter() {
  sqlite3_vfs_unregister(&counting);
  sqlite3_vfs_register(host, 1);
}

std::uint64_t SyncCounter::syncs() const { return sync_count.load(std::memory_order_relaxed); }

}  // namespace sluice::bench
