#pragma once
// What is said over a connection: MCP's words, or those of the extension services that this project
// was designed for. Pure functions; docs/services.md is the protocol.
//
// Reference: Model Context Protocol, 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25
// (modelcontextprotocol.io).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/value.hpp>

#include "base/result.h"
#include "base/time.h"

namespace sluice::services {

enum class Protocol : std::uint8_t { kMcp, kSluice };
std::string_view to_string(Protocol protocol);

struct ToolInfo {
  std::string name;
  std::string description;
  boost::json::value schema;  // of its arguments; null: not told
  friend bool operator==(const ToolInfo&, const ToolInfo&) = default;
};

/// What a service says of itself.
struct Greeting {
  std::string name;
  std::string version;
  std::string protocol_version;
  std::vector<std::string> capabilities;
  /// Set: the tools came with it. Otherwise they are asked for, if it has any (list_tools).
  std::optional<std::vector<ToolInfo>> tools;
  bool list_tools = false;
};

struct RpcCall {
  std::string method;
  boost::json::value params;
};

inline constexpr std::size_t kToolsMost = 1000;
inline constexpr std::size_t kToolPagesMost = 100;

/// service: its name here. version: ours.
RpcCall initialize_call(Protocol protocol, const std::string& service, const std::string& version,
                        Duration heartbeat_interval);
/// kBadResponse; kUnsupported: a version that we do not speak.
Result<Greeting> read_greeting(Protocol protocol, const boost::json::value& result);

/// MCP's notification that the greeting was understood.
inline constexpr std::string_view kInitialized = "notifications/initialized";
inline constexpr std::string_view kToolsChanged = "notifications/tools/list_changed";

RpcCall list_tools_call(const std::string& cursor);
/// Adds to tools; the cursor of the next page, empty at the end.
Result<std::string> read_tools(const boost::json::value& result, std::vector<ToolInfo>& tools);

RpcCall ping_call(Protocol protocol, std::uint64_t number, UnixMillis now);
RpcCall tool_call(Protocol protocol, const std::string& tool, boost::json::value arguments,
                  Duration timeout);
/// The notification that calls a request off.
std::pair<std::string, boost::json::value> cancellation(Protocol protocol, std::int64_t id);

}  // namespace sluice::services
