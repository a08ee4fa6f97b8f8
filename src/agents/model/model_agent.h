#pragma once
// ModelAgent: asks a model API over HTTP and streams its answer. What all such APIs share is here:
// deadlines, what may be asked again, what a stream must not do; a ModelProtocol knows the rest.
//
// Module agents/model: what the agents of model APIs share, and no agent by itself. The other
// agents may include it (the webhook agent for its streams), and nothing else of each other.
//
// Shard-confined; Shard, Metrics and Logger outlive the agent. Cancelling a run closes its
// connection. Errors: those of model_error.h. Another attempt is allowed only while no text was
// streamed: the person must never see two beginnings. A stream that ends early, or falls silent,
// is an error; the core keeps what was seen of it.
//
// Limits: connect, first token, gap and total by the options; kHeaderBytes of head, those of
// StreamReader, the reply's text by the core. Redirects are not followed, compressed answers not
// taken.

#include <memory>
#include <optional>
#include <string>

#include "agents/model/model_options.h"
#include "agents/model/model_stream.h"
#include "agents/model/stream_reader.h"
#include "gateway/agent.h"
#include "net/http_client.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "runtime/shard.h"

namespace sluice {

/// What a model agent is made of besides its options; all of it outlives the agent.
struct ModelSurroundings {
  Shard& shard;
  Metrics& metrics;
  Logger& log;
};

class ModelAgent : public Agent {
 public:
  static constexpr std::uint32_t kHeaderBytes = 32 * 1024;

  /// kInvalidArgument: a base URL that is none.
  static Result<std::unique_ptr<ModelAgent>> make(std::string name, std::string kind,
                                                  ModelOptions options,
                                                  std::unique_ptr<const ModelProtocol> protocol,
                                                  ModelSurroundings around);

  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override;
  /// What the last call met, if that is the API's fault or the set-up's; it heals with the next
  /// call that gets through.
  Result<void> health() const override;

 private:
  struct Counters {
    Counter& prompt;
    Counter& completion;
    Counter& cached;
    Histogram& first_token;
  };
  struct Call;

  ModelAgent(AgentInfo info, ModelOptions options, net::Url url,
             std::unique_ptr<const ModelProtocol> protocol, ModelSurroundings around);

  StreamLimits stream_limits() const;
  net::HttpClientRequest request_for(const TurnRequest& turn) const;
  Task<Result<void>> converse(Call* call);
  Task<Error> refused(Call* call, net::HttpStream* answer);
  void record(const Call& call, const Result<void>& result);

  AgentInfo info_;
  ModelOptions options_;
  net::Url url_;
  std::unique_ptr<const ModelProtocol> protocol_;
  Shard& shard_;
  Logger& log_;
  Counters counters_;
  net::HttpClient client_;  // of its own: it has its own time to connect, and its own connections
  std::optional<Error> last_failure_;
};

}  // namespace sluice
