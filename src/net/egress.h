#pragma once
// Where we may connect to on behalf of others: URLs that came from messages, callers, agents or
// media. Addresses that only mean something inside (private, loopback, link-local and so on) are
// refused, a name is resolved once, and the connection goes to exactly the address that was
// checked: a name that changes its mind between check and use gains nothing. URLs of the
// configuration are trusted and don't come here.
//
// A value; shard-confined where it resolves. Sources: IANA special-purpose registries, RFC 6890,
// 6598, 6052, 4193, 3056, 4380.

#include <string>
#include <string_view>
#include <vector>

#include "net/endpoint.h"
#include "net/url.h"

namespace sluice::net {

/// Globally reachable unicast. Addresses that embed an IPv4 address (mapped, NAT64, 6to4) are as
/// public as that; Teredo and IPv4-compatible ones never are.
bool is_public(const IpAddress& address);

/// A block of addresses: "10.0.0.0/8", "fd00::/8", "192.0.2.1".
struct Cidr {
  IpAddress base;
  unsigned bits = 0;

  static Result<Cidr> parse(std::string_view text);
  bool contains(const IpAddress& address) const;
};

class EgressPolicy {
 public:
  /// Nothing but public addresses.
  EgressPolicy() = default;
  /// Also what the operator lists: blocks ("10.1.0.0/16") and exact targets by host and port as
  /// written in the URL ("127.0.0.1:8080", "intranet.example:443", "[::1]:80"). kInvalidArgument
  /// names the entry.
  static Result<EgressPolicy> allowing(const std::vector<std::string>& entries);

  bool allows(const Url& url, const IpAddress& address) const;

  /// Resolves the URL's host once and picks the first address that is allowed: connect to that and
  /// to no other. kPermissionDenied if none is; errors of resolve().
  Task<Result<Endpoint>> choose(Shard& shard, Url url, MonoTime deadline) const;

 private:
  struct Target {
    std::string host;
    std::uint16_t port;
  };
  std::vector<Cidr> blocks_;
  std::vector<Target> targets_;
};

}  // namespace sluice::net
