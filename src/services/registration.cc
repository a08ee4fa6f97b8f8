#include "services/registration.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/utf8.h"
#include "services/json_rpc.h"

namespace sluice::services {

namespace json = boost::json;

namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kDayMs = 24 * 3'600'000;

Error wrong(std::string what) {
  return Error(ErrorKind::kInvalidArgument, std::move(what), ErrorSource::kPeer);
}

Error forbidden(std::string what) {
  return Error(ErrorKind::kPermissionDenied, std::move(what), ErrorSource::kPeer);
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= Registration::kNameMost &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

/// The number of a member between bounds; nothing if it is not there.
Result<std::optional<std::int64_t>> number(const json::object& object, std::string_view key,
                                           std::int64_t least, std::int64_t most) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return std::optional<std::int64_t>();
  if (!value->is_int64() || value->get_int64() < least || value->get_int64() > most) {
    return wrong(fmt::format("\"{}\" is a number from {} to {}", key, least, most));
  }
  return std::optional(value->get_int64());
}

Result<void> only(const json::object& object, std::initializer_list<std::string_view> known) {
  for (const auto& member : object) {
    const std::string_view key = member.key();
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    return wrong(fmt::format("unknown member \"{}\"", strip_terminal_controls(std::string(
                                                          key.substr(0, utf8_floor(key, 64))))));
  }
  return {};
}

Result<void> read_transport(const json::value* value, Registration& out) {
  if (value == nullptr || !value->is_object()) return wrong("\"transport\" is an object");
  const json::object& transport = value->get_object();
  out.kind = text_member(*value, "type");
  if (out.kind == "stdio" || out.kind == "process" || transport.contains("command")) {
    return forbidden("programs are started by the configuration only");
  }
  if (out.kind == "tcp") {
    if (auto known = only(transport, {"type", "address", "port"}); !known) return known;
    const json::value* address = transport.if_contains("address");
    out.address = address == nullptr ? "127.0.0.1" : text_member(*value, "address");
    if (out.address != "127.0.0.1" && out.address != "::1") {
      return forbidden("\"address\" is 127.0.0.1 or ::1");
    }
    const auto port = number(transport, "port", 1, 65'535);
    if (!port) return port.error();
    if (!*port) return wrong("\"port\" is needed");
    out.port = static_cast<std::uint16_t>(**port);
    return {};
  }
  if (out.kind != "unix") return wrong("\"type\" of the transport is \"tcp\" or \"unix\"");
  if (auto known = only(transport, {"type", "path"}); !known) return known;
  out.path = text_member(*value, "path");
  const bool fine = out.path.starts_with('/') && out.path.size() <= Registration::kPathMost &&
                    out.path.find('\0') == std::string::npos;
  if (!fine) return wrong("\"path\" is an absolute path that fits a socket");
  return {};
}

Result<void> read_protocol(const json::object& members, ServiceOptions& out) {
  using Frames = ServiceOptions::Frames;
  const json::value all(members);
  out.protocol = Protocol::kSluice;
  if (members.contains("protocol")) {
    const std::string protocol = text_member(all, "protocol");
    if (protocol != "sluice" && protocol != "mcp") return wrong("\"protocol\" is sluice or mcp");
    if (protocol == "mcp") out.protocol = Protocol::kMcp;
  }
  if (!members.contains("framing")) return {};
  const std::string framing = text_member(all, "framing");
  if (framing == "newline") {
    out.framing = Frames::kNewline;
  } else if (framing == "content_length") {
    out.framing = Frames::kContentLength;
  } else if (framing == "length_prefix") {
    out.framing = Frames::kLengthPrefix;
  } else {
    return wrong("\"framing\" is newline, content_length or length_prefix");
  }
  return {};
}

Result<void> read_times(const json::object& members, ServiceOptions& out) {
  const struct {
    std::string_view key;
    milliseconds ServiceOptions::* member;
    std::int64_t least;
  } kTimes[] = {{"timeout_ms", &ServiceOptions::timeout, 100},
                {"heartbeat_interval_ms", &ServiceOptions::heartbeat_interval, 100},
                {"heartbeat_timeout_ms", &ServiceOptions::heartbeat_timeout, 200}};
  for (const auto& time : kTimes) {
    const auto given = number(members, time.key, time.least, kDayMs);
    if (!given) return given.error();
    if (*given) out.*time.member = milliseconds(**given);
  }
  const auto calls = number(members, "max_calls", 1, 256);
  if (!calls) return calls.error();
  if (*calls) out.max_calls = static_cast<std::uint32_t>(**calls);
  return {};
}

Result<void> read_capabilities(const json::value* value, std::vector<std::string>& out) {
  if (value == nullptr) return {};
  const bool list =
      value->is_array() && value->get_array().size() <= Registration::kCapabilitiesMost;
  if (!list) {
    return wrong(fmt::format("\"capabilities\" is a list of at most {} words",
                             Registration::kCapabilitiesMost));
  }
  for (const json::value& one : value->get_array()) {
    const bool fine = one.is_string() && !one.get_string().empty() &&
                      one.get_string().size() <= Registration::kCapabilityMost &&
                      strip_terminal_controls(std::string(one.get_string())) == one.get_string();
    if (!fine) return wrong("a capability is a short word");
    out.emplace_back(one.get_string());
  }
  return {};
}

}  // namespace

Result<Registration> read_registration(const json::object& members) {
  auto known =
      only(members, {"name", "transport", "protocol", "framing", "timeout_ms",
                     "heartbeat_interval_ms", "heartbeat_timeout_ms", "max_calls", "capabilities"});
  if (!known) return known.error();
  Registration out;
  out.name = text_member(members, "name");
  if (!is_name(out.name)) return wrong("\"name\" is 1 to 64 letters, digits, '_' or '-'");
  auto read = read_transport(members.if_contains("transport"), out);
  if (read) read = read_protocol(members, out.options);
  if (read) read = read_times(members, out.options);
  if (read) read = read_capabilities(members.if_contains("capabilities"), out.capabilities);
  if (!read) return read.error();
  return out;
}

json::object to_json(const Registration& registration) {
  using Frames = ServiceOptions::Frames;
  const ServiceOptions& options = registration.options;
  json::object transport{{"type", registration.kind}};
  if (registration.kind == "tcp") {
    transport["address"] = registration.address;
    transport["port"] = std::int64_t{registration.port};  // as it is parsed
  } else {
    transport["path"] = registration.path;
  }
  json::object out{{"name", registration.name},
                   {"transport", std::move(transport)},
                   {"protocol", to_string(options.protocol)},
                   {"max_calls", std::int64_t{options.max_calls}},
                   {"capabilities", json::value_from(registration.capabilities)}};
  if (options.framing != Frames::kAuto) {
    out["framing"] = options.framing == Frames::kNewline         ? "newline"
                     : options.framing == Frames::kContentLength ? "content_length"
                                                                 : "length_prefix";
  }
  const auto time = [&out](std::string_view key, milliseconds value) {
    if (value.count() > 0) out[key] = value.count();
  };
  time("timeout_ms", options.timeout);
  time("heartbeat_interval_ms", options.heartbeat_interval);
  time("heartbeat_timeout_ms", options.heartbeat_timeout);
  return out;
}

}  // namespace sluice::services
