#pragma once
// Url: an absolute http or https URL, strictly (RFC 3986, no leniency of the WHATWG kind: what one
// parser repairs, another reads differently, and that difference is how egress checks are walked
// around).

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::net {

inline constexpr std::size_t kMaxUrlBytes = 8 * 1024;

/// A value. host is lower case; an IPv6 literal has no brackets.
struct Url {
  bool https = false;
  std::string host;
  std::uint16_t port = 80;
  std::string target = "/";  // path and query as they go into the request line; no fragment

  /// kInvalidArgument, with the reason, for: other schemes, user information, a host that is
  /// neither a DNS name (letters, digits, hyphens; no IDN: give its punycode) nor an IP literal in
  /// normal form, numbers as hosts ("2130706433", "127.1", "0x7f.1"), port 0, control or non-ASCII
  /// characters and broken percent escapes. A fragment is dropped.
  static Result<Url> parse(std::string_view text);

  bool default_port() const { return port == (https ? 443 : 80); }
  /// "host", "host:8080", "[::1]:8080": for the Host header.
  std::string authority() const;
  std::string to_string() const;
};

}  // namespace sluice::net
