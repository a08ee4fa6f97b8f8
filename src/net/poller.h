#pragma once
// Poller: when descriptors can be read or written, for the Tasks of one shard.
//
// One epoll descriptor of our own, edge-triggered, which itself is watched by the shard's Asio.
// Against an Asio operation for each wait this costs no allocation and no system call, tells that a
// peer hung up while nobody reads, and undoes itself when the waiting frame is destroyed: nothing
// can complete later.
//
// Shard-confined. A Poller outlives its Watches, the Shard its Poller.

#include <coroutine>
#include <memory>

#include "base/result.h"
#include "runtime/shard.h"
#include "runtime/wait.h"

namespace sluice::net {

class Poller {
 public:
  explicit Poller(Shard& shard);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  Shard& shard() { return shard_; }

 private:
  friend class Watch;
  struct Impl;
  Shard& shard_;
  std::shared_ptr<Impl> impl_;  // shared with the handler that Asio may still hold when we go
};

/// Why a wait ended.
enum class Wake : unsigned char { kReady, kTimeout, kInterrupted };

/// The readiness of one descriptor, which it does not own. At most one reader and one writer may
/// wait. The destructor stops watching; close the descriptor after that.
class Watch {
 public:
  enum class Side : unsigned char { kRead, kWrite };

  explicit Watch(Poller& poller) : poller_(&poller) {}
  ~Watch() { stop(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// kUnavailable if the kernel has no room for another watch.
  Result<void> start(int fd);
  void stop();

  /// An operation said EAGAIN, or took less than asked for: there is nothing until the next edge.
  void exhausted(Side side) { ready_[index(side)] = false; }
  bool is_ready(Side side) const { return ready_[index(side)]; }
  /// The peer shut down its side or the connection broke. Never goes back.
  bool hung_up() const { return hung_up_; }
  /// The connection broke altogether (error or both sides closed): no half-closed peer.
  bool broken() const { return broken_; }
  /// Set once when the peer hangs up. The event must outlive the watch, or be taken back with
  /// nullptr.
  void notify_hang_up(Event* event) { hang_up_event_ = event; }

  class Wait : Ready, Timer {
   public:
    Wait(Watch& watch, Side side, MonoTime deadline)
        : watch_(watch), deadline_(deadline), side_(side) {}
    ~Wait() override {
      if (watch_.waiting_[index(side_)] == this) watch_.waiting_[index(side_)] = nullptr;
    }
    bool await_ready() const { return watch_.ready_[index(side_)]; }
    void await_suspend(std::coroutine_handle<> h);
    Wake await_resume() const { return result_; }

   private:
    friend class Watch;
    void fire() override;
    void wake(Wake result);
    Watch& watch_;
    MonoTime deadline_;
    Side side_;
    Wake result_ = Wake::kReady;
  };

  /// co_await watch.wait(side, deadline)
  Wait wait(Side side, MonoTime deadline) { return Wait(*this, side, deadline); }
  /// Wakes who waits to read now with kInterrupted. Does not stay.
  void interrupt_reader();

 private:
  friend class Poller;
  static std::size_t index(Side side) { return static_cast<std::size_t>(side); }
  void deliver(unsigned events);
  void want_write();

  Poller* poller_;
  int fd_ = -1;
  bool ready_[2] = {false, false};
  bool hung_up_ = false;
  bool broken_ = false;
  bool watches_write_ = false;
  Wait* waiting_[2] = {nullptr, nullptr};
  Event* hang_up_event_ = nullptr;
};

}  // namespace sluice::net
