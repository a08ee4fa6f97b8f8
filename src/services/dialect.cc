#include "services/dialect.h"

#include <algorithm>
#include <array>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/utf8.h"
#include "services/json_rpc.h"

namespace sluice::services {

namespace json = boost::json;

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// The newest first: it is what we offer.
constexpr std::array<std::string_view, 4> kMcpVersions = {"2025-11-25", "2025-06-18", "2025-03-26",
                                                          "2024-11-05"};
constexpr std::string_view kOwnVersion = "1";
constexpr std::size_t kNameBytes = 256;
constexpr std::size_t kDescriptionBytes = 4096;

Error bad(std::string why) {
  return Error(ErrorKind::kBadResponse, std::move(why), ErrorSource::kPeer);
}

std::string cut(const std::string& text, std::size_t most) {
  return strip_terminal_controls(text.substr(0, utf8_floor(text, most)));
}

Result<Greeting> read_mcp_greeting(const json::value& result) {
  Greeting out;
  out.protocol_version = text_member(result, "protocolVersion");
  const auto known = std::find(kMcpVersions.begin(), kMcpVersions.end(), out.protocol_version);
  if (known == kMcpVersions.end()) {
    return Error(ErrorKind::kUnsupported,
                 fmt::format("it speaks MCP {}, which is not known here",
                             cut(out.protocol_version, kNameBytes)),
                 ErrorSource::kPeer);
  }
  if (const json::value* info = member(result, "serverInfo")) {
    out.name = cut(text_member(*info, "name"), kNameBytes);
    out.version = cut(text_member(*info, "version"), kNameBytes);
  }
  const json::value* capabilities = member(result, "capabilities");
  if (capabilities == nullptr || !capabilities->is_object()) {
    return bad("initialize: no capabilities");
  }
  for (const auto& [name, value] : capabilities->get_object()) {
    if (out.capabilities.size() < kToolsMost) {
      out.capabilities.push_back(cut(std::string(name), kNameBytes));
    }
  }
  out.list_tools = member(*capabilities, "tools") != nullptr;
  return out;
}

Result<void> add_tool(const json::value& tool, std::string_view schema,
                      std::vector<ToolInfo>& tools) {
  if (tools.size() >= kToolsMost) return bad(fmt::format("more than {} tools", kToolsMost));
  ToolInfo info;
  info.name = text_member(tool, "name");
  if (info.name.empty() || info.name.size() > kNameBytes) return bad("a tool without a name");
  info.description = cut(text_member(tool, "description"), kDescriptionBytes);
  if (const json::value* found = member(tool, schema)) info.schema = *found;
  tools.push_back(std::move(info));
  return {};
}

Result<void> read_capability(const json::value& capability, Greeting& out) {
  const std::string name = text_member(capability, "name");
  if (name.empty() || out.capabilities.size() >= kToolsMost) {
    return bad("initialize: capabilities without names, or too many");
  }
  out.capabilities.push_back(cut(name, kNameBytes));
  const json::value* config = member(capability, "config");
  const json::value* tools = config == nullptr ? nullptr : member(*config, "tools");
  if (name != "tools" || tools == nullptr) return {};
  if (!tools->is_array()) return bad("initialize: tools are a list");
  for (const json::value& tool : tools->get_array()) {
    const Result<void> added = add_tool(tool, "params_schema", *out.tools);
    if (!added) return added;
  }
  return {};
}

Result<Greeting> read_own_greeting(const json::value& result) {
  Greeting out;
  out.protocol_version = kOwnVersion;
  out.name = cut(text_member(result, "name"), kNameBytes);
  out.version = cut(text_member(result, "version"), kNameBytes);
  if (out.name.empty()) return bad("initialize: no name");
  out.tools.emplace();
  const json::value* capabilities = member(result, "capabilities");
  if (capabilities == nullptr) return out;
  if (!capabilities->is_array()) return bad("initialize: capabilities are a list");
  for (const json::value& capability : capabilities->get_array()) {
    const Result<void> read = read_capability(capability, out);
    if (!read) return read.error();
  }
  return out;
}

}  // namespace

std::string_view to_string(Protocol protocol) {
  return protocol == Protocol::kMcp ? "mcp" : "sluice";
}

RpcCall initialize_call(Protocol protocol, const std::string& service, const std::string& version,
                        Duration heartbeat_interval) {
  if (protocol == Protocol::kMcp) {
    return {"initialize", json::object{{"protocolVersion", kMcpVersions.front()},
                                       {"capabilities", json::object()},
                                       {"clientInfo", {{"name", "sluice"}, {"version", version}}}}};
  }
  const auto interval = duration_cast<seconds>(heartbeat_interval).count();
  return {"initialize", json::object{{"protocol_version", kOwnVersion},
                                     {"service_id", service},
                                     {"heartbeat_interval_secs", interval}}};
}

Result<Greeting> read_greeting(Protocol protocol, const json::value& result) {
  return protocol == Protocol::kMcp ? read_mcp_greeting(result) : read_own_greeting(result);
}

RpcCall list_tools_call(const std::string& cursor) {
  json::object params;
  if (!cursor.empty()) params["cursor"] = cursor;
  return {"tools/list", std::move(params)};
}

Result<std::string> read_tools(const json::value& result, std::vector<ToolInfo>& tools) {
  const json::value* list = member(result, "tools");
  if (list == nullptr || !list->is_array()) return bad("tools/list: no tools");
  for (const json::value& tool : list->get_array()) {
    const Result<void> added = add_tool(tool, "inputSchema", tools);
    if (!added) return added.error();
  }
  return text_member(result, "nextCursor");
}

RpcCall ping_call(Protocol protocol, std::uint64_t number, UnixMillis now) {
  if (protocol == Protocol::kMcp) return {"ping", nullptr};
  return {"ping", json::object{{"seq", number}, {"ts", now.ms}}};
}

RpcCall tool_call(Protocol protocol, const std::string& tool, json::value arguments,
                  Duration timeout) {
  if (protocol == Protocol::kMcp) {
    return {"tools/call", json::object{{"name", tool}, {"arguments", std::move(arguments)}}};
  }
  return {"tool.execute",
          json::object{{"tool_name", tool},
                       {"params", std::move(arguments)},
                       {"timeout_ms", duration_cast<milliseconds>(timeout).count()}}};
}

std::pair<std::string, json::value> cancellation(Protocol protocol, std::int64_t id) {
  if (protocol == Protocol::kMcp) {
    return {"notifications/cancelled",
            json::object{{"requestId", id}, {"reason", "nobody waits for it any more"}}};
  }
  return {"request.cancel", json::object{{"id", id}}};
}

}  // namespace sluice::services
