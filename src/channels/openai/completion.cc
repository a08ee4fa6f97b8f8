#include "channels/openai/completion.h"

#include <boost/json/serialize.hpp>
#include <fmt/core.h>

namespace sluice::openai {
namespace {

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

std::string_view to_string(Finish finish) { return finish == Finish::kStop ? "stop" : "length"; }

std::string chunk(const Heading& heading, std::string_view choices) {
  return event(fmt::format(
      R"({{"id":"chatcmpl-{}","object":"chat.completion.chunk","created":{},"model":{},)"
      R"("choices":[{}]{}}})",
      heading.message.value, heading.created.ms / 1000, quoted(heading.model), choices,
      heading.include_usage ? R"(,"usage":null)" : ""));
}

std::string choice(std::string_view delta, std::string_view finish_reason) {
  return fmt::format(R"({{"index":0,"delta":{},"logprobs":null,"finish_reason":{}}})", delta,
                     finish_reason);
}

}  // namespace

std::string event(std::string_view json) { return fmt::format("data: {}\n\n", json); }

std::string completion_json(const Heading& heading, std::string_view text, Finish finish) {
  return fmt::format(
      R"({{"id":"chatcmpl-{}","object":"chat.completion","created":{},"model":{},"choices":[)"
      R"({{"index":0,"message":{{"role":"assistant","content":{},"refusal":null}},)"
      R"("logprobs":null,"finish_reason":"{}"}}]}})",
      heading.message.value, heading.created.ms / 1000, quoted(heading.model), quoted(text),
      to_string(finish));
}

std::string role_event(const Heading& heading) {
  return chunk(heading, choice(R"({"role":"assistant","content":""})", "null"));
}

std::string text_event(const Heading& heading, std::string_view text) {
  return chunk(heading, choice(fmt::format(R"({{"content":{}}})", quoted(text)), "null"));
}

std::string finish_event(const Heading& heading, Finish finish) {
  return chunk(heading, choice("{}", quoted(to_string(finish))));
}

std::string usage_event(const Heading& heading) { return chunk(heading, ""); }

std::string model_json(std::string_view name, UnixMillis created) {
  return fmt::format(R"({{"id":{},"object":"model","created":{},"owned_by":"sluice"}})",
                     quoted(name), created.ms / 1000);
}

std::string models_json(std::span<const std::string> names, UnixMillis created) {
  std::string out = R"({"object":"list","data":[)";
  for (const std::string& name : names) {
    if (&name != &names.front()) out += ',';
    out += model_json(name, created);
  }
  return out += "]}";
}

}  // namespace sluice::openai
