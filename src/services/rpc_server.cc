#include "services/rpc_server.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/socket.h>

#include "net/endpoint.h"
#include "services/connectors.h"

namespace sluice::services {
namespace {

constexpr int kBacklog = 128;
constexpr Duration kAcceptAgain = std::chrono::milliseconds(100);  // when descriptors have run out
constexpr Duration kStall = std::chrono::seconds(30);              // who reads no answers is cut

Error refused(std::uint16_t port, int error) {
  return Error(error == EADDRINUSE ? ErrorKind::kConflict : ErrorKind::kUnavailable,
               fmt::format("listening on 127.0.0.1:{}: {}", port, std::strerror(error)));
}

}  // namespace

RpcServer::RpcServer(net::Poller& poller, Logger& log, Handler handler)
    : poller_(poller),
      log_(log),
      handler_(std::move(handler)),
      watch_(poller),
      tasks_(poller.shard()) {}

RpcServer::~RpcServer() { tasks_.cancel(); }

Result<void> RpcServer::listen(std::uint16_t port) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return refused(port, errno);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage storage{};
  const auto loopback = net::IpAddress::parse("127.0.0.1");
  const socklen_t size = net::to_sockaddr({*loopback, port}, storage);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return refused(port, errno);
  }
  return adopt(std::move(socket));
}

Result<void> RpcServer::adopt(Descriptor socket) {
  SLUICE_ASSERT(!socket_.is_open());
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &size);
  const Result<void> watched = watch_.start(socket.get());
  if (!watched) return watched;
  socket_ = std::move(socket);
  port_ = net::from_sockaddr(storage).port;
  tasks_.spawn("rpc_accept", accept());
  return {};
}

Descriptor RpcServer::release() {
  tasks_.cancel();
  watch_.stop();
  port_ = 0;
  return std::move(socket_);
}

Task<void> RpcServer::accept() {
  for (;;) {
    co_await watch_.wait(net::Watch::Side::kRead, MonoTime::max());
    Descriptor client(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client.is_open()) {
      if (connections_ < kConnectionsMost) tasks_.spawn("rpc_connection", serve(std::move(client)));
      co_await yield(poller_.shard());
    } else if (errno == EAGAIN) {
      watch_.exhausted(net::Watch::Side::kRead);
    } else {
      log_.warn("rpc_accept", {{"error", std::strerror(errno)}});
      co_await sleep_for(poller_.shard(), kAcceptAgain);
    }
  }
}

Task<void> RpcServer::serve(Descriptor socket) {
  struct Counted {
    explicit Counted(std::size_t& n) : connections(n) { ++connections; }
    ~Counted() { --connections; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    std::size_t& connections;
  };
  const Counted counted(connections_);
  Loop& loop = poller_.shard();
  auto transport = std::make_unique<net::Transport>(poller_);
  const Result<void> adopted = transport->adopt(socket.release());
  if (!adopted) co_return;
  MonoTime last = loop.now();
  Event changed(loop);
  Connection::Handlers handlers;
  handlers.on_life = [&last, &loop] { last = loop.now(); };
  handlers.on_end = [&changed] { changed.pulse(); };
  handlers.on_request = handler_;
  auto link = make_socket_link(loop, std::move(transport), Framing::kLengthPrefix, kRequestMost);
  // Last: what it tells is above.
  auto connection =
      std::make_shared<Connection>(loop, std::move(link), std::move(handlers), kStall);
  connection->start();
  while (!connection->has_ended()) {
    const MonoTime now = loop.now();
    if (connection->requests() > 0) last = now;
    if (now >= last + kIdleMost) break;
    co_await changed.wait_until(last + kIdleMost);
  }
  const std::unique_ptr<Link> cut =
      connection->cut(Error(ErrorKind::kUnavailable, "it asked for nothing"));
}

}  // namespace sluice::services
