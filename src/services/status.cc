#include "services/status.h"

namespace sluice::services {

std::string_view to_string(ServiceStatus status) {
  switch (status) {
    case ServiceStatus::kStarting:
      return "starting";
    case ServiceStatus::kRunning:
      return "running";
    case ServiceStatus::kReconnecting:
      return "reconnecting";
    case ServiceStatus::kError:
      return "error";
    case ServiceStatus::kStopping:
      return "stopping";
    case ServiceStatus::kStopped:
      break;
  }
  return "stopped";
}

bool may_follow(ServiceStatus from, ServiceStatus to) {
  using enum ServiceStatus;
  switch (from) {
    case kStarting:
      return to == kRunning || to == kError || to == kStopping;
    case kRunning:
      return to == kReconnecting || to == kError || to == kStopping;
    case kReconnecting:
      return to == kRunning || to == kError || to == kStopping;
    case kError:
      return to == kReconnecting || to == kStopping;
    case kStopping:
      return to == kStopped;
    case kStopped:
      break;
  }
  return to == kStarting;
}

}  // namespace sluice::services
