#pragma once
// IP addresses and where to connect to, as values.

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include "base/result.h"
#include "runtime/shard.h"
#include "runtime/task.h"

namespace sluice::net {

/// IPv4 or IPv6, in network order; IPv4 in the first four bytes. No zone: link-local addresses with
/// a zone are not spoken to.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};
  bool v4 = true;

  /// "192.0.2.1", "2001:db8::1"; strict, no zone, no brackets, no octal or short forms.
  static Result<IpAddress> parse(std::string_view text);
  std::string to_string() const;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  /// "192.0.2.1:80", "[2001:db8::1]:80".
  std::string to_string() const;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& out);
/// Endpoint{} for a family that is neither.
Endpoint from_sockaddr(const sockaddr_storage& address);

/// At most kMaxResolved addresses in the resolver's order; literals and "localhost" ask nobody.
/// kUnavailable (retry with backoff) when the name does not resolve now, kTimeout at the deadline.
/// The system's resolver runs in Asio's thread; destroying the Task leaves it to end by itself.
inline constexpr std::size_t kMaxResolved = 16;
Task<Result<std::vector<Endpoint>>> resolve(Shard& shard, std::string host, std::uint16_t port,
                                            MonoTime deadline);

}  // namespace sluice::net
