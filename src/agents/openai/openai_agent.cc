#include "agents/openai/openai_agent.h"

#include <boost/json.hpp>
#include <fmt/format.h>

#include "agents/model/conversation.h"
#include "agents/openai/openai_stream.h"

namespace sluice {
namespace {

namespace json = boost::json;

json::object message(std::string_view role, json::value content) {
  json::object o;
  o["role"] = role;
  o["content"] = std::move(content);
  return o;
}

/// A text alone, for servers that know nothing else; parts where there are images.
json::value content_of(const Speech& speech) {
  if (speech.pictures.empty()) return json::string(speech.text);
  json::array parts;
  for (const Picture& picture : speech.pictures) {
    json::object url;
    url["url"] = fmt::format("data:{};base64,{}", picture.type, picture.base64);
    parts.push_back(json::object{{"type", "image_url"}, {"image_url", std::move(url)}});
  }
  if (!speech.text.empty()) parts.push_back(json::object{{"type", "text"}, {"text", speech.text}});
  return parts;
}

}  // namespace

void declare(config::Section<OpenAiOptions>& s) {
  declare_model(s);
  s.integer("max_tokens", static_cast<std::uint32_t OpenAiOptions::*>(&OpenAiOptions::max_tokens),
            "The longest answer, in tokens; 0 leaves it to the API.")
      .between(0, 10'000'000);
  s.integer("max_completion_tokens", &OpenAiOptions::max_completion_tokens,
            "The same for models that want it under this name, thinking included; 0 is not sent.")
      .between(0, 10'000'000);
  s.flag("stream_usage", &OpenAiOptions::stream_usage,
         "Whether to ask for the tokens used (stream_options); turn it off for a server that "
         "refuses that.");
  s.check([](const OpenAiOptions& o) -> std::string {
    if (o.max_tokens > 0 && o.max_completion_tokens > 0) {
      return "only one of max_tokens and max_completion_tokens can be set";
    }
    if (o.base_url == OpenAiOptions::kPublicUrl && o.api_key.empty()) {
      return "api_key: is needed for " + o.base_url;
    }
    return {};
  });
}

net::HttpHeaders OpenAiProtocol::headers() const {
  net::HttpHeaders all;
  if (!options_.api_key.empty()) {
    all.set("Authorization", fmt::format("Bearer {}", options_.api_key.reveal()));
  }
  return all;
}

std::string OpenAiProtocol::body(const std::vector<Speech>& conversation,
                                 const std::string& model) const {
  json::array messages;
  if (!options_.system.empty()) {
    messages.push_back(message("system", json::string(options_.system)));
  }
  for (const Speech& speech : conversation) {
    messages.push_back(message(speech.person ? "user" : "assistant", content_of(speech)));
  }
  json::object o;
  o["model"] = model.empty() ? options_.model : model;
  o["messages"] = std::move(messages);
  o["stream"] = true;
  if (options_.stream_usage) o["stream_options"] = json::object{{"include_usage", true}};
  if (options_.max_completion_tokens > 0) {
    o["max_completion_tokens"] = options_.max_completion_tokens;
  }
  if (!options_.stop.empty()) o["stop"] = json::value_from(options_.stop);
  add_parameters(options_, o);
  return json::serialize(o);
}

std::unique_ptr<StreamDecoder> OpenAiProtocol::decoder() const {
  return std::make_unique<OpenAiDecoder>();
}

Result<std::unique_ptr<Agent>> make_openai_agent(std::string name, OpenAiOptions options,
                                                 ModelSurroundings around) {
  const ModelOptions shared = options;
  auto protocol = std::make_shared<const OpenAiProtocol>(std::move(options));
  auto made = ModelAgent::make(std::move(name), "openai", shared, std::move(protocol), around);
  if (!made) return made.error();
  return std::unique_ptr<Agent>(std::move(*made));
}

}  // namespace sluice
