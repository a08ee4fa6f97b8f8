#pragma once
// Ids that the compiler tells apart. All are positive, ascending in the order of creation, and
// never used twice in one store; 0 means "none".

#include <compare>
#include <cstdint>
#include <functional>

namespace sluice {

template <class Tag>
struct Id {
  std::int64_t value = 0;

  explicit operator bool() const { return value != 0; }
  friend auto operator<=>(Id, Id) = default;
};

using MessageId = Id<struct MessageTag>;  // an accepted event, whatever its kind
using TurnId = Id<struct TurnTag>;
using LaneId = Id<struct LaneTag>;        // a conversation
using PartId = Id<struct PartTag>;        // one outgoing message of a reply
using HistoryId = Id<struct HistoryTag>;  // one line of a conversation's log

/// 128 bits of a keyed hash (base/hash.h).
struct Key128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const Key128&, const Key128&) = default;
};

}  // namespace sluice

template <class Tag>
struct std::hash<sluice::Id<Tag>> {
  std::size_t operator()(sluice::Id<Tag> id) const noexcept {
    return static_cast<std::size_t>(id.value) * 0x9e3779b97f4a7c15u;
  }
};
template <>
struct std::hash<sluice::Key128> {
  std::size_t operator()(const sluice::Key128& key) const noexcept { return key.low; }
};
