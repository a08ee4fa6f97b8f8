#include "sim/lossy_file.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"

namespace sluice::sim {
namespace {

constexpr std::uint64_t kHistoryBytes = 8u << 20;
constexpr std::uint64_t kTornOneIn = 32;
constexpr std::size_t kGarbageBytes = 16;

}  // namespace

void Inode::write(std::uint64_t offset, std::string_view data) {
  if (data.empty()) return;
  Change change{offset, data.size(), bytes.size(), {}};
  if (offset < bytes.size()) change.before = bytes.substr(offset, data.size());
  if (offset + data.size() > bytes.size()) bytes.resize(offset + data.size());
  std::memcpy(bytes.data() + offset, data.data(), data.size());
  note(std::move(change));
}

void Inode::truncate(std::uint64_t size) {
  if (size == bytes.size()) return;
  const std::uint64_t low = std::min<std::uint64_t>(size, bytes.size());
  const std::uint64_t high = std::max<std::uint64_t>(size, bytes.size());
  Change change{low, high - low, bytes.size(), {}};
  if (size < bytes.size()) change.before = bytes.substr(size);
  bytes.resize(size);
  note(std::move(change));
}

void Inode::note(Change change) {
  history_bytes_ += change.cost();
  changes_.push_back(std::move(change));
  while (history_bytes_ > kHistoryBytes && changes_.size() > 1) {
    history_bytes_ -= changes_.front().cost();
    retire(changes_.front());
    changes_.pop_front();
  }
}

void Inode::retire(const Change& change) {
  if (abandoned_.empty()) return;
  abandoned_.erase(abandoned_.lower_bound(change.first_sector()),
                   abandoned_.upper_bound(change.last_sector()));
}

void Inode::sync() {
  for (const Change& change : changes_) retire(change);
  changes_.clear();
  history_bytes_ = 0;
}

Inode::Fates Inode::choose_fates(Random& random, std::uint64_t keep_percent) const {
  Fates fates;
  for (const Change& change : changes_) {
    for (auto s = change.first_sector(); s <= change.last_sector(); ++s) ++fates[s].changes;
  }
  for (auto& [sector, fate] : fates) {
    fate.kept = random.percent(keep_percent) ? fate.changes : random.below(fate.changes);
    fate.torn = fate.kept < fate.changes && random.below(kTornOneIn) == 0;
  }
  return fates;
}

/// Between two states of one sector: a head of the newer, some garbage, the tail of the older.
static void tear(std::string_view newer, char* sector, Random& random) {
  const std::size_t cut = random.below(kSector + 1);
  std::memcpy(sector, newer.data(), cut);
  const std::size_t end = std::min<std::size_t>(kSector, cut + random.below(kGarbageBytes + 1));
  for (std::size_t i = cut; i < end; ++i) sector[i] = static_cast<char>(random.next());
}

std::string Inode::medium(const Fates& fates, Random& random) const {
  std::uint64_t extent = bytes.size();
  for (const Change& change : changes_) extent = std::max(extent, change.offset + change.length);
  std::string image = bytes;
  image.resize((extent + kSector - 1) / kSector * kSector);

  // Backwards through history, undoing in each sector the changes that did not reach it.
  std::map<std::uint64_t, std::uint64_t> undone;
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    for (auto s = change->first_sector(); s <= change->last_sector(); ++s) {
      const Fate& fate = fates.at(s);
      const std::uint64_t index = fate.changes - ++undone[s];
      if (index < fate.kept) continue;
      char* sector = image.data() + s * kSector;
      const std::string newer(sector, kSector);
      const std::uint64_t from = std::max(change->offset, s * kSector);
      const std::uint64_t to = std::min(change->offset + change->length, (s + 1) * kSector);
      for (std::uint64_t i = from; i < to; ++i) {
        const std::uint64_t at = i - change->offset;
        image[i] = at < change->before.size() ? change->before[at] : '\0';
      }
      if (index == fate.kept && fate.torn) tear(newer, sector, random);
    }
  }
  for (const auto& [sector, old] : abandoned_) {
    const auto fate = fates.find(sector);
    const bool rewritten = fate != fates.end() && (fate->second.kept > 0 || fate->second.torn);
    if (!rewritten && (sector + 1) * kSector <= image.size()) {
      std::memcpy(image.data() + sector * kSector, old.data(), kSector);
    }
  }
  return image;
}

void Inode::fail_sync(Random& random) {
  const Fates fates = choose_fates(random, 50);
  const std::string image = medium(fates, random);
  std::string cached = bytes;
  cached.resize(image.size());
  sync();
  for (const auto& [sector, fate] : fates) {
    const auto old = std::string_view(image).substr(sector * kSector, kSector);
    if (old != std::string_view(cached).substr(sector * kSector, kSector)) {
      abandoned_[sector] = std::string(old);
    }
  }
}

void Inode::lose(Random& random, DiskStats& stats) {
  if (changes_.empty() && abandoned_.empty()) return;
  // Some losses are nearly total, some leave out a sector or two: both kinds find faults.
  constexpr std::array<std::uint64_t, 5> kKeepPercent = {0, 20, 50, 90, 100};
  const std::uint64_t keep = kKeepPercent[random.below(kKeepPercent.size())];
  const Fates fates = choose_fates(random, keep);
  for (const auto& [sector, fate] : fates) {
    ++(fate.kept == fate.changes ? stats.sectors_kept : stats.sectors_lost);
    if (fate.torn) ++stats.sectors_torn;
  }
  std::string image = medium(fates, random);
  std::uint64_t size = bytes.size();
  if (!changes_.empty() && !random.percent(keep)) {
    size = changes_[random.below(changes_.size())].size_before;
  }
  image.resize(size);
  bytes = std::move(image);
  changes_.clear();
  abandoned_.clear();
  history_bytes_ = 0;
}

}  // namespace sluice::sim
