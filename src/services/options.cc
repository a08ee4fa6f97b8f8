#include "services/options.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

namespace sluice::services {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

namespace {

std::string check_environment(const std::vector<std::string>& all) {
  for (const std::string& one : all) {
    const std::string_view name = std::string_view(one).substr(0, one.find('='));
    const bool fine = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    });
    if (!fine) return fmt::format("\"{}\" is neither NAME nor NAME=value", name);
  }
  return {};
}

milliseconds or_default(milliseconds own, milliseconds common) {
  return own.count() == 0 ? common : own;
}

}  // namespace

void declare(config::Section<ServiceDefaults>& s) {
  using O = ServiceDefaults;
  s.duration("timeout", &O::timeout,
             "How long connecting and the greeting may take together, and a call that names no "
             "other time.")
      .between(milliseconds(100), hours(24));
  s.duration("heartbeat_interval", &O::heartbeat_interval, "How often a service is pinged.")
      .between(milliseconds(100), hours(1));
  s.duration("heartbeat_timeout", &O::heartbeat_timeout,
             "A service of which nothing was heard for so long is lost.")
      .between(milliseconds(200), hours(24));
  s.integer("max_attempts", &O::max_attempts,
            "How often in a row a lost service is tried again; 0: for ever.")
      .between(0, 1'000'000);
  s.duration("reconnect_delay", &O::reconnect_delay,
             "The wait before the first attempt; doubled with each further one.")
      .between(milliseconds(1), hours(1));
  s.duration("reconnect_delay_max", &O::reconnect_delay_max, "The longest wait between attempts.")
      .between(milliseconds(1), hours(24));
  s.duration("stop_timeout", &O::stop_timeout,
             "How long a service may take to end before it is killed.")
      .between(milliseconds(100), minutes(10));
}

void declare(config::Section<CallbackRules>& s) {
  using O = CallbackRules;
  s.text("agent", &O::agent, "The agent that answers callback.ai; empty: nobody.");
  s.list("services", &O::services, "The services whose tools callback.tool may call.");
  s.integer("uses", &O::uses, "Callbacks of one call of a tool.").between(1, 1'000);
  s.integer("per_minute", &O::per_minute, "Callbacks of the service, in all.").between(1, 10'000);
}

void declare(config::Section<CallbackPortOptions>& s) {
  s.integer("port", &CallbackPortOptions::port,
            "The port on 127.0.0.1, 9528 by custom; 0: closed, services ask back on their own "
            "connections.")
      .between(0, 65'535);
}

void declare(config::Section<RegistryOptions>& s) {
  using O = RegistryOptions;
  s.secret("token", &O::token,
           "What services that register at run time have to know, 16 bytes or more. Without it the "
           "port is closed.");
  s.integer("port", &O::port, "The port on 127.0.0.1.").between(1, 65'535);
  s.section("callbacks", &O::callbacks, "What those that register may ask back.");
  s.check([](const O& options) {
    const std::size_t size = options.token.reveal().size();
    return size == 0 || size >= O::kTokenLeast ? std::string() : "token: 16 bytes or more";
  });
}

void declare(config::Section<ServiceOptions>& s) {
  using O = ServiceOptions;
  s.choice<Protocol>("protocol", &O::protocol,
                     {{"mcp", Protocol::kMcp}, {"sluice", Protocol::kSluice}},
                     "What is spoken: the Model Context Protocol, or ours (docs/services.md).");
  s.choice<O::Frames>("framing", &O::framing,
                      {{"auto", O::Frames::kAuto},
                       {"newline", O::Frames::kNewline},
                       {"content_length", O::Frames::kContentLength},
                       {"length_prefix", O::Frames::kLengthPrefix}},
                      "Where a message begins and ends. auto: lines for MCP, else Content-Length "
                      "for a process and a length of four bytes for a socket.");
  s.duration("timeout", &O::timeout, "As in [service_defaults], for this service; 0: that one.")
      .between(milliseconds(0), hours(24));
  s.duration("heartbeat_interval", &O::heartbeat_interval, "The same.")
      .between(milliseconds(0), hours(1));
  s.duration("heartbeat_timeout", &O::heartbeat_timeout, "The same.")
      .between(milliseconds(0), hours(24));
  s.flag("auto_reconnect", &O::auto_reconnect,
         "Whether it is tried again by itself when it is lost.");
  s.integer("max_attempts", &O::max_attempts,
            "As in [service_defaults]; 0: for ever, -1: as there.")
      .between(-1, 1'000'000);
  s.duration("reconnect_delay", &O::reconnect_delay, "As in [service_defaults]; 0: as there.")
      .between(milliseconds(0), hours(1));
  s.duration("reconnect_delay_max", &O::reconnect_delay_max, "The same.")
      .between(milliseconds(0), hours(24));
  s.duration("stop_timeout", &O::stop_timeout, "The same.").between(milliseconds(0), minutes(10));
  s.integer("max_calls", &O::max_calls, "Calls of it at once; more are refused.").between(1, 256);
  s.flag("critical", &O::critical,
         "Whether the daemon is not ready while this one is not running.");
  s.section("callbacks", &O::callbacks,
            "What it may ask back while a tool of it is called for somebody.");
}

void declare(config::Section<ProgramOptions>& s) {
  using O = ProgramOptions;
  s.text("command", &O::command,
         "The program: a path, or a name that is looked for in PATH as env lists it, else in "
         "/usr/local/bin, /usr/bin and /bin.")
      .required();
  s.list("args", &O::args, "Its arguments.");
  s.list("env", &O::env,
         "Its whole environment: \"NAME=value\", or \"NAME\" with the value that the daemon's own "
         "has, for secrets.")
      .check(&check_environment);
  s.path("cwd", &O::cwd, "The folder that it runs in; empty: the daemon's.");
  s.flag("exclusive", &O::exclusive,
         "Whether there must never be two of it: at a restart of the daemon the old one is stopped "
         "before the new one is started.");
}

void declare(config::Section<TcpOptions>& s) {
  s.text("address", &TcpOptions::address, "The host that it listens on.").length(1, 255);
  s.integer("port", &TcpOptions::port, "And the port.").between(1, 65'535).required();
}

void declare(config::Section<UnixOptions>& s) {
  s.path("path", &UnixOptions::path, "The socket that it listens on.").required();
}

config::Kinds service_kinds() {
  config::Kinds kinds;
  kinds.common<ServiceOptions>();
  kinds.add<ProgramOptions>("process",
                            "A program that is started, and spoken to over its standard input and "
                            "output. It is restarted when it dies.");
  kinds.add<TcpOptions>("tcp", "A service that listens on a TCP port.");
  kinds.add<UnixOptions>("unix", "A service that listens on a Unix socket.");
  return kinds;
}

ServiceSettings settings_of(const ServiceOptions& options, const ServiceDefaults& defaults) {
  ServiceSettings out;
  out.protocol = options.protocol;
  out.timeout = or_default(options.timeout, defaults.timeout);
  out.heartbeat_interval = or_default(options.heartbeat_interval, defaults.heartbeat_interval);
  out.heartbeat_timeout = or_default(options.heartbeat_timeout, defaults.heartbeat_timeout);
  out.reconnect.enabled = options.auto_reconnect;
  out.reconnect.attempts_most = options.max_attempts < 0
                                    ? defaults.max_attempts
                                    : static_cast<std::uint32_t>(options.max_attempts);
  out.reconnect.delay = or_default(options.reconnect_delay, defaults.reconnect_delay);
  out.reconnect.delay_most = or_default(options.reconnect_delay_max, defaults.reconnect_delay_max);
  out.stop_timeout = or_default(options.stop_timeout, defaults.stop_timeout);
  out.calls_most = options.max_calls;
  out.critical = options.critical;
  out.callbacks = options.callbacks;
  return out;
}

std::string check_settings(const ServiceSettings& settings) {
  if (settings.heartbeat_timeout <= settings.heartbeat_interval) {
    return "heartbeat_timeout must be longer than heartbeat_interval";
  }
  if (settings.reconnect.delay_most < settings.reconnect.delay) {
    return "reconnect_delay_max must not be shorter than reconnect_delay";
  }
  if (settings.callbacks.any() && settings.protocol != Protocol::kSluice) {
    return "callbacks need protocol = \"sluice\"";
  }
  return {};
}

Framing framing_of(const ServiceOptions& options, std::string_view kind) {
  switch (options.framing) {
    case ServiceOptions::Frames::kNewline:
      return Framing::kNewline;
    case ServiceOptions::Frames::kContentLength:
      return Framing::kContentLength;
    case ServiceOptions::Frames::kLengthPrefix:
      return Framing::kLengthPrefix;
    case ServiceOptions::Frames::kAuto:
      break;
  }
  if (options.protocol == Protocol::kMcp) return Framing::kNewline;
  return kind == "process" ? Framing::kContentLength : Framing::kLengthPrefix;
}

std::vector<std::string> environment_of(const std::vector<std::string>& listed) {
  std::vector<std::string> out;
  for (const std::string& one : listed) {
    if (one.find('=') != std::string::npos) {
      out.push_back(one);
    } else if (const char* value = std::getenv(one.c_str())) {
      out.push_back(one + "=" + value);
    }
  }
  return out;
}

}  // namespace sluice::services
