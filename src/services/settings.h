#pragma once
// How a service is treated, once its own settings and the common ones have been put together.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "services/dialect.h"
#include "services/link.h"
#include "services/reconnect.h"

namespace sluice::services {

/// What a service may ask back while it works for somebody (callbacks.h).
struct CallbackRules {
  std::string agent;                  // answers callback.ai; empty: it may not
  std::vector<std::string> services;  // whose tools callback.tool may call
  std::uint32_t uses = 10;            // of the token of one request
  std::uint32_t per_minute = 60;      // of all its requests together
  bool any() const { return !agent.empty() || !services.empty(); }
  friend bool operator==(const CallbackRules&, const CallbackRules&) = default;
};

struct ServiceSettings {
  Protocol protocol = Protocol::kMcp;
  /// Of connecting and greeting together, and of a call that names no other.
  Duration timeout = std::chrono::seconds(30);
  Duration heartbeat_interval = std::chrono::seconds(30);
  /// Nothing was heard of it for so long: it is lost.
  Duration heartbeat_timeout = std::chrono::seconds(90);
  ReconnectPolicy reconnect;
  Duration stop_timeout = std::chrono::seconds(5);
  std::uint32_t calls_most = 32;  // at once
  /// We are not ready without it.
  bool critical = false;
  /// Connection::Handlers::passes_over_noise.
  bool passes_over_noise = false;
  CallbackRules callbacks;
  friend bool operator==(const ServiceSettings&, const ServiceSettings&) = default;
};

struct ServicePlan {
  std::string name;
  ServiceSettings settings;
  std::unique_ptr<Connector> connector;
  /// It came at run time (registry.h); else the configuration names it.
  bool registered = false;
  /// What it is for, by its own word, beside what its greeting says.
  std::vector<std::string> capabilities;
};

}  // namespace sluice::services
