#include "net/egress.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace sluice::net {
namespace {

struct Block {
  std::array<std::uint8_t, 16> base;
  unsigned bits;
};

bool has_prefix(const std::array<std::uint8_t, 16>& bytes, const std::array<std::uint8_t, 16>& base,
                unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(base.begin(), base.begin() + static_cast<std::ptrdiff_t>(whole), bytes.begin())) {
    return false;
  }
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - bits % 8));
  return (bytes[whole] & mask) == (base[whole] & mask);
}

bool in_any(const IpAddress& address, const Block* blocks, std::size_t count) {
  return std::any_of(blocks, blocks + count, [&](const Block& block) {
    return has_prefix(address.bytes, block.base, block.bits);
  });
}

constexpr Block kSpecialV4[] = {
    {{0}, 8},                  // "this network"
    {{10}, 8},                 // private
    {{100, 64}, 10},           // carrier-grade NAT
    {{127}, 8},                // loopback
    {{169, 254}, 16},          // link-local, cloud metadata
    {{172, 16}, 12},           // private
    {{192, 0, 0}, 24},         // IETF protocol assignments
    {{192, 0, 2}, 24},         // documentation
    {{192, 31, 196}, 24},      // AS112
    {{192, 52, 193}, 24},      // AMT
    {{192, 88, 99}, 24},       // 6to4 relay
    {{192, 168}, 16},          // private
    {{192, 175, 48}, 24},      // AS112
    {{198, 18}, 15},           // benchmarking
    {{198, 51, 100}, 24},      // documentation
    {{203, 0, 113}, 24},       // documentation
    {{224}, 3},                // multicast, reserved, broadcast
    {{168, 63, 129, 16}, 32},  // a cloud's metadata and DNS on a public number
};

// Inside 2000::/3, which alone is global unicast.
constexpr Block kSpecialV6[] = {
    {{0x20, 0x01, 0x00}, 23},              // IETF protocol assignments, Teredo included
    {{0x20, 0x01, 0x0d, 0xb8}, 32},        // documentation
    {{0x26, 0x20, 0x00, 0x4f, 0x80}, 48},  // AS112
    {{0x3f, 0xff, 0x00}, 20},              // documentation
};

constexpr Block kMapped = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
constexpr Block kNat64 = {{0x00, 0x64, 0xff, 0x9b}, 96};
constexpr Block k6to4 = {{0x20, 0x02}, 16};
constexpr Block kGlobalV6 = {{0x20}, 3};

IpAddress embedded_v4(const IpAddress& address, std::size_t offset) {
  IpAddress v4;
  std::copy_n(address.bytes.begin() + static_cast<std::ptrdiff_t>(offset), 4, v4.bytes.begin());
  return v4;
}

}  // namespace

bool is_public(const IpAddress& address) {
  if (address.v4) return !in_any(address, kSpecialV4, std::size(kSpecialV4));
  const auto in = [&](const Block& b) { return has_prefix(address.bytes, b.base, b.bits); };
  if (in(kMapped) || in(kNat64)) return is_public(embedded_v4(address, 12));
  if (in(k6to4)) return is_public(embedded_v4(address, 2));
  if (!in(kGlobalV6)) return false;
  return !in_any(address, kSpecialV6, std::size(kSpecialV6));
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto base = IpAddress::parse(text.substr(0, slash));
  if (!base) return base.error();
  Cidr cidr{*base, base->v4 ? 32u : 128u};
  if (slash == std::string_view::npos) return cidr;
  const std::string_view bits = text.substr(slash + 1);
  unsigned value = 0;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), value);
  if (error != std::errc{} || end != bits.data() + bits.size() || value > cidr.bits) {
    return Error(ErrorKind::kInvalidArgument, "bad prefix length: " + std::string(text));
  }
  cidr.bits = value;
  return cidr;
}

bool Cidr::contains(const IpAddress& address) const {
  return address.v4 == base.v4 && has_prefix(address.bytes, base.bytes, bits);
}

Result<EgressPolicy> EgressPolicy::allowing(const std::vector<std::string>& entries) {
  EgressPolicy policy;
  for (const std::string& entry : entries) {
    if (auto block = Cidr::parse(entry)) {
      policy.blocks_.push_back(*block);
      continue;
    }
    // The URL parser knows what a host and a port are; the port must have been written.
    const auto target = Url::parse("http://" + entry);
    const std::size_t colon = entry.rfind(':');
    const std::size_t bracket = entry.rfind(']');
    const bool has_port =
        colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
    const bool bare = entry.find_first_of("/?#") == std::string::npos;
    if (!target || !has_port || !bare) {
      return Error(ErrorKind::kInvalidArgument,
                   "neither a block of addresses nor host:port: " + entry);
    }
    policy.targets_.push_back({target->host, target->port});
  }
  return policy;
}

bool EgressPolicy::allows(const Url& url, const IpAddress& address) const {
  if (is_public(address)) return true;
  for (const Cidr& block : blocks_) {
    if (block.contains(address)) return true;
  }
  return std::any_of(targets_.begin(), targets_.end(), [&](const Target& target) {
    return target.host == url.host && target.port == url.port;
  });
}

Task<Result<Endpoint>> EgressPolicy::choose(Shard& shard, Url url, MonoTime deadline) const {
  auto found = co_await resolve(shard, url.host, url.port, deadline);
  if (!found) co_return found.error();
  for (const Endpoint& endpoint : *found) {
    if (allows(url, endpoint.address)) co_return endpoint;
  }
  co_return Error(ErrorKind::kPermissionDenied,
                  url.authority() + " has only addresses that are not public", ErrorSource::kPeer);
}

}  // namespace sluice::net
