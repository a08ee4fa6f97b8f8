#include "socket_load.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "measure.h"

namespace sluice::bench {
namespace {

constexpr unsigned char kPing = 0x89;
constexpr unsigned char kPong = 0x8a;

/// Bytes of the first frame of a server (RFC 6455 5.2, not masked); 0 if it is not whole.
std::size_t frame_size(std::string_view in) {
  if (in.size() < 2) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(in[i]); };
  std::size_t size = byte(1) & 0x7f;
  SLUICE_ASSERT(size != 127);  // pages at rest are told little
  std::size_t head = 2;
  if (size == 126) {
    if (in.size() < 4) return 0;
    size = static_cast<std::size_t>(byte(2)) << 8 | byte(3);
    head = 4;
  }
  return in.size() >= head + size ? head + size : 0;
}

}  // namespace

SocketLoad::SocketLoad() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

SocketLoad::~SocketLoad() {
  for (const auto& [fd, in] : sockets_) ::close(fd);
  ::close(epoll_);
}

void SocketLoad::open(std::uint16_t port, const std::string& path, const std::string& headers) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SLUICE_ASSERT(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SLUICE_ASSERT(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
      path, port, headers);
  SLUICE_ASSERT(::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(request.size()));
  std::string answer;
  std::size_t end = std::string::npos;
  while (end == std::string::npos) {
    char chunk[4096];
    const ssize_t n = ::recv(fd, chunk, sizeof chunk, 0);
    SLUICE_ASSERT(n > 0);
    answer.append(chunk, static_cast<std::size_t>(n));
    end = answer.find("\r\n\r\n");
  }
  if (!answer.starts_with("HTTP/1.1 101")) fmt::print(stderr, "{}\n", answer);
  SLUICE_ASSERT(answer.starts_with("HTTP/1.1 101"));
  sockets_[fd] = answer.substr(end + 4);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  SLUICE_ASSERT(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void SocketLoad::take(int fd) {
  std::string& in = sockets_.at(fd);
  char chunk[16384];
  const ssize_t n = ::recv(fd, chunk, sizeof chunk, 0);
  SLUICE_ASSERT(n > 0);  // nobody hangs up on a page
  in.append(chunk, static_cast<std::size_t>(n));
  for (std::size_t size = 0; (size = frame_size(in)) != 0; in.erase(0, size)) {
    if (static_cast<unsigned char>(in[0]) != kPing) continue;
    // Masked with zeros, which leave the text as it is.
    std::string pong = {static_cast<char>(kPong), static_cast<char>(0x80 | (size - 2)), 0, 0, 0, 0};
    pong += in.substr(2, size - 2);
    SLUICE_ASSERT(::send(fd, pong.data(), pong.size(), MSG_NOSIGNAL) ==
                  static_cast<ssize_t>(pong.size()));
  }
}

void SocketLoad::rest(double seconds) {
  const double until = wall_seconds() + seconds;
  epoll_event events[256];
  for (double left = seconds; left > 0; left = until - wall_seconds()) {
    const int n = ::epoll_wait(epoll_, events, 256, static_cast<int>(left * 1e3) + 1);
    for (int k = 0; k < n; ++k) take(events[k].data.fd);
  }
}

}  // namespace sluice::bench
