#include "channels/openai/refusal.h"

#include <algorithm>
#include <cstdint>

#include <boost/json/serialize.hpp>
#include <fmt/core.h>

namespace sluice::openai {
namespace {

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

std::string quoted_or_null(std::string_view text) { return text.empty() ? "null" : quoted(text); }

std::string_view type_of(int status) {
  if (status >= 500) return "server_error";
  return status == 429 ? "rate_limit_error" : "invalid_request_error";
}

int status_of(const Error& error) {
  // These clients know no 507, and take 429 for "come back": what is full may empty itself.
  if (error.kind() == ErrorKind::kOverloaded) return 429;
  if (error.kind() == ErrorKind::kDiskFull) return 503;
  return net::status_of(error.kind());
}

std::string code_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kUnauthenticated:
      return "invalid_api_key";
    case ErrorKind::kOverloaded:
    case ErrorKind::kRateLimited:
      return "rate_limit_exceeded";
    default:
      return std::string(to_string(error.kind()));
  }
}

}  // namespace

Refusal invalid(std::string param, std::string message, std::string code) {
  Refusal refusal;
  refusal.message = std::move(message);
  refusal.param = std::move(param);
  refusal.code = std::move(code);
  return refusal;
}

Refusal no_such_model(std::string_view name) {
  constexpr std::size_t kMost = 64;
  Refusal refusal = invalid("model", "", "model_not_found");
  refusal.status = 404;
  refusal.message =
      name.size() > kMost
          ? std::string("There is no such model here; GET …/models lists them.")
          : fmt::format("There is no model '{}' here; GET …/models lists them.", name);
  return refusal;
}

Refusal refusal_of(const Error& error) {
  // What is wrong inside is for the log, not for callers.
  const bool tell = error.source() != ErrorSource::kSelf || error.retry().allowed();
  Refusal refusal;
  refusal.status = status_of(error);
  refusal.code = code_of(error);
  refusal.message = tell ? error.context() : std::string(net::reason_phrase(refusal.status));
  if (error.retry().allowed()) refusal.retry_after = error.retry().delay;
  return refusal;
}

std::string to_json(const Refusal& refusal) {
  return fmt::format(R"({{"error":{{"message":{},"type":"{}","param":{},"code":{}}}}})",
                     quoted(refusal.message), type_of(refusal.status),
                     quoted_or_null(refusal.param), quoted_or_null(refusal.code));
}

net::HttpResponse to_response(const Refusal& refusal) {
  net::HttpResponse response = net::HttpResponse::json(refusal.status, to_json(refusal));
  if (refusal.status == 401) response.headers.set("WWW-Authenticate", "Bearer realm=\"sluice\"");
  if (refusal.retry_after) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*refusal.retry_after).count();
    response.headers.set("Retry-After", fmt::format("{}", std::max<std::int64_t>(seconds, 1)));
  }
  // What the official clients look at before they look at the status.
  if (refusal.should_retry) {
    response.headers.set("X-Should-Retry", *refusal.should_retry ? "true" : "false");
  }
  return response;
}

}  // namespace sluice::openai
