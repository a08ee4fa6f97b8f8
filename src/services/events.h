#pragma once
// The events of all services, for whoever wants to follow them. A subscriber that is slow loses the
// oldest and is told how many (kLagged); nobody ever waits for it.
//
// Shard-confined. Subscribers may come and go at any time and die before the ServiceEvents do.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/list.h"
#include "runtime/wait.h"
#include "services/status.h"

namespace sluice::services {

struct ServiceEvent {
  enum class What : std::uint8_t {
    kStarted,
    kStopped,
    kStatusChanged,     // from, to
    kHeartbeat,         //
    kHeartbeatTimeout,  //
    kReconnecting,      // attempt, attempts_most
    kReconnected,       //
    kReconnectFailed,   // attempt: how many there were
    kError,             // error
    kLagged,            // lost: how many events before the next one
  };
  What what = What::kStarted;
  std::string service;
  std::uint64_t generation = 0;  // of the service: its connections are counted
  ServiceStatus from = ServiceStatus::kStopped;
  ServiceStatus to = ServiceStatus::kStopped;
  std::uint32_t attempt = 0;
  std::uint32_t attempts_most = 0;
  std::string error;
  std::uint64_t lost = 0;
};
std::string_view to_string(ServiceEvent::What what);

class ServiceEvents {
 public:
  static constexpr std::size_t kQueueMost = 256;

  class Subscriber : public ListNode {
   public:
    Subscriber(Loop& loop, ServiceEvents& events) : changed_(loop) {
      events.subscribers_.push_back(*this);
    }
    /// Waits for one.
    Task<ServiceEvent> next();
    std::optional<ServiceEvent> try_next();

   private:
    friend class ServiceEvents;
    void take(const ServiceEvent& event);
    Event changed_;
    std::deque<ServiceEvent> queue_;
    std::uint64_t lost_ = 0;
  };

  void emit(const ServiceEvent& event);

 private:
  List<Subscriber> subscribers_;
};

}  // namespace sluice::services
