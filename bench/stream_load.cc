#include "stream_load.h"

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

namespace sluice::bench {
namespace {

constexpr std::string_view kEnd = "\r\n0\r\n\r\n";
constexpr std::string_view kError = "data: {\"error\"";
constexpr std::size_t kCutMax = 32;  // more than a mark or the end
constexpr double kSettled = 1;       // seconds after all have begun
constexpr int kPatience = 30'000;    // milliseconds without anything

}  // namespace

StreamLoad::StreamLoad(std::uint16_t port, std::string path, std::string headers)
    : port_(port), path_(std::move(path)), headers_(std::move(headers)) {}

StreamLoad::~StreamLoad() {
  if (kept_.fd >= 0) ::close(kept_.fd);
}

StreamLoad::Connection StreamLoad::connect(std::uint16_t port) {
  Connection connection;
  connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SLUICE_ASSERT(::connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) ==
                0);
  const int on = 1;
  ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return connection;
}

std::string StreamLoad::request(const std::string& user, std::size_t deltas,
                                std::uint64_t every_us) const {
  const std::string body = fmt::format(
      "{{\"model\":\"model\",\"stream\":true,\"user\":\"{}\",\"messages\":[{{\"role\":\"user\","
      "\"content\":\"deltas={} every={}\"}}]}}",
      user, deltas, every_us);
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}Content-Type: application/json\r\n"
      "Content-Length: {}\r\n\r\n{}",
      path_, port_, headers_, body.size(), body);
}

void StreamLoad::take(Connection& connection, std::vector<std::uint64_t>& marks) const {
  char bytes[65536];
  const ssize_t n = ::recv(connection.fd, bytes, sizeof bytes, 0);
  SLUICE_ASSERT(n > 0);
  std::string text = std::move(connection.rest);
  text.append(bytes, static_cast<std::size_t>(n));
  const bool refused = text.starts_with("HTTP/1.1 ") && !text.starts_with("HTTP/1.1 200");
  const bool failed = refused || text.find(kError) != std::string::npos;
  if (failed) fmt::print(stderr, "{}\n", text);
  SLUICE_ASSERT(!failed);
  std::size_t from = 0;
  for (std::size_t at = 0; (at = text.find('@', from)) != std::string::npos;) {
    const std::size_t end = text.find(';', at);
    if (end == std::string::npos) break;
    std::uint64_t mark = 0;
    const auto parsed = std::from_chars(text.data() + at + 1, text.data() + end, mark);
    // Whoever hands bytes on may cut a mark in two; such a one is left out.
    if (parsed.ptr == text.data() + end) marks.push_back(mark);
    from = end + 1;
  }
  connection.begun = connection.begun || !marks.empty();
  connection.ended = text.ends_with(kEnd);
  connection.rest = text.substr(std::max(from, text.size() - std::min(text.size(), kCutMax)));
}

double StreamLoad::first_token(const std::string& user) {
  if (kept_.fd < 0) kept_ = connect(port_);
  const std::string bytes = request(user, 1, 0);
  kept_.begun = kept_.ended = false;
  kept_.rest.clear();
  double first = 0;
  std::vector<std::uint64_t> marks;
  const double began = wall_seconds();
  SLUICE_ASSERT(::send(kept_.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
  while (!kept_.ended) {
    take(kept_, marks);
    if (first == 0 && kept_.begun) first = wall_seconds() - began;
  }
  SLUICE_ASSERT(marks.size() == 1);
  return first;
}

StreamLoad::Sample StreamLoad::run(std::size_t streams, std::size_t deltas, std::uint64_t every_us,
                                   const std::string& users, const std::function<void()>& opened,
                                   const std::function<void()>& closing) {
  Sample sample;
  std::vector<Connection> all;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < streams; ++i) {
    all.push_back(connect(port_));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    SLUICE_ASSERT(::epoll_ctl(epoll, EPOLL_CTL_ADD, all.back().fd, &event) == 0);
    const std::string bytes = request(fmt::format("{}-{}", users, i), deltas, every_us);
    SLUICE_ASSERT(::send(all.back().fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                  static_cast<ssize_t>(bytes.size()));
  }
  std::size_t begun = 0;
  std::size_t ended = 0;
  double open_at = 0;
  bool open = false;
  epoll_event events[256];
  std::vector<std::uint64_t> marks;
  while (ended < streams) {
    const int n = ::epoll_wait(epoll, events, 256, kPatience);
    if (n <= 0) fmt::print(stderr, "{} of {} streams began, {} ended\n", begun, streams, ended);
    SLUICE_ASSERT(n > 0);
    for (int k = 0; k < n; ++k) {
      Connection& connection = all[events[k].data.u64];
      const bool had_begun = connection.begun;
      marks.clear();
      take(connection, marks);
      const double now = wall_seconds();
      if (connection.begun && !had_begun && ++begun == streams) open_at = now + kSettled;
      if (connection.ended) {
        if (ended++ == 0) closing();
        open = false;
        ::epoll_ctl(epoll, EPOLL_CTL_DEL, connection.fd, nullptr);
      }
      if (!open) continue;
      sample.deltas += marks.size();
      for (const std::uint64_t mark : marks) {
        sample.late.push_back(now - static_cast<double>(mark) / 1e6);
      }
    }
    if (open_at != 0 && ended == 0 && wall_seconds() >= open_at) {
      open_at = 0;
      open = true;
      opened();
    }
  }
  for (const Connection& connection : all) ::close(connection.fd);
  ::close(epoll);
  return sample;
}

}  // namespace sluice::bench
