#pragma once
// What a service is doing, and what may follow what. Values; pure.

#include <cstdint>
#include <string_view>

namespace sluice::services {

enum class ServiceStatus : std::uint8_t {
  kStarting,
  kRunning,       // connected, and its greeting answered
  kReconnecting,  // lost or not reached; it is tried again
  kError,         // not tried again by itself
  kStopping,
  kStopped,
};

std::string_view to_string(ServiceStatus status);

/// The table of transitions. Nothing else ever happens.
bool may_follow(ServiceStatus from, ServiceStatus to);

}  // namespace sluice::services
