#include "net/poller.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"

namespace sluice::net {
namespace {

constexpr int kEventsPerRound = 256;  // then other handlers of the shard get their turn
constexpr unsigned kReadEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

}  // namespace

struct Poller::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(Shard& s) : descriptor(s.io()) {
    const int fd = epoll_create1(EPOLL_CLOEXEC);
    SLUICE_ASSERT(fd >= 0);
    descriptor.assign(fd);
  }

  void arm() {
    descriptor.async_wait(boost::asio::posix::descriptor_base::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& ec) {
                            if (ec || self->closed) return;
                            self->collect();
                            self->arm();
                          });
  }
  void collect() {
    std::array<epoll_event, kEventsPerRound> events;
    const int n = epoll_wait(descriptor.native_handle(), events.data(), kEventsPerRound, 0);
    // deliver() only marks and posts: no watch can go away between two of these.
    for (int i = 0; i < n; ++i) {
      static_cast<Watch*>(events[static_cast<std::size_t>(i)].data.ptr)
          ->deliver(events[static_cast<std::size_t>(i)].events);
    }
  }

  boost::asio::posix::stream_descriptor descriptor;
  bool closed = false;
};

Poller::Poller(Shard& shard) : shard_(shard), impl_(std::make_shared<Impl>(shard)) { impl_->arm(); }

Poller::~Poller() {
  impl_->closed = true;
  boost::system::error_code ignored;
  impl_->descriptor.close(ignored);
}

Result<void> Watch::start(int fd) {
  SLUICE_ASSERT(fd_ < 0);
  epoll_event event{};
  event.events = kReadEvents;
  event.data.ptr = this;
  if (epoll_ctl(poller_->impl_->descriptor.native_handle(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return Error(ErrorKind::kUnavailable, std::string("epoll: ") + std::strerror(errno),
                 ErrorSource::kSelf, Retry::with_backoff());
  }
  fd_ = fd;
  return {};
}

void Watch::stop() {
  if (fd_ < 0) return;
  epoll_ctl(poller_->impl_->descriptor.native_handle(), EPOLL_CTL_DEL, fd_, nullptr);
  fd_ = -1;
}

void Watch::want_write() {
  if (watches_write_ || fd_ < 0) return;
  // Most answers fit into the socket's buffer, so writability is watched only once it was missed.
  // The change reports the present state again: no edge is lost.
  watches_write_ = true;
  epoll_event event{};
  event.events = kReadEvents | EPOLLOUT;
  event.data.ptr = this;
  epoll_ctl(poller_->impl_->descriptor.native_handle(), EPOLL_CTL_MOD, fd_, &event);
}

void Watch::deliver(unsigned events) {
  const bool gone = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if ((events & EPOLLIN) != 0 || gone) ready_[index(Side::kRead)] = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) ready_[index(Side::kWrite)] = true;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) broken_ = true;
  if (gone && !hung_up_) {
    hung_up_ = true;
    if (hang_up_event_ != nullptr) hang_up_event_->set();
  }
  for (const Side side : {Side::kRead, Side::kWrite}) {
    if (ready_[index(side)] && waiting_[index(side)] != nullptr) {
      waiting_[index(side)]->wake(Wake::kReady);
    }
  }
}

void Watch::interrupt_reader() {
  if (Wait* waiter = waiting_[index(Side::kRead)]) waiter->wake(Wake::kInterrupted);
}

void Watch::Wait::await_suspend(std::coroutine_handle<> h) {
  SLUICE_ASSERT(watch_.waiting_[index(side_)] == nullptr);
  handle = h;
  watch_.waiting_[index(side_)] = this;
  if (side_ == Side::kWrite) watch_.want_write();
  if (deadline_ != MonoTime::max()) watch_.poller_->shard().arm(*this, deadline_);
}

void Watch::Wait::fire() {
  watch_.waiting_[index(side_)] = nullptr;
  result_ = Wake::kTimeout;
  handle.resume();
}

void Watch::Wait::wake(Wake result) {
  watch_.waiting_[index(side_)] = nullptr;
  result_ = result;
  disarm();
  watch_.poller_->shard().post(*this);
}

}  // namespace sluice::net
