#include "store/rewrite_log.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/core.h>
#include <sqlite3.h>

namespace sluice {
namespace {

// The host VFS of SQLite writes at most 128 KiB less one byte at once, and takes more for a full
// disk.
constexpr sqlite3_int64 kPiece = 64 << 10;

Error failed(const std::string& what, int code) {
  return Error(ErrorKind::kStorageFailed, fmt::format("{}: {}", what, sqlite3_errstr(code)));
}

/// A file of a VFS, closed at the end.
class VfsFile {
 public:
  explicit VfsFile(sqlite3_vfs* vfs) : memory_(static_cast<std::size_t>(vfs->szOsFile)) {}
  ~VfsFile() { close(); }
  VfsFile(const VfsFile&) = delete;
  VfsFile& operator=(const VfsFile&) = delete;

  int open(sqlite3_vfs* vfs, const char* name, int flags) {
    return vfs->xOpen(vfs, name, get(), flags, nullptr);
  }
  void close() {
    if (get()->pMethods != nullptr) get()->pMethods->xClose(get());
    get()->pMethods = nullptr;
  }
  sqlite3_file* get() { return reinterpret_cast<sqlite3_file*>(memory_.data()); }
  const sqlite3_io_methods& methods() { return *get()->pMethods; }

 private:
  std::vector<char> memory_;
};

/// kDiskFull: there is no room.
Result<void> copy(VfsFile& from, VfsFile& to, const std::string& name) {
  sqlite3_int64 size = 0;
  int code = from.methods().xFileSize(from.get(), &size);
  if (code != SQLITE_OK) return failed("cannot tell the size of " + name, code);
  std::vector<char> piece(static_cast<std::size_t>(std::min(size, kPiece)));
  for (sqlite3_int64 at = 0; at < size; at += kPiece) {
    const int bytes = static_cast<int>(std::min(kPiece, size - at));
    code = from.methods().xRead(from.get(), piece.data(), bytes, at);
    if (code == SQLITE_OK) code = to.methods().xWrite(to.get(), piece.data(), bytes, at);
    if (code == SQLITE_FULL) return Error(ErrorKind::kDiskFull, "no room for a copy of " + name);
    if (code != SQLITE_OK) return failed("cannot copy " + name, code);
  }
  code = to.methods().xSync(to.get(), SQLITE_SYNC_FULL);
  if (code != SQLITE_OK) return failed("cannot sync the copy of " + name, code);
  return {};
}

/// The names as a VFS wants them; a name of a log ends in "-wal", from which it finds the
/// database's.
class Names {
 public:
  explicit Names(const std::string& path)
      : names_(sqlite3_create_filename(path.c_str(), (path + "-walcopy").c_str(),
                                       (path + "-wal").c_str(), 0, nullptr)) {}
  ~Names() { sqlite3_free_filename(names_); }
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;
  bool valid() const { return names_ != nullptr; }
  sqlite3_filename log() const { return sqlite3_filename_wal(names_); }
  sqlite3_filename copy() const { return sqlite3_filename_journal(names_); }

 private:
  sqlite3_filename names_;
};

}  // namespace

Result<void> rewrite_log(const std::string& database, const char* vfs_name,
                         const RenameDurably& rename) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(vfs_name);
  if (vfs == nullptr) return Error(ErrorKind::kInternal, "no such VFS");
  std::vector<char> full(static_cast<std::size_t>(vfs->mxPathname) + 1);
  if (vfs->xFullPathname(vfs, database.c_str(), vfs->mxPathname, full.data()) != SQLITE_OK)
    return {};
  const Names names{std::string(full.data())};
  if (!names.valid()) return Error(ErrorKind::kInternal, "out of memory");
  const std::string log = names.log();
  int exists = 0;
  int code = vfs->xAccess(vfs, names.log(), SQLITE_ACCESS_EXISTS, &exists);
  if (code != SQLITE_OK) return failed("cannot look for " + log, code);
  if (exists == 0) return {};
  VfsFile old(vfs);
  code = old.open(vfs, names.log(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL);
  if (code != SQLITE_OK) return failed("cannot open " + log, code);
  sqlite3_int64 size = 0;
  code = old.methods().xFileSize(old.get(), &size);
  if (code != SQLITE_OK) return failed("cannot tell the size of " + log, code);
  if (size == 0) return {};
  // What an earlier start left behind may be half of one, and is never trusted.
  code = vfs->xDelete(vfs, names.copy(), 0);
  if (code != SQLITE_OK && code != SQLITE_IOERR_DELETE_NOENT)
    return failed("cannot remove the old copy of " + log, code);
  VfsFile fresh(vfs);
  code = fresh.open(
      vfs, names.copy(),
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXCLUSIVE | SQLITE_OPEN_WAL);
  if (code != SQLITE_OK) return failed("cannot make a copy of " + log, code);
  const Result<void> copied = copy(old, fresh, log);
  fresh.close();
  if (copied) {
    old.close();
    return rename(names.copy(), log);
  }
  (void)vfs->xDelete(vfs, names.copy(), 0);
  // On a full disk the daemon has to come up, so that it can be told to make room: written in place
  // the log is whole again too, unless the power fails in these milliseconds and tears a sector.
  return copied.error().kind() == ErrorKind::kDiskFull ? copy(old, old, log) : copied;
}

}  // namespace sluice
