#include "mock_model.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "measure.h"
#include "message_end.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

std::uint64_t number_behind(std::string_view text, std::string_view mark) {
  const std::size_t at = text.rfind(mark);
  SLUICE_ASSERT(at != std::string_view::npos);
  std::uint64_t number = 0;
  std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), number);
  return number;
}

std::string chunk(std::string_view bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

std::string event(std::string_view delta, std::string_view reason) {
  return chunk(
      fmt::format("data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":"
                  "1763740800,\"model\":\"mock\",\"choices\":[{{\"index\":0,\"delta\":{{{}}},"
                  "\"finish_reason\":{}}}]}}\n\n",
                  delta, reason));
}

class MockModel {
 public:
  MockModel() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    SLUICE_ASSERT(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    SLUICE_ASSERT(::listen(listener_, 4096) == 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    fmt::print("port {}\n", ntohs(address.sin_port));
    std::fflush(stdout);
    add(listener_);
    add(timer_);
  }

  [[noreturn]] void run() {
    epoll_event events[256];
    for (;;) {
      const int n = ::epoll_wait(epoll_, events, 256, -1);
      for (int i = 0; i < n; ++i) {
        const int fd = events[i].data.fd;
        if (fd == listener_) {
          accept_all();
        } else if (fd == timer_) {
          std::uint64_t times = 0;
          (void)!::read(timer_, &times, sizeof times);
        } else {
          take(fd);
        }
      }
      send_due();
    }
  }

 private:
  struct Stream {
    std::string in;
    std::uint64_t serial = 0;  // of the answer that is under way
    std::uint64_t left = 0;
    double every = 0;
  };
  struct Due {
    double at;
    int fd;
    std::uint64_t serial;
    bool operator>(const Due& other) const { return at > other.at; }
  };

  void add(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    SLUICE_ASSERT(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
  }
  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) return;
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      streams_[fd] = Stream{};
      add(fd);
    }
  }
  void close(int fd) {
    streams_.erase(fd);
    ::close(fd);
  }
  void take(int fd) {
    char bytes[16384];
    const ssize_t n = ::recv(fd, bytes, sizeof bytes, 0);
    if (n <= 0) return close(fd);
    Stream& stream = streams_[fd];
    stream.in.append(bytes, static_cast<std::size_t>(n));
    const std::size_t end = message_end(stream.in);
    if (end == 0) return;
    const std::string_view request = std::string_view(stream.in).substr(0, end);
    stream.left = number_behind(request, "deltas=");
    stream.every = static_cast<double>(number_behind(request, "every=")) / 1e6;
    stream.in.erase(0, end);
    stream.serial = ++serial_;
    if (!send(fd, kHead)) return;
    // Models are not in step with each other: each stream's second delta comes somewhere in the
    // first interval.
    const double part = std::fmod(static_cast<double>(stream.serial) * 0.618, 1);
    send_delta({wall_seconds() - part * stream.every, fd, stream.serial});
  }
  bool send(int fd, std::string_view bytes) {
    // Readers of a benchmark keep up; one that does not is gone.
    if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()))
      return true;
    close(fd);
    return false;
  }
  void send_delta(Due due) {
    const auto found = streams_.find(due.fd);
    if (found == streams_.end() || found->second.serial != due.serial) return;
    Stream& stream = found->second;
    if (stream.left == 0) {
      const std::string end = event("", "\"stop\"") + chunk("data: [DONE]\n\n") + "0\r\n\r\n";
      (void)send(due.fd, end);
      return;
    }
    --stream.left;
    const auto now = static_cast<std::uint64_t>(wall_seconds() * 1e6);
    if (!send(due.fd, event(fmt::format("\"content\":\"@{};\"", now), "null"))) return;
    due.at += stream.every;
    due_.push(due);
  }
  void send_due() {
    while (!due_.empty() && due_.top().at <= wall_seconds()) {
      const Due due = due_.top();
      due_.pop();
      send_delta(due);
    }
    if (due_.empty()) return;
    const double wait = std::max(due_.top().at - wall_seconds(), 1e-6);
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(wait);
    when.it_value.tv_nsec =
        static_cast<long>((wait - static_cast<double>(when.it_value.tv_sec)) * 1e9);
    ::timerfd_settime(timer_, 0, &when, nullptr);
  }

  const int epoll_;
  int listener_ = -1;
  int timer_ = -1;
  std::uint64_t serial_ = 0;
  std::unordered_map<int, Stream> streams_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
};

}  // namespace

int mock_model() { MockModel().run(); }

}  // namespace sluice::bench
