#include "agents/anthropic/anthropic_agent.h"

#include <algorithm>

#include <boost/json.hpp>

#include "agents/anthropic/anthropic_stream.h"
#include "agents/model/conversation.h"

namespace sluice {
namespace {

namespace json = boost::json;

std::string check_version(const std::string& text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.';
  });
  return plain ? std::string() : "is not a version like \"2023-06-01\"";
}

json::value content_of(const Speech& speech) {
  if (speech.pictures.empty()) return json::string(speech.text);
  json::array blocks;
  for (const Picture& picture : speech.pictures) {
    json::object source;
    source["type"] = "base64";
    source["media_type"] = picture.type;
    source["data"] = picture.base64;
    blocks.push_back(json::object{{"type", "image"}, {"source", std::move(source)}});
  }
  if (!speech.text.empty()) blocks.push_back(json::object{{"type", "text"}, {"text", speech.text}});
  return blocks;
}

}  // namespace

void declare(config::Section<AnthropicOptions>& s) {
  declare_model(s);
  s.integer("max_tokens",
            static_cast<std::uint32_t AnthropicOptions::*>(&AnthropicOptions::max_tokens),
            "The longest answer, in tokens.")
      .between(1, 10'000'000);
  s.text("version", &AnthropicOptions::version, "Sent as anthropic-version.")
      .length(1, 64)
      .check(check_version);
  s.check([](const AnthropicOptions& o) -> std::string {
    if (o.base_url == AnthropicOptions::kPublicUrl && o.api_key.empty()) {
      return "api_key: is needed for " + o.base_url;
    }
    return {};
  });
}

net::HttpHeaders AnthropicProtocol::headers() const {
  net::HttpHeaders all;
  all.set("anthropic-version", options_.version);
  if (!options_.api_key.empty()) all.set("x-api-key", options_.api_key.reveal());
  return all;
}

std::string AnthropicProtocol::body(const std::vector<Speech>& conversation,
                                    const std::string& model) const {
  json::array messages;
  for (const Speech& speech : conversation) {
    json::object o;
    o["role"] = speech.person ? "user" : "assistant";
    o["content"] = content_of(speech);
    messages.push_back(std::move(o));
  }
  json::object o;
  o["model"] = model.empty() ? options_.model : model;
  o["messages"] = std::move(messages);
  o["stream"] = true;
  if (!options_.system.empty()) o["system"] = options_.system;
  if (!options_.stop.empty()) o["stop_sequences"] = json::value_from(options_.stop);
  add_parameters(options_, o);
  return json::serialize(o);
}

std::unique_ptr<StreamDecoder> AnthropicProtocol::decoder() const {
  return std::make_unique<AnthropicDecoder>();
}

Result<std::unique_ptr<Agent>> make_anthropic_agent(std::string name, AnthropicOptions options,
                                                    ModelSurroundings around) {
  const ModelOptions shared = options;
  auto protocol = std::make_shared<const AnthropicProtocol>(std::move(options));
  auto made = ModelAgent::make(std::move(name), "anthropic", shared, std::move(protocol), around);
  if (!made) return made.error();
  return std::unique_ptr<Agent>(std::move(*made));
}

}  // namespace sluice
