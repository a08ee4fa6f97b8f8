#include "net/retry_after.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string>

namespace sluice::net {

using std::chrono::milliseconds;

std::optional<milliseconds> parse_retry_after(std::string_view value, UnixMillis now) {
  constexpr milliseconds kMost = kRetryAfterMost;
  std::int64_t seconds = 0;
  const char* const end = value.data() + value.size();
  const auto [stopped, error] = std::from_chars(value.data(), end, seconds);
  if (!value.empty() && stopped == end && error == std::errc{} && seconds >= 0) {
    return milliseconds(std::min(seconds, kMost.count() / 1000) * 1000);
  }
  std::tm date{};
  const std::string text(value);
  const char* const rest = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  // Not "*rest is 0": a value may hold a NUL of its own.
  if (rest != text.c_str() + text.size()) return std::nullopt;
  const std::int64_t at = static_cast<std::int64_t>(::timegm(&date)) * 1000;
  return std::clamp(milliseconds(at - now.ms), milliseconds(0), kMost);
}

}  // namespace sluice::net
