#pragma once
// What `sluice init` asks of model servers: is one there, which models has it, does one answer. The
// answers that it tells a person are the server's own words, made safe for a terminal.
//
// Shard-confined; the client outlives the tasks. Errors: kUnavailable, kTimeout, kUnauthenticated,
// kInvalidArgument, kBadResponse; the context is a sentence for the person.
// Limits: kLookPatience a port, kListPatience a list, kAnswerPatience for an answer, kListBytes of
// a list, kModelsMax names of it. Protocol: platform.openai.com/docs/api-reference/models,
// docs.anthropic.com/en/api/models-list (2026-11), github.com/ollama/ollama/blob/main/docs/api.md
// (/api/tags).

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/secret.h"
#include "net/http_client.h"
#include "runtime/shard.h"
#include "runtime/task.h"

namespace sluice::app {

inline constexpr std::chrono::milliseconds kLookPatience{700};
inline constexpr std::chrono::seconds kListPatience{15};
/// A local server may have to load the model first.
inline constexpr std::chrono::seconds kAnswerPatience{120};
inline constexpr std::uint64_t kListBytes = 1 << 20;
inline constexpr std::size_t kModelsMax = 1000;

/// A model API as it was described.
struct ModelPlace {
  std::string kind;  // "openai" or "anthropic"
  std::string base_url;
  config::Secret key;
  std::string model;
};

struct FoundServer {
  std::string base_url;
  std::vector<std::string> models;
};

/// Model servers that answer on ports of this machine, in the order of the ports.
Task<std::vector<FoundServer>> find_servers(net::HttpClient* client,
                                            std::vector<std::uint16_t> ports);

/// The models that are offered there; model need not be set.
Task<Result<std::vector<std::string>>> list_models(net::HttpClient* client, ModelPlace place);

struct Answered {
  std::string text;  // its beginning; empty if the model was still thinking
  std::chrono::milliseconds took{0};
};
/// One tiny question, asked as the daemon would ask it.
Task<Result<Answered>> ask_model(Shard* shard, net::HttpClient* client, ModelPlace place);

/// The names in {"data": [{"id"}]} or {"models": [{"name"}]}. kBadResponse: it is neither.
Result<std::vector<std::string>> parse_models(std::string_view body);

/// What a refusal says, for a person: status, the API's words, and what may be wrong.
std::string refusal_words(const ModelPlace& place, int status, const net::HttpHeaders& headers,
                          std::string_view body);

}  // namespace sluice::app
