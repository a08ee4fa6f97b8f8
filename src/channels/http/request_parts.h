#pragma once
// What the requests of the HTTP face have in common. Internal to this folder.

#include <algorithm>
#include <any>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/result.h"
#include "channels/http/auth.h"
#include "channels/http/options.h"
#include "lifecycle/in_flight.h"
#include "net/http_server.h"

namespace sluice::http {

inline Error invalid(std::string what) {
  return Error(ErrorKind::kInvalidArgument, std::move(what), ErrorSource::kPeer);
}
inline Error not_found(std::string what) {
  return Error(ErrorKind::kNotFound, std::move(what), ErrorSource::kPeer);
}

/// As the gate left it.
inline const Caller& caller_of(net::HttpExchange& exchange) {
  return *std::any_cast<Caller>(&exchange.context());
}

/// What the request is counted by; null if nobody counts.
inline lifecycle::Guard* guard_of(net::HttpExchange& exchange) {
  lifecycle::Guard** const guard = std::any_cast<lifecycle::Guard*>(&exchange.attachment());
  return guard == nullptr ? nullptr : *guard;
}

/// Digits only, at most 2^63 - 1.
inline std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc() || end != text.data() + text.size() || number < 0 || text.front() == '-')
    return std::nullopt;
  return number;
}

/// What the query says, or the fallback.
inline Result<std::int64_t> number_of(const net::HttpRequest& request, std::string_view name,
                                      std::int64_t fallback) {
  const std::optional<std::string_view> text = request.query_value(name);
  if (!text) return fallback;
  const std::optional<std::int64_t> value = text->empty() ? std::nullopt : parse_number(*text);
  if (!value) return invalid(fmt::format("\"{}\" must be a whole number", name));
  return *value;
}

constexpr std::size_t kPageLines = 50;  // of history or of a list, if the caller does not say
constexpr std::size_t kPageLinesMax = 200;
constexpr std::size_t kPageBytes = 1 << 20;  // of text; a longer line goes by itself

/// ?limit=
inline Result<std::size_t> limit_of(const net::HttpRequest& request) {
  const Result<std::int64_t> limit = number_of(request, "limit", kPageLines);
  if (!limit) return limit.error();
  if (*limit < 1 || *limit > static_cast<std::int64_t>(kPageLinesMax))
    return invalid(fmt::format("\"limit\" must be between 1 and {}", kPageLinesMax));
  return static_cast<std::size_t>(*limit);
}

/// ?html=1
inline bool wants_html(const net::HttpRequest& request) {
  return request.query_value("html") == "1";
}

}  // namespace sluice::http
