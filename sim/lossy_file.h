#pragma once
// One file of the lossy disk: its bytes now, and every change since the last sync with what it
// replaced, so that a power loss can put back any part of it, sector by sector.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "sim/lossy_vfs.h"

namespace sluice::sim {

inline constexpr std::uint64_t kSector = 512;
inline constexpr std::uint64_t kChangeOverhead =
    64;  // so that changes without old bytes are bounded too

/// One write or truncation since the last sync, with what it replaced.
struct Change {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t size_before = 0;
  std::string before;  // shorter than length where the file had ended

  std::uint64_t first_sector() const { return offset / kSector; }
  std::uint64_t last_sector() const { return (offset + length - 1) / kSector; }
  std::uint64_t cost() const { return before.size() + kChangeOverhead; }
};

/// What a power loss decides for one sector: its first `kept` changes reached the disk.
struct Fate {
  std::uint64_t changes = 0;
  std::uint64_t kept = 0;
  bool torn = false;
};

/// Memory that WAL connections share. Dead connections may still write into theirs, so it lives
/// until its last user has gone.
struct Shm {
  std::vector<std::unique_ptr<std::uint8_t[]>> regions;
};

class Inode {
 public:
  std::string bytes;
  std::weak_ptr<Shm> shm;
  bool name_synced = false;

  void write(std::uint64_t offset, std::string_view data);
  void truncate(std::uint64_t size);
  void sync();
  /// The cache keeps all, the medium gets some.
  void fail_sync(Random& random);
  void lose(Random& random, DiskStats& stats);

 private:
  using Fates = std::map<std::uint64_t, Fate>;

  void note(Change change);
  void retire(const Change& change);
  Fates choose_fates(Random& random, std::uint64_t keep_percent) const;
  /// The bytes on the medium under these fates, in whole sectors, of any size since the last sync.
  std::string medium(const Fates& fates, Random& random) const;

  std::deque<Change> changes_;  // oldest first
  std::uint64_t history_bytes_ = 0;
  // What the medium holds of sectors that a failed sync gave up on.
  std::map<std::uint64_t, std::string> abandoned_;
};

}  // namespace sluice::sim
