#include "services/json_rpc.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/utf8.h"

namespace sluice::services {

namespace json = boost::json;

namespace {

constexpr std::size_t kMethodBytes = 256;
constexpr std::size_t kIdBytes = 256;
constexpr std::size_t kReasonBytes = 512;

Error bad(std::string why) {
  return Error(ErrorKind::kBadResponse, "JSON-RPC: " + std::move(why), ErrorSource::kPeer);
}

Result<RpcId> read_id(const json::value& value) {
  if (value.is_null()) return RpcId();
  if (value.is_int64()) return RpcId(value.get_int64());
  if (value.is_string() && value.get_string().size() <= kIdBytes) {
    return RpcId(std::string(value.get_string()));
  }
  return bad("an id is a whole number or a short text");
}

Result<RpcError> read_error(const json::value& value) {
  const json::value* code = member(value, "code");
  const json::value* message = member(value, "message");
  if (code == nullptr || !code->is_int64() || message == nullptr || !message->is_string()) {
    return bad("an error has a code and a message");
  }
  const std::string_view text = message->get_string();
  return RpcError{code->get_int64(), std::string(text.substr(0, utf8_floor(text, kReasonBytes)))};
}

Result<RpcMessage> read_response(json::object& object, RpcMessage message) {
  message.type = RpcMessage::Type::kResponse;
  json::value* error = object.if_contains("error");
  json::value* result = object.if_contains("result");
  // Some servers send both, one of them null.
  if (error != nullptr && error->is_null() && result != nullptr) error = nullptr;
  if (error != nullptr && result != nullptr && !result->is_null()) return bad("error and result");
  if (error == nullptr && result == nullptr) return bad("neither method, result nor error");
  if (!object.contains("id")) return bad("an answer without an id");
  if (error != nullptr) {
    auto read = read_error(*error);
    if (!read) return read.error();
    message.error = std::move(*read);
  } else {
    message.result = std::move(*result);
  }
  return message;
}

Result<RpcMessage> read_message(json::value& value) {
  if (!value.is_object()) return bad("a message is an object");
  json::object& object = value.get_object();
  const json::value* version = object.if_contains("jsonrpc");
  if (version == nullptr || *version != "2.0") return bad("\"jsonrpc\" is not \"2.0\"");
  RpcMessage message;
  const json::value* id = object.if_contains("id");
  if (id != nullptr) {
    auto read = read_id(*id);
    if (!read) return read.error();
    message.id = std::move(*read);
  }
  json::value* method = object.if_contains("method");
  if (method == nullptr) return read_response(object, std::move(message));
  if (!method->is_string() || method->get_string().empty() ||
      method->get_string().size() > kMethodBytes) {
    return bad("a method is a short text");
  }
  message.method = std::string(method->get_string());
  if (json::value* params = object.if_contains("params")) {
    if (!params->is_object() && !params->is_array() && !params->is_null()) {
      return bad("params are an object or an array");
    }
    message.params = std::move(*params);
  }
  const bool is_request = id != nullptr && !id->is_null();
  message.type = is_request ? RpcMessage::Type::kRequest : RpcMessage::Type::kNotification;
  return message;
}

json::value id_value(const RpcId& id) {
  if (const auto* number = std::get_if<std::int64_t>(&id)) return *number;
  if (const auto* text = std::get_if<std::string>(&id)) return json::value(*text);
  return nullptr;
}

/// What a message begins with, so that those who read logs of the wire see it first.
json::object begin() { return json::object{{"jsonrpc", "2.0"}}; }

}  // namespace

const json::value* member(const json::value& value, std::string_view name) {
  return value.is_object() ? value.get_object().if_contains(name) : nullptr;
}

std::string text_member(const json::value& value, std::string_view name) {
  const json::value* found = member(value, name);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

Result<std::vector<RpcMessage>> decode_rpc(std::string_view text) {
  json::parse_options options;
  options.max_depth = kDepthMost;
  boost::system::error_code wrong;
  json::value value = json::parse(text, wrong, {}, options);
  if (wrong) return bad(wrong.message());
  std::vector<RpcMessage> out;
  if (!value.is_array()) {
    auto message = read_message(value);
    if (!message) return message.error();
    out.push_back(std::move(*message));
    return out;
  }
  json::array& batch = value.get_array();
  if (batch.empty() || batch.size() > kBatchMost) {
    return bad(fmt::format("a batch has 1 to {} messages", kBatchMost));
  }
  for (json::value& one : batch) {
    auto message = read_message(one);
    if (!message) return message.error();
    out.push_back(std::move(*message));
  }
  return out;
}

std::string encode_request(std::int64_t id, std::string_view method, json::value params) {
  json::object object = begin();
  object["id"] = id;
  object["method"] = method;
  if (!params.is_null()) object["params"] = std::move(params);
  return json::serialize(object);
}

std::string encode_notification(std::string_view method, json::value params) {
  json::object object = begin();
  object["method"] = method;
  if (!params.is_null()) object["params"] = std::move(params);
  return json::serialize(object);
}

std::string encode_result(const RpcId& id, json::value result) {
  json::object object = begin();
  object["id"] = id_value(id);
  object["result"] = std::move(result);
  return json::serialize(object);
}

std::string encode_error(const RpcId& id, std::int64_t code, std::string_view message) {
  json::object object = begin();
  object["id"] = id_value(id);
  object["error"] = {{"code", code}, {"message", message}};
  return json::serialize(object);
}

Error error_of(const RpcError& error) {
  ErrorKind kind = ErrorKind::kInternal;
  switch (error.code) {
    case rpc::kParseError:
    case rpc::kInvalidRequest:
      kind = ErrorKind::kBadResponse;
      break;
    case rpc::kMethodNotFound:
    case rpc::kUnsupported:
      kind = ErrorKind::kUnsupported;
      break;
    case rpc::kInvalidParams:
      kind = ErrorKind::kInvalidArgument;
      break;
    case rpc::kShutdown:
    case rpc::kTransport:
      kind = ErrorKind::kUnavailable;
      break;
    case rpc::kTimeout:
      kind = ErrorKind::kTimeout;
      break;
    case rpc::kNotFound:
      kind = ErrorKind::kNotFound;
      break;
    case rpc::kExists:
    case rpc::kInvalidState:
      kind = ErrorKind::kConflict;
      break;
    case rpc::kPermissionDenied:
      kind = ErrorKind::kPermissionDenied;
      break;
    default:
      break;
  }
  const bool may_pass = kind == ErrorKind::kUnavailable || kind == ErrorKind::kTimeout;
  return Error(
      kind,
      fmt::format("the service said {}: {}", error.code, strip_terminal_controls(error.message)),
      ErrorSource::kPeer, may_pass ? Retry::with_backoff() : Retry::never());
}

std::int64_t code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument:
    case ErrorKind::kTooLarge:
      return rpc::kInvalidParams;
    case ErrorKind::kNotFound:
      return rpc::kNotFound;
    case ErrorKind::kConflict:
      return rpc::kExists;
    case ErrorKind::kUnauthenticated:
    case ErrorKind::kPermissionDenied:
      return rpc::kPermissionDenied;
    case ErrorKind::kOverloaded:
    case ErrorKind::kRateLimited:
      return rpc::kInvalidState;
    case ErrorKind::kUnavailable:
      return rpc::kTransport;
    case ErrorKind::kTimeout:
      return rpc::kTimeout;
    case ErrorKind::kUnsupported:
      return rpc::kUnsupported;
    default:
      return rpc::kInternal;
  }
}

}  // namespace sluice::services
