#include "epoll_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "measure.h"
#include "message_end.h"

namespace sluice::bench {
namespace {

constexpr int kBacklog = 4096;  // as the daemon's

}  // namespace

EpollServer::EpollServer(std::uint16_t port) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  if (port != 0) ::setsockopt(listener_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  socklen_t size = sizeof address;
  SLUICE_ASSERT(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  SLUICE_ASSERT(::listen(listener_, kBacklog) == 0);
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  add(wake_);
  add(listener_);
}

EpollServer::~EpollServer() {
  for (const auto& [fd, in] : connections_) ::close(fd);
  stop_listening();
  ::close(wake_);
  ::close(epoll_);
}

void EpollServer::add(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  SLUICE_ASSERT(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void EpollServer::accept_one() {
  const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  connections_[fd];
  add(fd);
}

void EpollServer::serve(int fd) {
  char chunk[4096];
  const ssize_t n = ::recv(fd, chunk, sizeof chunk, 0);
  if (n <= 0) {
    connections_.erase(fd);
    ::close(fd);
    return;
  }
  std::string& in = connections_[fd];
  in.append(chunk, static_cast<std::size_t>(n));
  for (std::size_t end = 0; (end = message_end(in)) != 0; in.erase(0, end)) {
    // A client that has given up is seen by the next read.
    const ssize_t sent = ::send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    SLUICE_ASSERT(sent < 0 || sent == static_cast<ssize_t>(answer_.size()));
  }
}

bool EpollServer::step(int patience_ms) {
  epoll_event events[64];
  const int n = ::epoll_wait(epoll_, events, 64, patience_ms);
  for (int i = 0; i < n; ++i) {
    const int fd = events[i].data.fd;
    if (fd == wake_) {
      std::uint64_t count = 0;
      SLUICE_ASSERT(::read(wake_, &count, sizeof count) == sizeof count);
      return false;
    }
    if (fd == listener_) {
      accept_one();
    } else {
      serve(fd);
    }
  }
  return true;
}

void EpollServer::run() {
  while (step(-1)) {
  }
}

void EpollServer::run_until_empty(double seconds) {
  const double until = wall_seconds() + seconds;
  while (!connections_.empty() && wall_seconds() < until && step(10)) {
  }
}

void EpollServer::stop_listening() {
  if (listener_ >= 0) ::close(listener_);
  listener_ = -1;
}

void EpollServer::stop() {
  const std::uint64_t one = 1;
  SLUICE_ASSERT(::write(wake_, &one, sizeof one) == sizeof one);
}

}  // namespace sluice::bench
