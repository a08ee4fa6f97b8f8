#pragma once
// The agent of kind "openai": OpenAI's chat completions, and what speaks the same: llama.cpp, vLLM,
// Ollama, OpenRouter and others. docs/agents/openai.md is its guide.
//
// Shard-confined. How it behaves over the network is told in agents/model/model_agent.h.
// Protocol: platform.openai.com/docs/api-reference/chat (2026-11).

#include <cstdint>
#include <memory>
#include <string>

#include "agents/model/model_agent.h"

namespace sluice {

/// The options of kind "openai". A value.
struct OpenAiOptions : ModelOptions {
  static constexpr const char* kPublicUrl = "https://api.openai.com/v1";
  OpenAiOptions() { base_url = kPublicUrl; }

  std::uint32_t max_completion_tokens = 0;  // what newer models take in place of max_tokens
  bool stream_usage = true;
};
void declare(config::Section<OpenAiOptions>& s);

/// Requests and answers of chat completions.
class OpenAiProtocol : public ModelProtocol {
 public:
  explicit OpenAiProtocol(OpenAiOptions options) : options_(std::move(options)) {}
  std::string_view path() const override { return "/chat/completions"; }
  net::HttpHeaders headers() const override;
  std::string body(const std::vector<Speech>& conversation,
                   const std::string& model) const override;
  std::unique_ptr<StreamDecoder> decoder() const override;

 private:
  OpenAiOptions options_;
};

/// kInvalidArgument: a base URL that is none.
Result<std::unique_ptr<Agent>> make_openai_agent(std::string name, OpenAiOptions options,
                                                 ModelSurroundings around);

}  // namespace sluice
