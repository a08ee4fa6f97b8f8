#pragma once
// The host's file system, but syncs and writes fail when told to. For tests of one process at a
// time.

#include <sqlite3.h>

namespace sluice {

/// Registered as "sluice-fault" while it lives.
class FaultVfs {
 public:
  static constexpr const char* kName = "sluice-fault";

  FaultVfs() {
    fail_syncs = fail_writes = false;
    base() = sqlite3_vfs_find(nullptr);
    vfs_ = *base();
    vfs_.zName = kName;
    vfs_.xOpen = &FaultVfs::open;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  inline static bool fail_syncs = false;   // with EIO
  inline static bool fail_writes = false;  // as on a full disk

 private:
  static sqlite3_vfs*& base() {
    static sqlite3_vfs* vfs = nullptr;
    return vfs;
  }
  static const sqlite3_io_methods*& real() {
    static const sqlite3_io_methods* methods = nullptr;
    return methods;
  }
  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    // Files with locks and shared memory have other methods than logs, but they write and sync
    // alike.
    static sqlite3_io_methods tables[2];
    sqlite3_io_methods& faulty = tables[(flags & SQLITE_OPEN_MAIN_DB) != 0 ? 0 : 1];
    const int code = base()->xOpen(base(), name, file, flags, out);
    if (code != SQLITE_OK || file->pMethods == nullptr) return code;
    real() = file->pMethods;
    faulty = *file->pMethods;
    faulty.xSync = [](sqlite3_file* f, int how) {
      return fail_syncs ? SQLITE_IOERR_FSYNC : real()->xSync(f, how);
    };
    faulty.xWrite = [](sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
      return fail_writes ? SQLITE_FULL : real()->xWrite(f, data, size, at);
    };
    file->pMethods = &faulty;
    return code;
  }
  sqlite3_vfs vfs_;
};

}  // namespace sluice
