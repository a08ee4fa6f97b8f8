#include "agents/openai/openai_stream.h"

#include <boost/json.hpp>

#include "agents/model/model_error.h"

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::size_t kScratchBytes = 4096;  // a delta's JSON fits; a larger one takes the heap

Finish finish_of(std::string_view reason) {
  if (reason == "length") return Finish::kLength;
  if (reason == "tool_calls" || reason == "function_call") return Finish::kTools;
  if (reason == "content_filter") return Finish::kRefused;
  return Finish::kStop;
}

void take_usage(const json::object& usage, TokenUsage& out) {
  out.prompt = count_in(usage, "prompt_tokens").value_or(out.prompt);
  out.completion = count_in(usage, "completion_tokens").value_or(out.completion);
  if (const json::object* details = object_in(usage, "prompt_tokens_details")) {
    out.cached = count_in(*details, "cached_tokens").value_or(out.cached);
  }
}

}  // namespace

Result<void> OpenAiDecoder::take(const net::SseEvent& event, ModelStream& stream) {
  if (event.data == "[DONE]") {
    stream.ended = true;
    return {};
  }
  unsigned char scratch[kScratchBytes];
  json::monotonic_resource memory(scratch, sizeof scratch);
  const Result<json::object> parsed = parse_event(event.data, &memory);
  if (!parsed) return parsed.error();
  const json::object& o = *parsed;
  if (const json::value* error = o.if_contains("error"); error != nullptr && !error->is_null()) {
    return told_error(*error);
  }
  if (event.event == "error") return told_error(json::value(o));
  if (const json::object* usage = object_in(o, "usage")) take_usage(*usage, stream.usage);
  const json::value* choices = o.if_contains("choices");
  if (choices == nullptr || !choices->is_array()) return {};
  for (const json::value& choice : choices->get_array()) {
    const json::object* one = choice.if_object();
    if (one != nullptr && count_in(*one, "index").value_or(0) == 0) take_choice(*one, stream);
  }
  return {};
}

void OpenAiDecoder::take_choice(const json::object& choice, ModelStream& stream) {
  if (const json::object* delta = object_in(choice, "delta")) {
    stream.add_text(text_in(*delta, "content"));
    stream.add_text(text_in(*delta, "refusal"));
    // Not for the person, but it shows that the model is at work.
    const bool thinks =
        !text_in(*delta, "reasoning_content").empty() || !text_in(*delta, "reasoning").empty();
    if (thinks) ++stream.progress;
    const json::value* calls = delta->if_contains("tool_calls");
    if (calls != nullptr && calls->is_array()) take_tools(calls->get_array(), stream);
    if (const json::object* call = object_in(*delta, "function_call")) {
      const std::string_view name = text_in(*call, "name");
      name.empty() ? static_cast<void>(++stream.progress) : stream.add_tool(name);
    }
  }
  const std::string_view reason = text_in(choice, "finish_reason");
  if (!reason.empty()) stream.finish_by(finish_of(reason));
}

void OpenAiDecoder::take_tools(const json::array& calls, ModelStream& stream) {
  for (const json::value& call : calls) {
    const json::object* o = call.if_object();
    if (o == nullptr) continue;
    ++stream.progress;  // its arguments grow
    const auto index = static_cast<std::int64_t>(
        count_in(*o, "index").value_or(static_cast<std::uint64_t>(tools_seen_)));
    if (index < tools_seen_) continue;
    const json::object* function = object_in(*o, "function");
    stream.add_tool(function == nullptr ? std::string_view() : text_in(*function, "name"));
    tools_seen_ = index + 1;
  }
}

}  // namespace sluice
