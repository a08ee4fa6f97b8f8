#include "http_load.h"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "measure.h"
#include "message_end.h"

namespace sluice::bench {

HttpLoad::HttpLoad(std::uint16_t port, std::size_t connections, MakeRequest make)
    : port_(port), make_(std::move(make)), connections_(connections) {}

HttpLoad::~HttpLoad() {
  for (const Connection& connection : connections_) {
    if (connection.fd >= 0) ::close(connection.fd);
  }
  if (epoll_ >= 0) ::close(epoll_);
}

void HttpLoad::connect_all() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = connections_[i];
    connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SLUICE_ASSERT(::connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) ==
                  0);
    const int on = 1;
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    SLUICE_ASSERT(::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) == 0);
  }
}

void HttpLoad::send_next(std::size_t i) {
  const std::string bytes = make_(i, connections_[i].number++);
  SLUICE_ASSERT(::send(connections_[i].fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
}

bool HttpLoad::take(Connection& connection) {
  char chunk[4096];
  const ssize_t n = ::recv(connection.fd, chunk, sizeof chunk, 0);
  SLUICE_ASSERT(n > 0);
  connection.in.append(chunk, static_cast<std::size_t>(n));
  const std::size_t end = message_end(connection.in);
  if (end == 0) return false;
  if (!connection.in.starts_with("HTTP/1.1 2")) fmt::print(stderr, "{}\n", connection.in);
  SLUICE_ASSERT(connection.in.starts_with("HTTP/1.1 2") && end == connection.in.size());
  connection.in.swap(last_answer_);
  connection.in.clear();
  return true;
}

std::uint64_t HttpLoad::run(double seconds, double per_second) {
  if (epoll_ < 0) connect_all();
  const double began = wall_seconds();
  const double every = per_second > 0 ? 1 / per_second : 0;
  double due = began;
  std::uint64_t answered = 0;
  std::vector<std::size_t> idle;
  for (std::size_t i = connections_.size(); i > 0; --i) idle.push_back(i - 1);
  epoll_event events[64];
  for (;;) {
    const double now = wall_seconds();
    const bool more = now - began < seconds;
    for (; more && !idle.empty() && due <= now; due += every) {
      send_next(idle.back());
      idle.pop_back();
    }
    if (!more && idle.size() == connections_.size()) return answered;
    // With all connections busy, what was due is sent late, but not dropped.
    const bool paced = more && every > 0 && !idle.empty();
    const int patience = paced ? std::max(static_cast<int>((due - now) * 1e3), 1) : 10'000;
    const int n = ::epoll_wait(epoll_, events, 64, patience);
    SLUICE_ASSERT(n > 0 || paced);
    for (int k = 0; k < n; ++k) {
      const auto i = static_cast<std::size_t>(events[k].data.u64);
      if (!take(connections_[i])) continue;
      ++answered;
      idle.push_back(i);
    }
  }
}

}  // namespace sluice::bench
