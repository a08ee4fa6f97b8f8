#pragma once
// What the configuration says of services: [service_defaults] for all, [services.NAME] for one.
// Values; what one leaves open is taken from the defaults.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/schema.h"
#include "services/framing.h"
#include "services/settings.h"

namespace sluice::services {

/// [service_defaults]
struct ServiceDefaults {
  std::chrono::milliseconds timeout{30'000};
  std::chrono::milliseconds heartbeat_interval{30'000};
  std::chrono::milliseconds heartbeat_timeout{90'000};
  std::uint32_t max_attempts = 5;
  std::chrono::milliseconds reconnect_delay{1'000};
  std::chrono::milliseconds reconnect_delay_max{30'000};
  std::chrono::milliseconds stop_timeout{5'000};
};

/// [service_registry]: where services register themselves.
struct RegistryOptions {
  static constexpr std::size_t kTokenLeast = 16;
  config::Secret token;  // empty: nobody may
  std::uint16_t port = 9527;
  CallbackRules callbacks;  // of all that register
};

/// [service_callbacks]: where services ask back that do not use their own connection for it.
struct CallbackPortOptions {
  std::uint16_t port = 0;  // 0: closed
};

/// What every service has besides the options of its kind. 0, or -1 for attempts: as in the
/// defaults.
struct ServiceOptions {
  enum class Frames : std::uint8_t { kAuto, kNewline, kContentLength, kLengthPrefix };
  Protocol protocol = Protocol::kMcp;
  Frames framing = Frames::kAuto;
  std::chrono::milliseconds timeout{0};
  std::chrono::milliseconds heartbeat_interval{0};
  std::chrono::milliseconds heartbeat_timeout{0};
  bool auto_reconnect = true;
  std::int32_t max_attempts = -1;
  std::chrono::milliseconds reconnect_delay{0};
  std::chrono::milliseconds reconnect_delay_max{0};
  std::chrono::milliseconds stop_timeout{0};
  std::uint32_t max_calls = ServiceSettings{}.calls_most;
  bool critical = false;
  CallbackRules callbacks;
};

struct ProgramOptions {
  std::string command;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  bool exclusive = false;
};

struct TcpOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
};

struct UnixOptions {
  std::string path;
};

void declare(config::Section<ServiceDefaults>& s);
void declare(config::Section<CallbackRules>& s);
void declare(config::Section<RegistryOptions>& s);
void declare(config::Section<CallbackPortOptions>& s);
void declare(config::Section<ServiceOptions>& s);
void declare(config::Section<ProgramOptions>& s);
void declare(config::Section<TcpOptions>& s);
void declare(config::Section<UnixOptions>& s);

/// kinds "process", "tcp" and "unix".
config::Kinds service_kinds();

/// The defaults filled in.
ServiceSettings settings_of(const ServiceOptions& options, const ServiceDefaults& defaults);
/// What is wrong with these together, in words; empty: nothing.
std::string check_settings(const ServiceSettings& settings);

/// Content-Length for a process and length prefixes for a socket, but lines for MCP.
Framing framing_of(const ServiceOptions& options, std::string_view kind);

/// "NAME=value" as it is, "NAME" with the value that it has for us. A name that is not set here is
/// left out.
std::vector<std::string> environment_of(const std::vector<std::string>& listed);

}  // namespace sluice::services
