#pragma once
// Channel "openai": any client of OpenAI's API talks to the account's agent, with the contract
// behind it (docs/channels/openai.md). A request is one accepted message: it is on disk before
// anything is answered, its turn runs in the core whether the client stays or not, and the answer
// is read from the durable log, so there are no sends (C18).
//
// OpenAiMount is the place on a server where the account's requests arrive; it belongs to the
// router's handlers and answers 503 while no channel is registered there. OpenAiChannel is the
// account itself; the gateway owns it from register_channel on.
//
// Lifetime: the gateway (its feeds and store) and the library outlive the server, because a request
// may outlive its channel. Mount and channel may go in either order. Shard-confined.

#include <memory>
#include <string>
#include <string_view>

#include "channels/openai/callers.h"
#include "channels/openai/options.h"
#include "gateway/channel.h"
#include "media/library.h"
#include "net/router.h"
#include "observe/metrics.h"

namespace sluice::openai {

struct Face;

class OpenAiMount {
 public:
  /// Adds the routes below prefix to the router:
  ///   POST /v1/chat/completions
  ///   GET  /v1/models
  ///   GET  /v1/models/{model}
  /// Callers are identified before a body is read. Host and Origin are the router's own gate's.
  static std::shared_ptr<OpenAiMount> add_to(net::Router& router, std::unique_ptr<Callers> callers,
                                             std::string_view prefix = "/v1");

 private:
  friend class OpenAiChannel;
  using Serve = Task<void> (*)(std::shared_ptr<Face>, net::HttpExchange*);
  explicit OpenAiMount(std::unique_ptr<Callers> callers) : callers_(std::move(callers)) {}
  static void add(const std::shared_ptr<OpenAiMount>& self, net::Router& router,
                  std::string_view method, const std::string& path, Serve serve);
  static Task<void> run(std::shared_ptr<Face> face, Serve serve, net::HttpExchange* exchange);
  net::GateDecision gate(const net::HttpRequest& request) const;

  const std::unique_ptr<Callers> callers_;
  std::shared_ptr<Face> face_;  // of the channel that is registered here; null if none is
};

class OpenAiChannel : public Channel {
 public:
  /// One channel at a time on a mount; start() is kConflict otherwise.
  OpenAiChannel(std::string name, OpenAiFaceOptions options, std::shared_ptr<OpenAiMount> mount,
                Metrics& metrics, media::Library& library);
  ~OpenAiChannel() override;

  const ChannelInfo& info() const override { return info_; }
  const AccountOptions& account() const override { return options_; }
  void set_account(const AccountOptions& account) override;
  Task<Result<void>> start(ChannelHost& host) override;
  /// New requests get 503, and so do those that wait for an answer; their turns go on.
  Task<void> stop() override;

 private:
  void leave();

  const ChannelInfo info_;
  OpenAiFaceOptions options_;
  const std::shared_ptr<OpenAiMount> mount_;
  Metrics& metrics_;
  media::Library& library_;
  std::shared_ptr<Face> face_;
};

}  // namespace sluice::openai
