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

Result<void> rewrite(sqlite3_file* file, const std::string& name) {
  sqlite3_int64 size = 0;
  int code = file->pMethods->xFileSize(file, &size);
  if (code != SQLITE_OK) return failed("cannot tell the size of " + name, code);
  if (size == 0) return {};
  std::vector<char> piece(static_cast<std::size_t>(std::min(size, kPiece)));
  for (sqlite3_int64 at = 0; at < size; at += kPiece) {
    const int bytes = static_cast<int>(std::min(kPiece, size - at));
    code = file->pMethods->xRead(file, piece.data(), bytes, at);
    if (code == SQLITE_OK) code = file->pMethods->xWrite(file, piece.data(), bytes, at);
    if (code != SQLITE_OK) return failed("cannot write " + name + " again", code);
  }
  code = file->pMethods->xSync(file, SQLITE_SYNC_FULL);
  if (code != SQLITE_OK) return failed("cannot sync " + name, code);
  return {};
}

}  // namespace

Result<void> rewrite_log(const std::string& database, const char* vfs_name) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(vfs_name);
  if (vfs == nullptr) return Error(ErrorKind::kInternal, "no such VFS");
  std::vector<char> full(static_cast<std::size_t>(vfs->mxPathname) + 1);
  if (vfs->xFullPathname(vfs, database.c_str(), vfs->mxPathname, full.data()) != SQLITE_OK)
    return {};
  const std::string path = full.data();
  const std::unique_ptr<const char, decltype(&sqlite3_free_filename)> names(
      sqlite3_create_filename(path.c_str(), (path + "-journal").c_str(), (path + "-wal").c_str(), 0,
                              nullptr),
      &sqlite3_free_filename);
  if (names == nullptr) return Error(ErrorKind::kInternal, "out of memory");
  const char* log = sqlite3_filename_wal(names.get());
  int exists = 0;
  int code = vfs->xAccess(vfs, log, SQLITE_ACCESS_EXISTS, &exists);
  if (code != SQLITE_OK) return failed("cannot look for " + path + "-wal", code);
  if (exists == 0) return {};
  std::vector<char> memory(static_cast<std::size_t>(vfs->szOsFile));
  auto* file = reinterpret_cast<sqlite3_file*>(memory.data());
  code = vfs->xOpen(vfs, log, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, nullptr);
  if (code != SQLITE_OK) return failed("cannot open " + path + "-wal", code);
  const Result<void> done = rewrite(file, path + "-wal");
  file->pMethods->xClose(file);
  return done;
}

}  // namespace sluice
