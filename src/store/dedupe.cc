#include "store/dedupe.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {
// How full a segment may get: beyond it chains of linear probing grow quickly.
constexpr std::uint64_t kMostFullPercent = 80;
constexpr std::uint32_t kSmallestSegment = 8;
// From here on a segment grows by an eighth instead of a half: with all others it is tens of MiB.
constexpr std::uint32_t kLargeSegment = 4096;
// Keys whose memory is fetched ahead while loading.
constexpr std::size_t kAhead = 16;
}  // namespace

KeySet::KeySet() = default;

void KeySet::Segment::grow(std::uint32_t to) {
  auto old = std::exchange(slots, std::make_unique<Entry[]>(to));
  const std::uint32_t old_capacity = std::exchange(capacity, to);
  for (std::uint32_t i = 0; i < old_capacity; ++i) {
    if (old[i].id != 0) put(old[i]);
  }
}

void KeySet::Segment::put(Entry entry) {
  std::uint32_t i = place(entry.half);
  while (slots[i].id != 0) i = next(i);
  slots[i] = entry;
}

void KeySet::Segment::insert(Entry entry) {
  if ((used + 1) * std::uint64_t{100} > capacity * kMostFullPercent) {
    grow(std::max(kSmallestSegment, capacity + capacity / (capacity < kLargeSegment ? 2 : 8)));
  }
  put(entry);
  ++used;
}

void KeySet::insert(std::uint64_t half, MessageId id) {
  const std::scoped_lock lock(mutex_);
  segment(half).insert({half, id.value});
  ++size_;
}

void KeySet::insert(const std::vector<Entry>& entries) {
  const std::scoped_lock lock(mutex_);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i + kAhead < entries.size()) {
      const Segment& later = segment(entries[i + kAhead].half);
      if (later.capacity != 0) {
        __builtin_prefetch(&later.slots[later.place(entries[i + kAhead].half)], 1);
      }
    }
    segment(entries[i].half).insert(entries[i]);
  }
  size_ += entries.size();
}

bool KeySet::erase(std::uint64_t half, MessageId id) {
  const std::scoped_lock lock(mutex_);
  Segment& s = segment(half);
  if (s.capacity == 0) return false;
  std::uint32_t hole = s.place(half);
  while (s.slots[hole].half != half || s.slots[hole].id != id.value) {
    if (s.slots[hole].id == 0) return false;
    hole = s.next(hole);
  }
  // Pull later entries of the chain into the hole, so that no mark has to be left behind.
  for (std::uint32_t i = s.next(hole); s.slots[i].id != 0; i = s.next(i)) {
    const std::uint32_t home = s.place(s.slots[i].half);
    const bool home_between = hole < i ? (home > hole && home <= i) : (home > hole || home <= i);
    if (home_between) continue;
    s.slots[hole] = s.slots[i];
    hole = i;
  }
  s.slots[hole] = Entry{};
  --s.used;
  --size_;
  return true;
}

void KeySet::find(std::uint64_t half, std::vector<MessageId>& out) const {
  const std::scoped_lock lock(mutex_);
  const Segment& s = segment(half);
  if (s.capacity == 0) return;
  for (std::uint32_t i = s.place(half); s.slots[i].id != 0; i = s.next(i)) {
    if (s.slots[i].half == half) out.push_back(MessageId{s.slots[i].id});
  }
}

void KeySet::reserve(std::size_t n) {
  const std::scoped_lock lock(mutex_);
  const std::size_t each = n / segments_.size() * 100 / kMostFullPercent;
  // A tenth more, because keys do not spread evenly.
  const auto capacity = static_cast<std::uint32_t>(each + each / 10);
  for (Segment& s : segments_) {
    if (capacity > s.capacity && capacity > kSmallestSegment) s.grow(capacity);
  }
}

std::size_t KeySet::size() const {
  const std::scoped_lock lock(mutex_);
  return size_;
}

std::size_t KeySet::memory_bytes() const {
  const std::scoped_lock lock(mutex_);
  std::size_t slots = 0;
  for (const Segment& s : segments_) slots += s.capacity;
  return slots * sizeof(Entry);
}

BloomFilter::Block BloomFilter::mask(const Key128& key) {
  Block block;
  // Six bits in the line, nine bits of the key each.
  for (std::uint64_t bits = key.high, i = 0; i < 6; ++i, bits >>= 9) {
    block.words[(bits >> 6) & 7] |= std::uint64_t{1} << (bits & 63);
  }
  return block;
}

std::size_t BloomFilter::place(const Key128& key) {
  constexpr std::uint64_t kBlocks = std::tuple_size_v<decltype(Layer::blocks)>;
  return static_cast<std::size_t>(((key.low >> 32) * kBlocks) >> 32);
}

void BloomFilter::add(const Key128& key) {
  if (layers_.empty() || in_last_ == kLayerKeys) {
    layers_.push_back(std::make_unique<Layer>());
    in_last_ = 0;
  }
  ++in_last_;
  Block& block = layers_.back()->blocks[place(key)];
  const Block bits = mask(key);
  for (std::size_t i = 0; i < block.words.size(); ++i) block.words[i] |= bits.words[i];
}

bool BloomFilter::may_contain(const Key128& key) const {
  const Block bits = mask(key);
  const std::size_t at = place(key);
  return std::any_of(layers_.begin(), layers_.end(), [&](const auto& layer) {
    const Block& block = layer->blocks[at];
    for (std::size_t i = 0; i < block.words.size(); ++i) {
      if ((block.words[i] & bits.words[i]) != bits.words[i]) return false;
    }
    return true;
  });
}

}  // namespace sluice
