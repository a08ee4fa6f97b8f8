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

ServerFrame first_frame(std::string_view in) {
  if (in.size() < 2) return {};
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(in[i]); };
  std::size_t size = byte(1) & 0x7f;
  SLUICE_ASSERT(size != 127);  // pages are told little at a time
  std::size_t head = 2;
  if (size == 126) {
    if (in.size() < 4) return {};
    size = static_cast<std::size_t>(byte(2)) << 8 | byte(3);
    head = 4;
  }
  if (in.size() < head + size) return {};
  return {head + size, byte(0), in.substr(head, size)};
}

void send_control(int fd, unsigned char first, std::string_view payload) {
  // Masked with zeros, which leave the payload as it is.
  std::string frame = {
      static_cast<char>(first), static_cast<char>(0x80 | payload.size()), 0, 0, 0, 0};
  frame += payload;
  (void)!::send(fd, frame.data(), frame.size(), MSG_NOSIGNAL);
}

int ask_for_web_socket(std::uint16_t port, const std::string& path, const std::string& headers) {
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
  return fd;
}

bool take_upgrade(std::string& in) {
  const std::size_t end = in.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  if (!in.starts_with("HTTP/1.1 101")) fmt::print(stderr, "{}\n", in);
  SLUICE_ASSERT(in.starts_with("HTTP/1.1 101"));
  in.erase(0, end + 4);
  return true;
}

SocketLoad::SocketLoad() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

SocketLoad::~SocketLoad() {
  for (const auto& [fd, in] : sockets_) ::close(fd);
  ::close(epoll_);
}

void SocketLoad::open(std::uint16_t port, const std::string& path, const std::string& headers) {
  const int fd = ask_for_web_socket(port, path, headers);
  std::string& in = sockets_[fd];
  while (!take_upgrade(in)) {
    char chunk[4096];
    const ssize_t n = ::recv(fd, chunk, sizeof chunk, 0);
    SLUICE_ASSERT(n > 0);
    in.append(chunk, static_cast<std::size_t>(n));
  }
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
  for (ServerFrame frame = first_frame(in); frame.size != 0; frame = first_frame(in)) {
    if (frame.first == kPingFrame) send_control(fd, kPongFrame, frame.payload);
    in.erase(0, frame.size);
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
