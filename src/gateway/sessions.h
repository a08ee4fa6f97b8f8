#pragma once
// When a conversation begins anew by itself: after a silence, or at an hour of the person's day.
// Values; shard thread (the first use of a time zone reads its file).

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace sluice {

struct SessionRules {
  std::chrono::milliseconds idle{0};  // 0: never
  std::string daily;                  // "04:00", by the person's clock; empty: never
  std::string time_zone;              // where the person told none; empty: UTC

  bool any() const { return idle.count() > 0 || !daily.empty(); }
};

/// A name of the IANA time zone database that this machine knows, "Europe/Berlin".
bool is_time_zone(std::string_view name);
/// "04:00" as the time after midnight; nullopt if it is no hour and minute.
std::optional<std::chrono::minutes> parse_time_of_day(std::string_view text);

/// The days since 1970 by a zone's calendar; an unknown or empty zone is UTC.
std::int64_t local_day(std::string_view zone, UnixMillis at,
                       std::chrono::minutes day_begins = std::chrono::minutes(0));

/// Whether a message of now does not belong to the session of what was said at last.
bool begins_session(const SessionRules& rules, std::string_view persons_zone, UnixMillis last,
                    UnixMillis now);

}  // namespace sluice
