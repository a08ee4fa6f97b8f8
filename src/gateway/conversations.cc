#include "gateway/conversations.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace sluice {

void Conversations::load(std::vector<ConversationHead> heads) {
  heads_ = std::move(heads);
  std::size_t buckets = 64;
  while (buckets * 3 / 4 < heads_.size() + 1) buckets *= 2;
  rehash(buckets);
}

void Conversations::rehash(std::size_t buckets) {
  buckets_.assign(buckets, kNone);
  for (Slot slot = 0; slot < heads_.size(); ++slot) place(slot);
}

void Conversations::place(Slot slot) {
  const std::size_t mask = buckets_.size() - 1;
  std::size_t i = heads_[slot].key.low & mask;
  while (buckets_[i] != kNone) i = (i + 1) & mask;
  buckets_[i] = slot;
}

Conversations::Slot Conversations::find(const Key128& key) const {
  if (buckets_.empty()) return kNone;
  const std::size_t mask = buckets_.size() - 1;
  for (std::size_t i = key.low & mask; buckets_[i] != kNone; i = (i + 1) & mask) {
    if (heads_[buckets_[i]].key == key) return buckets_[i];
  }
  return kNone;
}

Conversations::Slot Conversations::find(LaneId lane) const {
  const auto it =
      std::lower_bound(heads_.begin(), heads_.end(), lane,
                       [](const ConversationHead& h, LaneId id) { return h.lane < id; });
  if (it == heads_.end() || it->lane != lane) return kNone;
  return static_cast<Slot>(it - heads_.begin());
}

Conversations::Slot Conversations::add(const Key128& key, LaneId lane) {
  SLUICE_ASSERT(heads_.empty() || heads_.back().lane < lane);
  if ((heads_.size() + 1) * 4 > buckets_.size() * 3)
    rehash(std::max<std::size_t>(64, buckets_.size() * 2));
  heads_.push_back(ConversationHead{key, lane, {}, {}, 0});
  const auto slot = static_cast<Slot>(heads_.size() - 1);
  place(slot);
  return slot;
}

Conversations::Slot Conversations::insert(const Key128& key, LaneId lane) {
  if (heads_.empty() || heads_.back().lane < lane) return add(key, lane);
  const auto before =
      std::lower_bound(heads_.begin(), heads_.end(), lane,
                       [](const ConversationHead& h, LaneId id) { return h.lane < id; });
  const auto slot = static_cast<Slot>(before - heads_.begin());
  heads_.insert(before, ConversationHead{key, lane, {}, {}, 0});
  load(std::move(heads_));
  return slot;
}

}  // namespace sluice
