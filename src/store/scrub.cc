// scrub() of erase.h: below SQLite, because nothing above it can reach the bytes that it no longer
// uses. Formats: https://www.sqlite.org/fileformat2.html (pages, free list, pointer map), read
// 2024.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <unordered_set>
#include <vector>

#include "store/erase.h"

namespace sluice {
namespace {

constexpr std::size_t kDatabaseHeader = 100;
constexpr std::int64_t kPendingByte = 0x40000000;
// A reader's transaction lasts a second at most (reader.h).
constexpr int kReadersLeaveMs = 3000;
constexpr std::size_t kBlock = 1 << 16;

std::uint32_t big16(const std::uint8_t* p) { return std::uint32_t{p[0]} << 8 | p[1]; }
std::uint32_t big32(const std::uint8_t* p) { return big16(p) << 16 | big16(p + 2); }

/// The entry of a page in the pointer map.
enum class PageKind : std::uint8_t {
  kRoot = 1,
  kFree = 2,
  kOverflow = 3,
  kMoreOverflow = 4,
  kTree = 5
};

/// The database file, beneath the page cache.
class RawFile {
 public:
  RawFile(sqlite3_file* file, std::size_t page_size) : file_(file), page_(page_size) {}

  std::size_t page_size() const { return page_.size(); }
  std::uint8_t* page() { return page_.data(); }
  Result<void> read(std::int64_t number) {
    return checked(file_->pMethods->xRead(file_, page_.data(), static_cast<int>(page_.size()),
                                          offset(number)));
  }
  Result<void> write(std::int64_t number) {
    return checked(file_->pMethods->xWrite(file_, page_.data(), static_cast<int>(page_.size()),
                                           offset(number)));
  }
  Result<void> sync() { return checked(file_->pMethods->xSync(file_, SQLITE_SYNC_FULL)); }

 private:
  sqlite3_int64 offset(std::int64_t number) const {
    return (number - 1) * static_cast<std::int64_t>(page_.size());
  }
  static Result<void> checked(int code) {
    if (code == SQLITE_OK) return {};
    return sqlite::error_of(nullptr, code, "overwrite what was erased");
  }
  sqlite3_file* file_;
  std::vector<std::uint8_t> page_;
};

bool clear(std::uint8_t* from, std::uint8_t* to) {
  if (std::all_of(from, to, [](std::uint8_t b) { return b == 0; })) return false;
  std::memset(from, 0, static_cast<std::size_t>(to - from));
  return true;
}

/// Clears what a page of a tree does not use. Returns whether anything changed.
bool clear_unused(std::uint8_t* page, std::size_t size, std::size_t header) {
  const std::uint8_t type = page[header];
  const bool interior = type == 2 || type == 5;
  if (!interior && type != 10 && type != 13) return false;
  const std::size_t cells = big16(page + header + 3);
  std::size_t content = big16(page + header + 5);
  if (content == 0) content = 65536;
  const std::size_t gap = header + (interior ? 12 : 8) + 2 * cells;
  if (gap > content || content > size) return false;
  bool changed = clear(page + gap, page + content);
  // The chain of free blocks ascends, so it ends.
  std::size_t block = big16(page + header + 1);
  while (block >= content && block + 4 <= size) {
    const std::size_t length = big16(page + block + 2);
    if (length < 4 || block + length > size) break;
    changed |= clear(page + block + 4, page + block + length);
    const std::size_t next = big16(page + block);
    if (next <= block) break;
    block = next;
  }
  return changed;
}

/// Pages of the free list that hold nothing but what was in them before.
Result<std::unordered_set<std::int64_t>> free_leaves(RawFile& file, std::int64_t pages) {
  std::unordered_set<std::int64_t> leaves;
  if (auto r = file.read(1); !r) return r.error();
  std::int64_t trunk = big32(file.page() + 32);
  for (std::int64_t seen = 0; trunk != 0 && trunk <= pages && seen < pages; ++seen) {
    if (auto r = file.read(trunk); !r) return r.error();
    const std::size_t count =
        std::min<std::size_t>(big32(file.page() + 4), file.page_size() / 4 - 2);
    for (std::size_t i = 0; i < count; ++i) leaves.insert(big32(file.page() + 8 + 4 * i));
    trunk = big32(file.page());
  }
  return leaves;
}

Result<void> clear_pages(RawFile& file, std::int64_t pages) {
  const auto leaves = free_leaves(file, pages);
  if (!leaves) return leaves.error();
  const auto size = static_cast<std::int64_t>(file.page_size());
  const std::int64_t mapped = size / 5;  // pages that one page of the pointer map tells of
  const std::int64_t lock_page = kPendingByte / size + 1;
  std::vector<std::uint8_t> map;
  std::int64_t map_page = 0;
  for (std::int64_t number = 1; number <= pages; ++number) {
    if (number == lock_page) continue;
    if (auto r = file.read(number); !r) return r;
    bool changed = false;
    if (number >= 2) {
      std::int64_t owner = (number - 2) / (mapped + 1) * (mapped + 1) + 2;
      if (owner == lock_page) ++owner;
      if (number == owner) {
        map.assign(file.page(), file.page() + size);
        map_page = owner;
        continue;
      }
      if (owner != map_page || number < owner) continue;
      const auto kind =
          static_cast<PageKind>(map[static_cast<std::size_t>(5 * (number - owner - 1))]);
      if (kind == PageKind::kRoot || kind == PageKind::kTree) {
        changed = clear_unused(file.page(), file.page_size(), 0);
      } else if (kind == PageKind::kFree && leaves->contains(number)) {
        changed = clear(file.page(), file.page() + size);
      }
    } else {
      changed = clear_unused(file.page(), file.page_size(), kDatabaseHeader);
    }
    if (!changed) continue;
    if (auto r = file.write(number); !r) return r;
  }
  return file.sync();
}

/// The log holds old states of pages. All of it has been copied into the file before this is
/// called, and no reader uses it. Its header goes first: a crash then finds a log without frames,
/// never a part of one.
Result<void> overwrite_log(sqlite::Database& db) {
  sqlite3_file* log = nullptr;
  sqlite3_file_control(db.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&log));
  if (log == nullptr || log->pMethods == nullptr) return {};
  const auto failed = [](int code) { return sqlite::error_of(nullptr, code, "overwrite the log"); };
  sqlite3_int64 size = 0;
  if (int code = log->pMethods->xFileSize(log, &size); code != SQLITE_OK) return failed(code);
  const std::vector<std::uint8_t> zeros(kBlock);
  constexpr sqlite3_int64 kLogHeader = 32;
  for (sqlite3_int64 at = 0; at < size;) {
    const sqlite3_int64 end = at == 0 ? kLogHeader : at + static_cast<sqlite3_int64>(kBlock);
    const int length = static_cast<int>(std::min(end, size) - at);
    if (int code = log->pMethods->xWrite(log, zeros.data(), length, at); code != SQLITE_OK) {
      return failed(code);
    }
    if (at == 0) {
      if (int code = log->pMethods->xSync(log, SQLITE_SYNC_FULL); code != SQLITE_OK)
        return failed(code);
    }
    at += length;
  }
  const int code = log->pMethods->xSync(log, SQLITE_SYNC_FULL);
  if (code != SQLITE_OK) return failed(code);
  return {};
}

Result<void> full_checkpoint(sqlite::Database& db, int mode) {
  sqlite3_busy_timeout(db.handle(), kReadersLeaveMs);
  const int code = sqlite3_wal_checkpoint_v2(db.handle(), "main", mode, nullptr, nullptr);
  sqlite3_busy_timeout(db.handle(), 0);
  if (code == SQLITE_OK) return {};
  return db.error(code, "empty the log");
}

}  // namespace

Result<void> scrub(sqlite::Database& db) {
  if (auto r = full_checkpoint(db, SQLITE_CHECKPOINT_RESTART); !r) return r;
  if (auto r = overwrite_log(db); !r) return r;
  if (auto r = full_checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE); !r) return r;

  const auto page_size = db.query_integer("PRAGMA page_size");
  if (!page_size) return page_size.error();
  const auto pages = db.query_integer("PRAGMA page_count");
  if (!pages) return pages.error();
  sqlite3_file* raw = nullptr;
  sqlite3_file_control(db.handle(), "main", SQLITE_FCNTL_FILE_POINTER, static_cast<void*>(&raw));
  RawFile file(raw, static_cast<std::size_t>(page_size->value_or(4096)));
  if (auto r = clear_pages(file, pages->value_or(0)); !r) return r;
  // Cached pages still hold the old bytes in their gaps and would bring them back when they are
  // changed.
  sqlite3_db_release_memory(db.handle());
  return {};
}

}  // namespace sluice
