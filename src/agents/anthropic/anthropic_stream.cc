#include "agents/anthropic/anthropic_stream.h"

#include <boost/json.hpp>

#include "agents/model/model_error.h"

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::size_t kScratchBytes = 4096;  // a delta's JSON fits; a larger one takes the heap

Finish finish_of(std::string_view reason) {
  if (reason == "max_tokens" || reason == "model_context_window_exceeded") return Finish::kLength;
  if (reason == "tool_use" || reason == "pause_turn") return Finish::kTools;
  if (reason == "refusal") return Finish::kRefused;
  return Finish::kStop;
}

/// Counts are of the whole message so far; a later event may tell only some of them again.
void take_usage(const json::object& usage, TokenUsage& out) {
  if (const auto fresh = count_in(usage, "input_tokens")) {
    // The API tells what was read from and written to the cache apart from the rest.
    out.cached = count_in(usage, "cache_read_input_tokens").value_or(0);
    out.prompt = *fresh + out.cached + count_in(usage, "cache_creation_input_tokens").value_or(0);
  }
  out.completion = count_in(usage, "output_tokens").value_or(out.completion);
}

void take_block_start(const json::object& o, ModelStream& stream) {
  const json::object* block = object_in(o, "content_block");
  if (block == nullptr) return;
  const std::string_view type = text_in(*block, "type");
  if (type == "text") stream.add_text(text_in(*block, "text"));
  if (type == "tool_use") stream.add_tool(text_in(*block, "name"));
}

void take_block_delta(const json::object& o, ModelStream& stream) {
  const json::object* delta = object_in(o, "delta");
  if (delta == nullptr) return;
  if (text_in(*delta, "type") == "text_delta") {
    stream.add_text(text_in(*delta, "text"));
  } else {
    ++stream.progress;  // it thinks, or writes what a tool is to be given
  }
}

}  // namespace

Result<void> AnthropicDecoder::take(const net::SseEvent& event, ModelStream& stream) {
  unsigned char scratch[kScratchBytes];
  json::monotonic_resource memory(scratch, sizeof scratch);
  const Result<json::object> parsed = parse_event(event.data, &memory);
  if (!parsed) return parsed.error();
  const json::object& o = *parsed;
  const std::string_view type = text_in(o, "type");
  if (type == "content_block_delta") {
    take_block_delta(o, stream);
  } else if (type == "content_block_start") {
    take_block_start(o, stream);
  } else if (type == "message_start") {
    const json::object* message = object_in(o, "message");
    const json::object* usage = message == nullptr ? nullptr : object_in(*message, "usage");
    if (usage != nullptr) take_usage(*usage, stream.usage);
  } else if (type == "message_delta") {
    if (const json::object* usage = object_in(o, "usage")) take_usage(*usage, stream.usage);
    const json::object* delta = object_in(o, "delta");
    const std::string_view reason =
        delta == nullptr ? std::string_view() : text_in(*delta, "stop_reason");
    if (!reason.empty()) stream.finish_by(finish_of(reason));
  } else if (type == "message_stop") {
    stream.ended = true;
  } else if (type == "error") {
    const json::value* error = o.if_contains("error");
    return told_error(error == nullptr ? json::value() : *error);
  }
  return {};
}

}  // namespace sluice
