#include "app/handover_door.h"

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice::app {
namespace {

constexpr int kBacklog = 8;

Error failed(const std::string& path, int error) {
  const ErrorKind kind =
      error == ENOENT || error == ECONNREFUSED ? ErrorKind::kNotFound : ErrorKind::kUnavailable;
  return Error(kind, fmt::format("{}: {}", path, std::strerror(error)));
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Error(ErrorKind::kInvalidArgument, path + ": too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

services::Descriptor make_socket() {
  return services::Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/// nullopt: it is gone again.
std::optional<HandoverDoor::Visitor> look_at(services::Descriptor socket) {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return std::nullopt;
  HandoverDoor::Visitor visitor;
  visitor.pid = who.pid;
  visitor.user = who.uid;
  visitor.process = services::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, who.pid, 0)));
  if (!visitor.process.is_open()) return std::nullopt;
  visitor.socket = std::move(socket);
  return visitor;
}

}  // namespace

HandoverDoor::HandoverDoor(Shard& shard, std::string path, services::Descriptor socket)
    : poller_(shard), path_(std::move(path)), socket_(std::move(socket)), watch_(poller_) {}

HandoverDoor::~HandoverDoor() {
  watch_.stop();
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<std::unique_ptr<HandoverDoor>> HandoverDoor::open(Shard& shard, std::string path) {
  const Result<sockaddr_un> address = address_of(path);
  if (!address) return address.error();
  services::Descriptor socket = make_socket();
  ::unlink(path.c_str());
  // Before bind, so that the name never exists with wider rights, whatever the umask.
  if (!socket.is_open() || ::fchmod(socket.get(), 0600) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return failed(path, errno);
  }
  std::unique_ptr<HandoverDoor> door(new HandoverDoor(shard, std::move(path), std::move(socket)));
  const Result<void> watched = door->watch_.start(door->socket_.get());
  if (!watched) return watched.error();
  return door;
}

Task<HandoverDoor::Visitor> HandoverDoor::next() {
  for (;;) {
    services::Descriptor socket(
        ::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.is_open()) {
      std::optional<Visitor> visitor = look_at(std::move(socket));
      if (visitor) co_return std::move(*visitor);
      continue;
    }
    // Out of descriptors, say: whoever waits goes on waiting until somebody else comes.
    if (errno != EINTR && errno != ECONNABORTED) watch_.exhausted(net::Watch::Side::kRead);
    co_await watch_.wait(net::Watch::Side::kRead, MonoTime::max());
  }
}

Result<services::Descriptor> HandoverDoor::knock(const std::string& path) {
  const Result<sockaddr_un> address = address_of(path);
  if (!address) return address.error();
  services::Descriptor socket = make_socket();
  if (!socket.is_open() ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return failed(path, errno);
  }
  return socket;
}

}  // namespace sluice::app
