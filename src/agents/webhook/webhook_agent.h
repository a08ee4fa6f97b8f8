#pragma once
// WebhookAgent: posts each attempt of a turn to a configured URL and takes the answer as the reply
// (JSON form, docs/agents/webhook.md). Every request carries turn_id and attempt, and a key that is
// the same for all attempts of a turn.
//
// Shard-confined. The HttpClient outlives the agent. Cancelling a run closes its connection; the
// agent at the other end may have done its work all the same. Nothing is redirected.

#include <memory>
#include <optional>
#include <string>

#include "agents/webhook/webhook_options.h"
#include "gateway/agent.h"
#include "net/http_client.h"
#include "runtime/loop.h"

namespace sluice {

class WebhookAgent : public Agent {
 public:
  /// kInvalidArgument: a URL or header that is none.
  static Result<std::unique_ptr<WebhookAgent>> make(std::string name, WebhookOptions options,
                                                    net::HttpClient& client, Loop& loop);

  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override;
  /// What the last call met, if that is the endpoint's fault; it heals with the next call that gets
  /// through.
  Result<void> health() const override;

 private:
  WebhookAgent(std::string name, WebhookOptions options, net::Url url, net::HttpHeaders headers,
               net::HttpClient& client, Loop& loop);

  AgentInfo info_;
  WebhookOptions options_;
  net::Url url_;
  net::HttpHeaders headers_;
  net::HttpClient& client_;
  Loop& loop_;
  std::optional<Error> last_failure_;
};

}  // namespace sluice
