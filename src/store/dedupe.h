#pragma once
// What remembers keys in memory (C3). The truth is on disk (key_log.h); these say where to look.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/ids.h"

namespace sluice {

/// Half of each key, and the id of the message it belongs to: 16 bytes a slot, open addressing. A
/// key may be in it several times, with different ids. A hit is only a hint: the caller compares
/// the whole key on disk.
///
/// The table is cut into segments that grow one by one, so that no insertion moves more than a few
/// thousand keys. Thread: any; the writer changes it, readers look things up (one short lock a
/// call).
class KeySet {
 public:
  struct Entry {
    std::uint64_t half = 0;
    std::int64_t id = 0;  // 0: free
  };

  KeySet();
  void insert(std::uint64_t half, MessageId id);
  /// All at once, with the memory accesses overlapped: for loading.
  void insert(const std::vector<Entry>& entries);
  /// False if it was not there.
  bool erase(std::uint64_t half, MessageId id);
  /// Adds the ids of all entries with this half to out.
  void find(std::uint64_t half, std::vector<MessageId>& out) const;
  /// Makes room for n keys in all.
  void reserve(std::size_t n);
  std::size_t size() const;
  std::size_t memory_bytes() const;

 private:
  static constexpr int kSegmentBits = 10;
  struct Segment {
    std::unique_ptr<Entry[]> slots;
    std::uint32_t capacity = 0;
    std::uint32_t used = 0;
    std::uint32_t place(std::uint64_t half) const {
      // The bits after those that choose the segment, scaled to the capacity.
      const std::uint64_t bits = (half << kSegmentBits) >> 32;
      return static_cast<std::uint32_t>((bits * capacity) >> 32);
    }
    std::uint32_t next(std::uint32_t i) const { return ++i == capacity ? 0 : i; }
    void grow(std::uint32_t capacity);
    void put(Entry entry);
    void insert(Entry entry);
  };
  Segment& segment(std::uint64_t half) { return segments_[half >> (64 - kSegmentBits)]; }
  const Segment& segment(std::uint64_t half) const {
    return segments_[half >> (64 - kSegmentBits)];
  }

  mutable std::mutex mutex_;
  std::array<Segment, 1 << kSegmentBits> segments_;
  std::size_t size_ = 0;
};

/// "Certainly not there, or perhaps": a blocked Bloom filter, 12 bits a key, one cache line a
/// look-up, under 1 % of false alarms up to the number of keys that it was made for (Putze,
/// Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters", 2007). Grows by layers of
/// kLayerKeys. Writer thread.
class BloomFilter {
 public:
  static constexpr std::size_t kLayerKeys = 1 << 18;

  void add(const Key128& key);
  bool may_contain(const Key128& key) const;
  std::size_t memory_bytes() const { return layers_.size() * sizeof(Layer); }

 private:
  struct Block {
    std::array<std::uint64_t, 8> words{};
  };
  struct Layer {
    std::array<Block, kLayerKeys * 12 / 512> blocks;
  };
  static Block mask(const Key128& key);
  static std::size_t place(const Key128& key);

  std::vector<std::unique_ptr<Layer>> layers_;
  std::size_t in_last_ = 0;
};

}  // namespace sluice
