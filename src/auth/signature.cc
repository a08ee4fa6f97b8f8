#include "auth/signature.h"

#include <algorithm>
#include <charconv>

#include <fmt/core.h>

namespace sluice::auth {
namespace {

Digest mac_of(std::string_view secret, std::int64_t seconds, std::string_view what) {
  return hmac(secret, fmt::format("{}.{}", seconds, what));
}

std::optional<std::int64_t> parse_seconds(std::string_view text) {
  std::int64_t seconds = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  // Written as we write it, so that one signature has one form.
  if (ec != std::errc() || end != text.data() + text.size() || fmt::format("{}", seconds) != text)
    return std::nullopt;
  return seconds;
}

}  // namespace

std::optional<Signature> parse_signature(std::string_view text) {
  std::optional<std::int64_t> seconds;
  std::optional<Digest> mac;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view field = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (field.starts_with("t=") && !seconds) {
      seconds = parse_seconds(field.substr(2));
      if (!seconds) return std::nullopt;
    } else if (field.starts_with("v1=") && !mac) {
      mac = digest_from_hex(field.substr(3));
      if (!mac) return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  if (!seconds || !mac) return std::nullopt;
  return Signature{*seconds, *mac};
}

bool is_signed_with(const Signature& signature, std::string_view secret, std::string_view what) {
  return equal(signature.mac, mac_of(secret, signature.seconds, what));
}

std::string signature(std::string_view secret, std::string_view what, UnixMillis now) {
  const std::int64_t seconds = now.ms / 1000;
  return fmt::format("t={},v1={}", seconds, to_hex(mac_of(secret, seconds, what)));
}

}  // namespace sluice::auth
