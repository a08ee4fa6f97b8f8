#pragma once
// Two clocks that never mix: MonoTime orders and times out, UnixMillis is what people and disks
// see.

#include <chrono>
#include <compare>
#include <cstdint>

namespace sluice {

using Duration = std::chrono::nanoseconds;

/// A point on the monotonic clock. Meaningless in another process.
struct MonoTime {
  std::int64_t ns = 0;

  static constexpr MonoTime max() { return MonoTime{INT64_MAX}; }
  friend constexpr auto operator<=>(MonoTime, MonoTime) = default;
  friend constexpr MonoTime operator+(MonoTime t, Duration d) { return MonoTime{t.ns + d.count()}; }
  friend constexpr Duration operator-(MonoTime a, MonoTime b) { return Duration(a.ns - b.ns); }
};

/// Milliseconds since 1970, from the wall clock, which may jump (C29).
struct UnixMillis {
  std::int64_t ms = 0;

  friend constexpr auto operator<=>(UnixMillis, UnixMillis) = default;
  friend constexpr UnixMillis operator+(UnixMillis t, std::chrono::milliseconds d) {
    return UnixMillis{t.ms + d.count()};
  }
  friend constexpr std::chrono::milliseconds operator-(UnixMillis a, UnixMillis b) {
    return std::chrono::milliseconds(a.ms - b.ms);
  }
};

}  // namespace sluice
