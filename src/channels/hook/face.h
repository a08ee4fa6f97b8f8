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
#include "gateway/turn_follower.h"
#include "runtime/wait.h"

namespace sluice::hook {

struct Face {
  Face(ChannelHost& h, std::string name, const HookOptions& options)
      : host(&h),
        loop(h.loop()),
        account(std::move(name)),
        wait_timeout(options.wait_timeout),
        waits_max(options.waits_max),
        changed(loop),
        followers(std::make_shared<TurnFollowers>(h)) {}

  ChannelHost* host;  // null once the channel has gone
  Loop& loop;
  const std::string account;
  const std::chrono::milliseconds wait_timeout;
  const std::size_t waits_max;
  bool stopping = false;
  std::size_t waiting = 0;  // requests
  Event changed;            // pulsed when one of them ends
  const std::shared_ptr<TurnFollowers> followers;
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
