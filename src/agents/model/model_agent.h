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
// Images: the conversation's newest ones are read by the library's thread, which makes the
// request's body too. If the API refuses a request with images of earlier turns, it is asked once
// more without them: a picture that it can't take must not spoil every turn behind it.
//
// Limits: images_max, kPicturesBytes; connect, first token, gap and total by the options;
// kHeaderBytes of head, those of StreamReader, the reply's text by the core. Redirects are not
// followed, compressed answers not taken.

#include <memory>
#include <optional>
#include <string>

#include "agents/model/model_options.h"
#include "agents/model/model_stream.h"
#include "agents/model/stream_reader.h"
#include "gateway/agent.h"
#include "media/library.h"
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
  media::Library* library = nullptr;  // of what people attach; null: nothing is shown
};

class ModelAgent : public Agent {
 public:
  static constexpr std::uint32_t kHeaderBytes = 32 * 1024;
  /// Of all images of one call; a third more as base64.
  static constexpr std::size_t kPicturesBytes = 12 << 20;

  /// kInvalidArgument: a base URL that is none.
  static Result<std::unique_ptr<ModelAgent>> make(std::string name, std::string kind,
                                                  ModelOptions options,
                                                  std::shared_ptr<const ModelProtocol> protocol,
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
             std::shared_ptr<const ModelProtocol> protocol, ModelSurroundings around);

  StreamLimits stream_limits() const;
  net::HttpClientRequest request_with(std::string body) const;
  Task<Result<std::string>> body_of(std::vector<Speech> conversation, std::string model);
  Task<Result<AgentReply>> ask(Call* call, std::vector<Speech> conversation);
  Task<Result<void>> converse(Call* call, std::vector<Speech> conversation);
  Task<Error> refused(Call* call, net::HttpStream* answer);
  void record(const Call& call, const Result<void>& result);

  AgentInfo info_;
  ModelOptions options_;
  net::Url url_;
  std::shared_ptr<const ModelProtocol> protocol_;  // shared with the library's thread
  media::Library* library_;
  Shard& shard_;
  Logger& log_;
  Counters counters_;
  net::HttpClient client_;  // of its own: it has its own time to connect, and its own connections
  std::optional<Error> last_failure_;
};

}  // namespace sluice
