#include "app/handover_link.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

namespace sluice::app {
namespace {

constexpr std::size_t kHead = 5;
constexpr std::size_t kPiece = 256 * 1024;

}  // namespace

HandoverLink::HandoverLink(Shard& shard, services::Descriptor socket)
    : poller_(shard), socket_(std::move(socket)), watch_(poller_), queued_(shard), tasks_(shard) {}

HandoverLink::~HandoverLink() {
  tasks_.cancel();
  watch_.stop();
}

Result<std::unique_ptr<HandoverLink>> HandoverLink::make(Shard& shard,
                                                         services::Descriptor socket) {
  std::unique_ptr<HandoverLink> link(new HandoverLink(shard, std::move(socket)));
  const Result<void> watched = link->watch_.start(link->socket_.get());
  if (!watched) return watched.error();
  link->tasks_.spawn("hand-over writer", link->write());
  return link;
}

bool HandoverLink::read_some() {
  const std::size_t before = in_.size();
  in_.resize(before + kPiece);
  iovec piece{in_.data() + before, kPiece};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFdsMost)];
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  in_.resize(before + (n > 0 ? static_cast<std::size_t>(n) : 0));
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); n > 0 && c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      fds_in_.emplace_back(fd);
    }
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    if (errno == EAGAIN) watch_.exhausted(net::Watch::Side::kRead);
    return true;
  }
  // A frame has no more, and those of one are taken before the next has any.
  return n > 0 && (message.msg_flags & MSG_CTRUNC) == 0 && fds_in_.size() <= kFdsMost;
}

Task<Result<HandoverLink::Frame>> HandoverLink::receive(MonoTime deadline) {
  for (;;) {
    if (in_.size() >= kHead) {
      std::uint32_t length = 0;
      std::memcpy(&length, in_.data(), sizeof length);
      const auto type = static_cast<std::uint8_t>(in_[4]);
      if (length < 2 || length > kFrameMost || type < 1 ||
          type > static_cast<std::uint8_t>(Type::kRefused)) {
        co_return Error(ErrorKind::kInvalidArgument,
                        "what comes from the other process is no frame", ErrorSource::kPeer);
      }
      if (in_.size() >= 4 + std::size_t{length}) {
        Frame frame;
        frame.type = static_cast<Type>(type);
        const std::size_t count = static_cast<std::uint8_t>(in_[5]);
        if (fds_in_.size() < count) {
          co_return Error(ErrorKind::kInvalidArgument, "descriptors are missing",
                          ErrorSource::kPeer);
        }
        for (std::size_t i = 0; i < count; ++i) {
          frame.fds.push_back(std::move(fds_in_.front()));
          fds_in_.pop_front();
        }
        frame.payload = in_.substr(6, length - 2);
        in_.erase(0, 4 + std::size_t{length});
        co_return frame;
      }
    }
    const net::Wake wake = co_await watch_.wait(net::Watch::Side::kRead, deadline);
    if (wake == net::Wake::kTimeout) {
      co_return Error(ErrorKind::kTimeout, "the other process says nothing", ErrorSource::kPeer);
    }
    const bool alive = read_some();
    if (!alive) {
      co_return Error(ErrorKind::kUnavailable, "the other process is gone", ErrorSource::kPeer);
    }
  }
}

void HandoverLink::send(Type type, std::string payload, std::vector<int> fds) {
  if (broken_) return;
  Outgoing out;
  const auto length = static_cast<std::uint32_t>(payload.size() + 2);
  out.bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
  out.bytes.push_back(static_cast<char>(type));
  out.bytes.push_back(static_cast<char>(fds.size()));
  out.bytes.append(payload);
  out.fds = std::move(fds);
  out_bytes_ += out.bytes.size();
  // A reader that far behind is as good as gone: it is told so by the end of the stream.
  broken_ = out_bytes_ > kQueueMost || payload.size() + 2 > kFrameMost;
  if (broken_) {
    ::shutdown(socket_.get(), SHUT_RDWR);
    return;
  }
  out_.push_back(std::move(out));
  if (out_.size() == 1) send_some();
  queued_.pulse();
}

void HandoverLink::send_some() {
  while (!out_.empty()) {
    Outgoing& out = out_.front();
    iovec piece{out.bytes.data() + out.sent, out.bytes.size() - out.sent};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kFdsMost)] = {};
    if (out.sent == 0 && !out.fds.empty()) {
      const std::size_t bytes = out.fds.size() * sizeof(int);
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(bytes);
      std::memcpy(CMSG_DATA(head), out.fds.data(), bytes);
    }
    const ssize_t n = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      broken_ = errno != EAGAIN;
      if (!broken_) watch_.exhausted(net::Watch::Side::kWrite);
      return;
    }
    out.sent += static_cast<std::size_t>(n);
    if (out.sent < out.bytes.size()) continue;
    out_bytes_ -= out.bytes.size();
    out_.pop_front();
  }
}

Task<void> HandoverLink::write() {
  while (!broken_) {
    send_some();
    if (broken_) break;
    if (out_.empty()) {
      co_await queued_.wait();
    } else {
      co_await watch_.wait(net::Watch::Side::kWrite, MonoTime::max());
    }
  }
  out_.clear();
}

}  // namespace sluice::app
