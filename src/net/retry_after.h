#pragma once
// The Retry-After header: how long a peer asks to be left alone. Any thread; pure.
//
// Reference: RFC 9110 10.2.3, and 5.6.7 for the date, of which only the preferred form is read.

#include <chrono>
#include <optional>
#include <string_view>

#include "base/time.h"

namespace sluice::net {

/// The longest wait that a peer is granted; it may name any.
inline constexpr std::chrono::hours kRetryAfterMost{24};

/// Seconds ("120") or a date ("Sun, 06 Nov 1994 08:49:37 GMT"), the latter counted from now; a date
/// gone by is no wait. nullopt for anything else, so that the caller backs off as it would anyway.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value, UnixMillis now);

}  // namespace sluice::net
