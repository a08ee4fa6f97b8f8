#pragma once
// LossyDisk: a disk in memory, seen by SQLite as a VFS, that keeps through a power loss only what
// was synced, and any part of the rest. Same seed and same calls, same bytes.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace sluice::sim {

class DiskState;

/// What a file call can be made to answer in place of success.
enum class DiskFault {
  kReadError,   // SQLITE_IOERR_READ
  kShortRead,   // SQLITE_IOERR_SHORT_READ, which SQLite takes for the end of the file
  kWriteError,  // SQLITE_IOERR_WRITE or _TRUNCATE; some first bytes may have been written
  kSyncError,   // SQLITE_IOERR_FSYNC; some sectors may be durable. The others stay readable, but no
                // later sync makes them durable unless they are written again, as on Linux
};

/// Counted since the disk was made; never reset.
struct DiskStats {
  std::uint64_t calls = 0;  // all that count against a call budget
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t syncs = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t faults = 0;  // injected ones, a full disk included
  std::uint64_t crashes = 0;
  std::uint64_t kills = 0;
  std::uint64_t sectors_kept = 0;  // unsynced sectors that a crash left as last written
  std::uint64_t sectors_lost = 0;  // ... that it put back to an earlier state
  std::uint64_t sectors_torn = 0;  // ... that it left half written, with garbage at the tear
};

/// Owned by the simulated world, which must close every SQLite connection on it before the end of
/// its life (asserted). Not thread-safe: the disk and all its connections belong to one thread.
/// SQLite's own generator of random numbers is one for the process and is seeded by the
/// constructor; exact replay therefore wants one world at a time in a process.
///
/// Files live in one flat directory; a name is a key and is not parsed. A connection opens a file
/// with sqlite3_open_v2(name, ..., vfs_name()). WAL with several connections works; the shared
/// memory is not a file here. Sectors are 512 bytes, and the device promises nothing (no atomic or
/// safe overwrites).
///
/// Durability: bytes become durable by xSync of their file; a new name by the first xSync of its
/// file; names, deletions and renames all together by what syncs the directory: the first xSync of
/// a journal or WAL handle (as in the unix VFS), a deletion with syncDir, sync_directory(). Limits:
/// 8 MiB of unsynced history a file and 1024 directory changes, beyond which the oldest become
/// durable unasked, as a kernel's writeback does; capacity 1 GiB unless set.
///
/// Protocol: https://www.sqlite.org/c3ref/io_methods.html, https://www.sqlite.org/c3ref/vfs.html
/// (3.40).
class LossyDisk {
 public:
  /// Registers the VFS, not as the default one. vfs_name is unique in the process while the disk
  /// lives.
  LossyDisk(std::string vfs_name, std::uint64_t seed);
  ~LossyDisk();
  LossyDisk(const LossyDisk&) = delete;
  LossyDisk& operator=(const LossyDisk&) = delete;

  const std::string& vfs_name() const;
  /// What xCurrentTime answers. 0 at first, moved by nothing else.
  void set_wall_clock(UnixMillis now);
  /// The sum of what xSleep was asked for. It returns at once.
  Duration slept() const;

  // Ends of the process that holds the files. Afterwards every handle is dead: each call on it
  // answers SQLITE_IOERR and changes nothing, closing works; locks and shared memory are gone; the
  // call budget is cleared, crashed() is false, and new connections can be opened, also before the
  // dead are closed.

  /// Power loss. Each unsynced sector on its own goes back to any of its states since the last
  /// sync, keeps the newest, or (rarely) is torn with garbage; unsynced sizes, names, deletions and
  /// renames survive or do not.
  void crash();
  /// SIGKILL: all written bytes stay, unsynced ones can still be lost by a later crash().
  void kill();

  /// The n-th VFS call from now (n >= 1) is the last that does anything: it completes, crashed()
  /// becomes true, every later call answers SQLITE_IOERR until crash() or kill(). Counted are all
  /// calls on files and names but xClose, xShmBarrier, xFileControl and constants.
  void set_call_budget(std::uint64_t calls);
  void clear_call_budget();
  bool crashed() const;

  /// Makes the n-th such call from now (n >= 1) and the `times - 1` after it fail. One script for
  /// each kind: a new one replaces it, times = 0 removes it.
  void fail(DiskFault what, std::uint64_t nth, std::uint64_t times = 1);
  /// Makes calls fail at random, seeded. 0 ends it.
  void set_fault_rate(DiskFault what, std::uint32_t per_million);
  /// Largest sum of file sizes. A write beyond it stores what fits and answers SQLITE_FULL. Files
  /// that are larger already stay.
  void set_capacity(std::uint64_t bytes);

  // The disk from outside, not counted, not subject to faults.

  /// Names as of now, sorted.
  std::vector<std::string> files() const;
  /// Current bytes, synced or not; nothing for an unknown name.
  std::optional<std::string> content(const std::string& name) const;
  /// Creates or replaces a file, durable at once. Open handles keep the replaced one.
  void install(const std::string& name, std::string bytes);
  /// Overwrites bytes as a failing medium would: no write, nothing unsynced. False, and nothing is
  /// changed, when the file is unknown or the range is not wholly inside it.
  [[nodiscard]] bool corrupt(const std::string& name, std::uint64_t offset, std::string_view bytes);
  /// Moves a name, over an existing one too; the move is durable after sync_directory(). False if
  /// unknown. Neither may be the name of an open database.
  [[nodiscard]] bool rename(const std::string& from, const std::string& to);
  void sync_directory();
  /// Both, as a process would: two calls that count and at which it may end. False if it has ended.
  [[nodiscard]] bool rename_durably(const std::string& from, const std::string& to);
  /// Of all names and current bytes; equal for equal runs of a seed.
  std::uint64_t hash() const;
  const DiskStats& stats() const;

 private:
  std::unique_ptr<DiskState> state_;
};

}  // namespace sluice::sim
