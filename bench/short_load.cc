#include "short_load.h"

#include <cerrno>

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
namespace {

constexpr int kLook = 100;  // milliseconds between two looks at the time

bool closes(const std::string& answer) {
  const std::string head = answer.substr(0, answer.find("\r\n\r\n"));
  return head.find("onnection: close") != std::string::npos;
}

}  // namespace

std::string LoadReport::failures() const {
  std::string out;
  const auto add = [&out](std::uint64_t count, const char* what) {
    if (count > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, what);
  };
  add(refused, "refused");
  add(reset, "reset");
  add(ended, "ended early");
  add(timed_out, "without an answer in 3 s");
  add(wrong, "answered otherwise");
  return out.empty() ? "none" : out;
}

ShortLoad::ShortLoad(Plan plan)
    : plan_(std::move(plan)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      clients_(plan_.at_once),
      give_up_(wall_seconds() + kLongest),
      thread_([this] { run(); }) {}

ShortLoad::~ShortLoad() {
  if (thread_.joinable()) (void)finish(0);
  ::close(epoll_);
}

LoadReport ShortLoad::finish(std::uint64_t at_least) {
  at_least_ = at_least;
  thread_.join();
  return std::move(report_);
}

bool ShortLoad::more() const {
  if (plan_.at_most > 0 && made_ >= plan_.at_most) return false;
  return made_ < at_least_ && wall_seconds() < give_up_;
}

void ShortLoad::run() {
  for (std::size_t i = clients_.size(); i > 0; --i) idle_.push_back(i - 1);
  epoll_event events[256];
  double looked = wall_seconds();
  while (more() || busy_ > 0) {
    // One that is refused at once is idle again: not before the others had their turn.
    std::vector<std::size_t> next;
    next.swap(idle_);
    for (const std::size_t i : next) {
      if (more()) begin(i);
    }
    const int n = ::epoll_wait(epoll_, events, 256, idle_.empty() ? kLook : 0);
    for (int k = 0; k < n; ++k) {
      const auto i = static_cast<std::size_t>(events[k].data.u64);
      if (clients_[i].fd >= 0) proceed(i);
    }
    if (wall_seconds() - looked < kLook / 1e3) continue;
    looked = wall_seconds();
    look_at_the_time();
  }
  for (Client& client : clients_) {
    if (client.fd >= 0) ::close(client.fd);
  }
}

void ShortLoad::begin(std::size_t i) {
  Client& client = clients_[i];
  ++made_;
  ++busy_;
  client.began = wall_seconds();
  client.sent = 0;
  client.in.clear();
  client.out = plan_.make(i);
  if (client.fd >= 0) return proceed(i);
  client.connected = false;
  client.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  SLUICE_ASSERT(client.fd >= 0);
  const int on = 1;
  ::setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // No TIME_WAIT: there are fewer ports than connections.
  const linger at_once{1, 0};
  ::setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(plan_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(client.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    SLUICE_ASSERT(errno == ECONNREFUSED || errno == ECONNRESET);
    return end(i, errno == ECONNREFUSED ? report_.refused : report_.reset);
  }
  watch(i);
}

void ShortLoad::watch(std::size_t i) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.u64 = i;
  SLUICE_ASSERT(::epoll_ctl(epoll_, EPOLL_CTL_ADD, clients_[i].fd, &event) == 0);
}

void ShortLoad::proceed(std::size_t i) {
  Client& client = clients_[i];
  if (client.out.empty()) return;  // nothing more to ask
  if (!client.connected) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return end(i, error == ECONNREFUSED ? report_.refused : report_.reset);
    client.connected = true;
  }
  if (!send(client)) return end(i, report_.reset);
  take(client, i);
}

bool ShortLoad::send(Client& client) {
  while (client.sent < client.out.size()) {
    const ssize_t n = ::send(client.fd, client.out.data() + client.sent,
                             client.out.size() - client.sent, MSG_NOSIGNAL);
    // Not connected yet after all, or the buffer is full: epoll tells.
    if (n < 0) return errno == EAGAIN || errno == ENOTCONN;
    client.sent += static_cast<std::size_t>(n);
    if (client.sent == client.out.size()) ++asked_;
  }
  return true;
}

void ShortLoad::take(Client& client, std::size_t i) {
  for (;;) {
    char chunk[16384];
    const ssize_t n = ::recv(client.fd, chunk, sizeof chunk, 0);
    if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
    if (n <= 0) return end(i, n == 0 ? report_.ended : report_.reset);
    client.in.append(chunk, static_cast<std::size_t>(n));
    if (message_end(client.in) != 0) return answered(i);
  }
}

void ShortLoad::answered(std::size_t i) {
  Client& client = clients_[i];
  if (!client.in.starts_with(plan_.status) || client.in.find(plan_.body) == std::string::npos) {
    if (report_.first_wrong.empty()) report_.first_wrong = client.in;
    return end(i, report_.wrong);
  }
  report_.milliseconds.push_back((wall_seconds() - client.began) * 1e3);
  if (plan_.on_answer) plan_.on_answer(i, client.in);
  if (!plan_.keeps || closes(client.in)) return end(i, report_.answered);
  ++report_.answered;
  rest(i);
}

void ShortLoad::end(std::size_t i, std::uint64_t& counter) {
  ++counter;
  ::close(clients_[i].fd);
  clients_[i].fd = -1;
  rest(i);
}

void ShortLoad::rest(std::size_t i) {
  --busy_;
  clients_[i].out.clear();
  idle_.push_back(i);
}

void ShortLoad::look_at_the_time() {
  const double now = wall_seconds();
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    const Client& client = clients_[i];
    if (client.fd >= 0 && !client.out.empty() && now - client.began > kPatience)
      end(i, report_.timed_out);
  }
}

}  // namespace sluice::bench
