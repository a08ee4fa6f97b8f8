#pragma once
// What this face answers: chat.completion objects, chunks of them, and the list of models. Pure
// functions.
//
// Tokens are not counted here, so "usage" is left out; in a stream that asks for it the last chunk
// has it as null. Zeros would be a lie.
//
// Reference: https://platform.openai.com/docs/api-reference/chat/object and …/chat/streaming
// (2025-11).

#include <span>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"

namespace sluice::openai {

/// What every object of one answer has in common.
struct Heading {
  MessageId message;  // "chatcmpl-7": a repeated request gets the same
  UnixMillis created;
  std::string model;  // as the client called it
  bool include_usage = false;
};

enum class Finish : unsigned char {
  kStop,
  kLength,  // the answer was cut off: too long, or stopped
};

std::string completion_json(const Heading& heading, std::string_view text, Finish finish);

// Events of a stream, complete with their empty lines.
std::string role_event(const Heading& heading);
std::string text_event(const Heading& heading, std::string_view text);
std::string finish_event(const Heading& heading, Finish finish);
/// The chunk without choices that include_usage asks for.
std::string usage_event(const Heading& heading);
inline constexpr std::string_view kDone = "data: [DONE]\n\n";
/// json: an object without line breaks.
std::string event(std::string_view json);

std::string model_json(std::string_view name, UnixMillis created);
std::string models_json(std::span<const std::string> names, UnixMillis created);

}  // namespace sluice::openai
