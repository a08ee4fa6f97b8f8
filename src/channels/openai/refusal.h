#pragma once
// Refusal: what this face answers when it does not answer, in the form that OpenAI's clients read:
// {"error": {"message", "type", "param", "code"}}. Values; pure functions.
//
// Reference: https://platform.openai.com/docs/guides/error-codes, and the error classes of the
// official clients (2025-11).

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <boost/system/result.hpp>

#include "base/error.h"
#include "net/http_types.h"

namespace sluice::openai {

struct Refusal {
  Refusal() = default;  // no aggregate, or anything that fits its first field would be one
  int status = 400;
  std::string message;  // for people; never a message's text
  std::string code;     // for programs: docs/channels/openai.md has the list
  std::string param;    // the field that is meant: "messages[0].content"; empty if none is
  std::optional<std::chrono::milliseconds> retry_after;
  /// Whether the client may send the same request again by itself; absent: as the status says.
  std::optional<bool> should_retry;
};

template <class T>
using Checked = boost::system::result<T, Refusal>;

/// A field that is wrong: 400.
Refusal invalid(std::string param, std::string message, std::string code = "invalid_value");
/// 404. The name comes from outside; a long one is not repeated.
Refusal no_such_model(std::string_view name);
/// What the gateway said to a message.
Refusal refusal_of(const Error& error);

/// The object alone, for a stream that has begun.
std::string to_json(const Refusal& refusal);
net::HttpResponse to_response(const Refusal& refusal);

}  // namespace sluice::openai
