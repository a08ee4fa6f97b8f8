#pragma once
// What the configuration file says about the process itself. Channels and agents declare their own
// options beside their code; schema() puts all of them together.
//
// Thread: values.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "config/schema.h"
#include "gateway/options.h"
#include "gateway/routes.h"
#include "lifecycle/budgets.h"
#include "media/library.h"
#include "net/http_server.h"
#include "net/tls.h"
#include "observe/log.h"
#include "store/engine.h"

namespace sluice {

// The core and the log do not know the configuration; this is said on their behalf. Found by the
// options' namespace.
void declare(config::Section<CoreOptions>& s);
void declare(config::Section<SessionRules>& s);
void declare(config::Section<AccountOptions>& s);
void declare(config::Section<RouteRule>& s);
void declare(config::Section<LogOptions>& s);
namespace media {
void declare(config::Section<LibraryOptions>& s);
}

namespace app {

/// Keys at the top of the file.
struct ProcessOptions {
  std::chrono::milliseconds shutdown_timeout{30'000};
  std::chrono::milliseconds drain_timeout{30'000};
  std::chrono::milliseconds pre_stop_delay{0};
  std::chrono::milliseconds upgrade_timeout{30'000};
  std::chrono::milliseconds rollback_window{5'000};
  bool watch = false;
};

/// [shutdown]: who is told that we are gone.
struct GoodbyeOptions {
  std::vector<std::string> notify;
  config::Secret secret;
};

struct TlsOptions {
  std::string certificate;
  std::string key;
  net::TlsVersion min_version = net::TlsVersion::k1_2;
};

struct ServerOptions {
  std::vector<std::string> listen = {"127.0.0.1:8484"};
  std::vector<std::string> public_hosts;
  std::string control_socket;  // empty: in the data directory
  TlsOptions tls;
};

struct StoreSettings {
  std::string dir;  // empty: the usual place (paths.h)
  std::chrono::milliseconds retention = StoreOptions{}.text_retention;
  std::chrono::milliseconds key_retention = StoreOptions{}.key_retention;
  std::uint64_t cache = StoreOptions{}.cache_bytes;
  bool allow_network_fs = false;
};

/// Bounds of the HTTP listener. Those of the core are in [core].
struct LimitOptions {
  std::uint64_t connections = net::HttpServerOptions{}.max_connections;
  std::uint64_t body = net::HttpParserLimits{}.body_bytes;
  std::uint32_t headers = net::HttpParserLimits{}.header_bytes;
  std::uint32_t header_count = net::HttpParserLimits{}.header_count;
  Duration header_timeout = net::HttpServerOptions{}.header_timeout;
  Duration body_timeout = net::HttpServerOptions{}.body_timeout;
  Duration idle_timeout = net::HttpServerOptions{}.idle_timeout;
  Duration stall_timeout = net::HttpServerOptions{}.stall_timeout;
};

/// What every channel and agent has besides the options of its kind.
struct InstanceOptions {
  bool enabled = true;
};

void declare(config::Section<ProcessOptions>& s);
void declare(config::Section<GoodbyeOptions>& s);
void declare(config::Section<TlsOptions>& s);
void declare(config::Section<ServerOptions>& s);
void declare(config::Section<StoreSettings>& s);
void declare(config::Section<LimitOptions>& s);
void declare(config::Section<InstanceOptions>& s);

net::HttpServerOptions http_options(const LimitOptions& limits);
lifecycle::ShutdownOptions shutdown_options(const ProcessOptions& process);
/// What these come to, in a sentence.
std::string shutdown_in_words(const ProcessOptions& process);

/// "127.0.0.1:8484", "[::1]:8484", "localhost:0".
struct ListenAddress {
  std::string host;  // without brackets
  std::uint16_t port = 0;
  /// The same for all ways to write an address.
  std::string place() const;
};
Result<ListenAddress> parse_listen(std::string_view text);

}  // namespace app
}  // namespace sluice
