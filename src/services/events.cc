#include "services/events.h"

namespace sluice::services {

std::string_view to_string(ServiceEvent::What what) {
  switch (what) {
    case ServiceEvent::What::kStarted:
      return "started";
    case ServiceEvent::What::kStopped:
      return "stopped";
    case ServiceEvent::What::kStatusChanged:
      return "status_changed";
    case ServiceEvent::What::kHeartbeat:
      return "heartbeat";
    case ServiceEvent::What::kHeartbeatTimeout:
      return "heartbeat_timeout";
    case ServiceEvent::What::kReconnecting:
      return "reconnecting";
    case ServiceEvent::What::kReconnected:
      return "reconnected";
    case ServiceEvent::What::kReconnectFailed:
      return "reconnect_failed";
    case ServiceEvent::What::kError:
      return "error";
    case ServiceEvent::What::kLagged:
      break;
  }
  return "lagged";
}

void ServiceEvents::emit(const ServiceEvent& event) {
  subscribers_.for_each([&](Subscriber& subscriber) { subscriber.take(event); });
}

void ServiceEvents::Subscriber::take(const ServiceEvent& event) {
  if (queue_.size() == kQueueMost) {
    queue_.pop_front();
    ++lost_;
  }
  queue_.push_back(event);
  changed_.pulse();
}

std::optional<ServiceEvent> ServiceEvents::Subscriber::try_next() {
  if (lost_ > 0) {
    ServiceEvent lagged;
    lagged.what = ServiceEvent::What::kLagged;
    lagged.lost = std::exchange(lost_, 0);
    return lagged;
  }
  if (queue_.empty()) return std::nullopt;
  ServiceEvent event = std::move(queue_.front());
  queue_.pop_front();
  return event;
}

Task<ServiceEvent> ServiceEvents::Subscriber::next() {
  for (;;) {
    std::optional<ServiceEvent> event = try_next();
    if (event) co_return std::move(*event);
    co_await changed_.wait();
  }
}

}  // namespace sluice::services
