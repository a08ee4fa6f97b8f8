#pragma once
// Face: what a channel shares with the requests that wait for answers. Internal to this folder.
//
// A request runs in its connection, the channel belongs to the gateway, and either may end first: a
// client hangs up, an account is unregistered. So both hold the Face, and host is null once the
// channel has gone. Shard-confined.

#include <chrono>
#include <memory>
#include <string>

#include "channels/hook/options.h"
#include "gateway/channel.h"
#include "runtime/list.h"
#include "runtime/wait.h"

namespace sluice::hook {

/// Somebody who waits for an answer, to be woken when the channel stops.
class Waiter : public ListNode {
 public:
  virtual ~Waiter() = default;
  virtual void wake() = 0;
};

struct Face {
  Face(ChannelHost& h, std::string name, const HookOptions& options)
      : host(&h),
        loop(h.loop()),
        account(std::move(name)),
        wait_timeout(options.wait_timeout),
        waits_max(options.waits_max),
        changed(loop) {}

  ChannelHost* host;  // null once the channel has gone
  Loop& loop;
  const std::string account;
  const std::chrono::milliseconds wait_timeout;
  const std::size_t waits_max;
  bool stopping = false;
  std::size_t waiting = 0;  // requests
  Event changed;            // pulsed when one of them ends
  List<Waiter> waiters;
};

/// Counts a request that waits.
class InWait {
 public:
  explicit InWait(std::shared_ptr<Face> face) : face_(std::move(face)) { ++face_->waiting; }
  ~InWait() {
    --face_->waiting;
    face_->changed.pulse();
  }
  InWait(const InWait&) = delete;
  InWait& operator=(const InWait&) = delete;

 private:
  std::shared_ptr<Face> face_;
};

}  // namespace sluice::hook
