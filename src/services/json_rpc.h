#pragma once
// JSON-RPC 2.0 as services speak it: texts of one frame in, messages out, and the other way round.
// Strict where a mistake would be answered to the wrong call: versions and ids must be there and of
// their types; unknown members are ignored.
//
// Any thread; pure. Limits: kDepthMost levels, kBatchMost messages of one frame; the frame's size
// is the framing's.
//
// Reference: jsonrpc.org/specification (2013).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/json/value.hpp>

#include "base/result.h"

namespace sluice::services {

/// Of a request: a number or a text. monostate is null, as in answers to what had no id.
using RpcId = std::variant<std::monostate, std::int64_t, std::string>;

struct RpcError {
  std::int64_t code = 0;
  std::string message;
};

struct RpcMessage {
  enum class Type : std::uint8_t { kRequest, kNotification, kResponse };
  Type type = Type::kNotification;
  RpcId id;
  std::string method;         // of requests and notifications
  boost::json::value params;  // null: none
  boost::json::value result;  // of a response, unless there is an error
  std::optional<RpcError> error;
};

namespace rpc {
inline constexpr std::int64_t kParseError = -32700;
inline constexpr std::int64_t kInvalidRequest = -32600;
inline constexpr std::int64_t kMethodNotFound = -32601;
inline constexpr std::int64_t kInvalidParams = -32602;
inline constexpr std::int64_t kInternal = -32603;
inline constexpr std::int64_t kShutdown = -32000;
inline constexpr std::int64_t kTransport = -32001;
inline constexpr std::int64_t kTimeout = -32002;
inline constexpr std::int64_t kUnsupported = -32003;
inline constexpr std::int64_t kNotFound = -32004;
inline constexpr std::int64_t kExists = -32005;
inline constexpr std::int64_t kPermissionDenied = -32006;
inline constexpr std::int64_t kInvalidState = -32007;
inline constexpr std::int64_t kCallback = -32008;
}  // namespace rpc

inline constexpr std::size_t kDepthMost = 64;
inline constexpr std::size_t kBatchMost = 64;

/// One message, or the messages of a batch in their order. kBadResponse: it is no JSON-RPC 2.0.
Result<std::vector<RpcMessage>> decode_rpc(std::string_view text);

std::string encode_request(std::int64_t id, std::string_view method, boost::json::value params);
std::string encode_notification(std::string_view method, boost::json::value params);
std::string encode_result(const RpcId& id, boost::json::value result);
std::string encode_error(const RpcId& id, std::int64_t code, std::string_view message);

/// What a service answered instead of a result, as an Error: its kind follows from the code, its
/// source is the peer.
Error error_of(const RpcError& error);
/// The code that says the same to a service.
std::int64_t code_of(ErrorKind kind);

/// The member of an object, or nullptr.
const boost::json::value* member(const boost::json::value& value, std::string_view name);
/// The text of a member; empty if it is not there or no text.
std::string text_member(const boost::json::value& value, std::string_view name);

}  // namespace sluice::services
