// scrub() of erase.h: below SQLite, because nothing above it can reach the bytes that it no longer
// uses. Formats: https://www.sqlite.org/fileformat2.html (pages, free list, pointer map), read
// 2024.

#include <algorithm>
#include <cstdint>
#include <cstring>
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

/// Entries of the pointer map: the pages of trees.
enum class PageKind : std::uint8_t {
  kRoot = 1,
  kTree = 5,
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

/// A payload that goes on beyond its page.
struct Overflow {
  std::int64_t first = 0;
  std::uint64_t bytes = 0;
};

/// Reads a varint of the file format; 0 length if it runs over the end.
std::size_t read_varint(const std::uint8_t* p, const std::uint8_t* end, std::uint64_t* value) {
  *value = 0;
  for (std::size_t i = 0; i < 9 && p + i < end; ++i) {
    if (i == 8) {
      *value = *value << 8 | p[i];
      return 9;
    }
    *value = *value << 7 | (p[i] & 0x7f);
    if ((p[i] & 0x80) == 0) return i + 1;
  }
  return 0;
}

/// The overflowing cells of a page; only tables by rowid hold texts.
std::vector<Overflow> overflows_of(const std::uint8_t* page, std::size_t size) {
  std::vector<Overflow> found;
  if (page[0] != 13) return found;
  const std::uint64_t whole = size - 35;  // a payload up to this lies in the page
  const std::uint64_t least = (size - 12) * 32 / 255 - 23;
  const std::size_t cells = std::min<std::size_t>(big16(page + 3), (size - 8) / 2);
  for (std::size_t i = 0; i < cells; ++i) {
    const std::uint8_t* cell = page + std::min<std::size_t>(big16(page + 8 + 2 * i), size);
    std::uint64_t payload = 0;
    std::uint64_t rowid = 0;
    const std::size_t a = read_varint(cell, page + size, &payload);
    const std::size_t b = read_varint(cell + a, page + size, &rowid);
    if (a == 0 || b == 0 || payload <= whole) continue;
    std::uint64_t local = least + (payload - least) % (size - 4);
    if (local > whole) local = least;
    const std::uint8_t* next = cell + a + b + local;
    if (next + 4 > page + size) continue;
    found.push_back({big32(next), payload - local});
  }
  return found;
}

/// Goes through the whole file once, page by page.
class PageScrubber {
 public:
  PageScrubber(RawFile& file, std::int64_t pages) : file_(file), pages_(pages) {}

  Result<void> run() {
    if (auto r = clear_free_list(); !r) return r;
    if (auto r = clear_trees(); !r) return r;
    return file_.sync();
  }

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(file_.page_size()); }

  /// Leaves of the free list are not used at all, its trunks only as far as they list leaves.
  Result<void> clear_free_list() {
    if (auto r = file_.read(1); !r) return r;
    std::int64_t trunk = big32(file_.page() + 32);
    for (std::int64_t seen = 0; trunk != 0 && trunk <= pages_ && seen < pages_; ++seen) {
      if (auto r = file_.read(trunk); !r) return r;
      const std::int64_t next = big32(file_.page());
      const std::size_t count =
          std::min<std::size_t>(big32(file_.page() + 4), file_.page_size() / 4 - 2);
      std::vector<std::int64_t> leaves;
      for (std::size_t i = 0; i < count; ++i) leaves.push_back(big32(file_.page() + 8 + 4 * i));
      if (auto r = clear_from(trunk, 8 + 4 * count); !r) return r;
      for (const std::int64_t leaf : leaves) {
        if (leaf < 2 || leaf > pages_) continue;
        if (auto r = file_.read(leaf); !r) return r;
        if (auto r = clear_from(leaf, 0); !r) return r;
      }
      trunk = next;
    }
    return {};
  }

  /// Clears the end of the page that was read, and writes it if that changed it.
  Result<void> clear_from(std::int64_t number, std::size_t offset) {
    if (!clear(file_.page() + offset, file_.page() + size())) return {};
    return file_.write(number);
  }

  Result<void> clear_trees() {
    for (std::int64_t number = 1; number <= pages_; ++number) {
      if (number == lock_page()) continue;
      if (auto r = file_.read(number); !r) return r;
      if (!is_tree(number)) continue;
      const std::size_t header = number == 1 ? kDatabaseHeader : 0;
      const std::vector<Overflow> overflows =
          number == 1 ? std::vector<Overflow>() : overflows_of(file_.page(), file_.page_size());
      if (clear_unused(file_.page(), file_.page_size(), header)) {
        if (auto r = file_.write(number); !r) return r;
      }
      for (const Overflow& overflow : overflows) {
        if (auto r = clear_tail(overflow); !r) return r;
      }
    }
    return {};
  }

  /// The last page of a chain is rarely full.
  Result<void> clear_tail(const Overflow& overflow) {
    const std::uint64_t each = file_.page_size() - 4;
    std::int64_t number = overflow.first;
    for (std::uint64_t left = overflow.bytes; number >= 2 && number <= pages_; left -= each) {
      if (auto r = file_.read(number); !r) return r;
      if (left <= each) return clear_from(number, 4 + left);
      number = big32(file_.page());
    }
    return {};
  }

  /// Asks the pointer map what the page is. The map's own pages pass by before those they tell of.
  bool is_tree(std::int64_t number) {
    if (number == 1) return true;
    const std::int64_t mapped = size() / 5;  // pages that one page of the map tells of
    std::int64_t owner = (number - 2) / (mapped + 1) * (mapped + 1) + 2;
    if (owner == lock_page()) ++owner;
    if (number == owner) {
      map_.assign(file_.page(), file_.page() + size());
      map_page_ = owner;
      return false;
    }
    if (owner != map_page_ || number < owner) return false;
    const auto kind =
        static_cast<PageKind>(map_[static_cast<std::size_t>(5 * (number - owner - 1))]);
    return kind == PageKind::kRoot || kind == PageKind::kTree;
  }
  std::int64_t lock_page() const { return kPendingByte / size() + 1; }

  RawFile& file_;
  std::int64_t pages_;
  std::vector<std::uint8_t> map_;
  std::int64_t map_page_ = 0;
};

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
  PageScrubber scrubber(file, pages->value_or(0));
  if (auto r = scrubber.run(); !r) return r;
  // Cached pages still hold the old bytes in their gaps and would bring them back when they are
  // changed.
  sqlite3_db_release_memory(db.handle());
  return {};
}

}  // namespace sluice
