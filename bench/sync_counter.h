#pragma once
// SyncCounter: counts the fsyncs that SQLite asks for, by a VFS of its own above the host's that
// becomes the default while this lives. Make it before the store is opened; one at a time.

#include <cstdint>

namespace sluice::bench {

class SyncCounter {
 public:
  SyncCounter();
  ~SyncCounter();
  SyncCounter(const SyncCounter&) = delete;
  SyncCounter& operator=(const SyncCounter&) = delete;
  /// Any thread.
  std::uint64_t syncs() const;
};

}  // namespace sluice::bench
