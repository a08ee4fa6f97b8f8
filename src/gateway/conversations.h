#pragma once
// Conversations: the one table of every conversation that ever was, in memory: key -> lane and the
// heads of its log. 56 bytes each with its index, so a million costs 56 MB; everything else about a
// conversation exists only while it is active. Shard-confined.

#include <cstdint>
#include <vector>

#include "base/hash.h"
#include "base/ids.h"

namespace sluice {

/// Where a conversation's log stands. What the core keeps of every conversation that ever was.
struct ConversationHead {
  Key128 key;
  LaneId lane;
  HistoryId head;               // its newest line
  HistoryId session_start;      // the last line before the current session
  std::int64_t next_order = 0;  // what the platform's count should be next; not stored, 0: unknown
};

class Conversations {
 public:
  using Slot = std::uint32_t;
  static constexpr Slot kNone = UINT32_MAX;

  /// Takes them, in ascending order of lanes.
  void load(std::vector<ConversationHead> heads);
  Slot find(const Key128& key) const;
  Slot find(LaneId lane) const;  // binary search: lanes ascend
  /// The lane's id must be greater than all before.
  Slot add(const Key128& key, LaneId lane);
  /// One whose id may be smaller than others that are there, which moves them all: for loading.
  Slot insert(const Key128& key, LaneId lane);
  ConversationHead& at(Slot slot) { return heads_[slot]; }
  const ConversationHead& at(Slot slot) const { return heads_[slot]; }
  std::size_t size() const { return heads_.size(); }
  const std::vector<ConversationHead>& all() const { return heads_; }

 private:
  void rehash(std::size_t buckets);
  void place(Slot slot);
  std::vector<ConversationHead> heads_;
  std::vector<Slot> buckets_;  // open addressing, a power of two, at most 3/4 full
};

}  // namespace sluice
