#pragma once
// WebhookAgent: posts each attempt of a turn to a configured URL and takes the answer as the reply:
// at once as JSON, piece by piece as an event stream, or later by a callback (202;
// docs/agents/webhook.md). Every request carries turn_id and attempt, a key that is the same for
// all attempts of a turn, and a signature if a secret is configured.
//
// Shard-confined. Shard and CallbackMount outlive the agent. Cancelling a run closes its
// connection; the agent at the other end may have done its work all the same. Nothing is
// redirected, compressed answers are not taken.
//
// Limits: connect, first token, gap and total by the options; kHeaderBytes of head,
// response_bytes_max of JSON, those of StreamReader for a stream.

#include <memory>
#include <optional>
#include <string>

#include "agents/model/stream_reader.h"
#include "agents/webhook/callback_mount.h"
#include "agents/webhook/webhook_options.h"
#include "gateway/agent.h"
#include "net/http_client.h"
#include "runtime/shard.h"

namespace sluice {

class WebhookDecoder;

class WebhookAgent : public Agent {
 public:
  static constexpr std::uint32_t kHeaderBytes = 32 * 1024;

  /// kInvalidArgument: a URL or header that is none.
  static Result<std::unique_ptr<WebhookAgent>> make(std::string name, WebhookOptions options,
                                                    Shard& shard, CallbackMount& callbacks);

  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override;
  /// What the last call met, if that is the endpoint's fault; it heals with the next call that gets
  /// through.
  Result<void> health() const override;

 private:
  WebhookAgent(std::string name, WebhookOptions options, net::Url url, net::HttpHeaders headers,
               Shard& shard, CallbackMount& callbacks);

  net::HttpClientRequest request_for(const TurnRequest& turn) const;
  Task<Result<AgentReply>> ask(const TurnRequest* turn, DeltaSink* sink);
  Task<Result<AgentReply>> follow(StreamReader* reader, WebhookDecoder* decoder,
                                  net::HttpStream* answer);
  Task<Result<AgentReply>> take_whole(net::HttpStream* answer, MonoTime until);

  AgentInfo info_;
  WebhookOptions options_;
  net::Url url_;
  net::HttpHeaders headers_;
  Shard& shard_;
  CallbackMount& callbacks_;
  net::HttpClient client_;  // of its own: it has its own time to connect, and its own connections
  std::optional<Error> last_failure_;
};

}  // namespace sluice
