#include "net/endpoint.h"

#include <cstring>

#include <arpa/inet.h>
#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>
#include <netinet/in.h>

#include "net/asio_bridge.h"
#include "runtime/wait.h"

namespace sluice::net {
namespace {

using boost::asio::ip::tcp;

struct Found {
  boost::system::error_code error;
  std::vector<Endpoint> endpoints;
};

Task<Found> look_up(Shard* shard, std::string host, std::uint16_t port) {
  auto resolver = std::make_shared<tcp::resolver>(shard->io());
  const auto start = [resolver, &host, port](std::function<void(Found)> done) {
    resolver->async_resolve(host, std::to_string(port), tcp::resolver::numeric_service,
                            [resolver, done](const boost::system::error_code& ec,
                                             const tcp::resolver::results_type& all) {
                              Found found{ec, {}};
                              for (const auto& entry : all) {
                                if (found.endpoints.size() == kMaxResolved) break;
                                sockaddr_storage storage{};
                                const tcp::endpoint endpoint = entry.endpoint();
                                std::memcpy(&storage, endpoint.data(), endpoint.size());
                                found.endpoints.push_back(from_sockaddr(storage));
                              }
                              done(std::move(found));
                            });
  };
  co_return co_await await_callback<Found>(*shard, start);
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const Error bad(ErrorKind::kInvalidArgument, "not an IP address");
  if (text.find('\0') != std::string_view::npos) return bad;
  const std::string copy(text);
  IpAddress address;
  if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
  address.v4 = false;
  if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
  return bad;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(v4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

std::string Endpoint::to_string() const {
  return address.v4 ? fmt::format("{}:{}", address.to_string(), port)
                    : fmt::format("[{}]:{}", address.to_string(), port);
}

socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& out) {
  out = {};
  if (endpoint.address.v4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.address.bytes.data(), 4);
    std::memcpy(&out, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  std::memcpy(&v6.sin6_addr, endpoint.address.bytes.data(), 16);
  std::memcpy(&out, &v6, sizeof v6);
  return sizeof v6;
}

Endpoint from_sockaddr(const sockaddr_storage& address) {
  Endpoint endpoint;
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    std::memcpy(endpoint.address.bytes.data(), &v4.sin_addr, 4);
    endpoint.port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    endpoint.address.v4 = false;
    std::memcpy(endpoint.address.bytes.data(), &v6.sin6_addr, 16);
    endpoint.port = ntohs(v6.sin6_port);
  }
  return endpoint;
}

Task<Result<std::vector<Endpoint>>> resolve(Shard& shard, std::string host, std::uint16_t port,
                                            MonoTime deadline) {
  const auto literal = IpAddress::parse(host);
  if (literal) co_return std::vector<Endpoint>{Endpoint{*literal, port}};
  if (host == "localhost") {
    const auto v4 = IpAddress::parse("127.0.0.1");
    const auto v6 = IpAddress::parse("::1");
    co_return std::vector<Endpoint>{Endpoint{*v4, port}, Endpoint{*v6, port}};
  }
  Task<Found> lookup = look_up(&shard, host, port);
  auto outcome = co_await run_until(shard, std::move(lookup), deadline);
  if (outcome.ended != Ended::kDone) {
    co_return Error(ErrorKind::kTimeout, "resolving " + host, ErrorSource::kPeer,
                    Retry::with_backoff());
  }
  if (outcome.value->error || outcome.value->endpoints.empty()) {
    co_return Error(ErrorKind::kUnavailable,
                    "resolving " + host + ": " + outcome.value->error.message(), ErrorSource::kPeer,
                    Retry::with_backoff());
  }
  co_return std::move(outcome.value->endpoints);
}

}  // namespace sluice::net
