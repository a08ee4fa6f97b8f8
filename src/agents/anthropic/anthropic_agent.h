#pragma once
// The agent of kind "anthropic": Anthropic's messages API. docs/agents/anthropic.md is its guide.
//
// Shard-confined. How it behaves over the network is told in agents/model/model_agent.h.
// Protocol: docs.anthropic.com/en/api/messages (2026-11).

#include <memory>
#include <string>

#include "agents/model/model_agent.h"

namespace sluice {

/// The options of kind "anthropic". A value.
struct AnthropicOptions : ModelOptions {
  static constexpr const char* kPublicUrl = "https://api.anthropic.com";
  AnthropicOptions() {
    base_url = kPublicUrl;
    max_tokens = 4096;  // the API has no default, and every model takes this
  }

  std::string version = "2023-06-01";
};
void declare(config::Section<AnthropicOptions>& s);

/// Requests and answers of the messages API.
class AnthropicProtocol : public ModelProtocol {
 public:
  explicit AnthropicProtocol(AnthropicOptions options) : options_(std::move(options)) {}
  std::string_view path() const override { return "/v1/messages"; }
  net::HttpHeaders headers() const override;
  std::string body(const std::vector<Speech>& conversation,
                   const std::string& model) const override;
  /// 5 MiB, counted as base64 (docs.anthropic.com/en/docs/build-with-claude/vision, 2026-11).
  std::size_t picture_bytes_max() const override { return (5 << 20) / 4 * 3; }
  std::unique_ptr<StreamDecoder> decoder() const override;

 private:
  AnthropicOptions options_;
};

/// kInvalidArgument: a base URL that is none.
Result<std::unique_ptr<Agent>> make_anthropic_agent(std::string name, AnthropicOptions options,
                                                    ModelSurroundings around);

}  // namespace sluice
