#pragma once
// Channel "http" and "cli": people talk to agents through our own API (docs/http-api.md): they post
// messages, and read the durable log of their conversations as server-sent events or over a
// WebSocket. Replies are pulled from that log, so there are no sends: the turn's commit is the
// delivery (C18).
//
// HttpMount is the place on a server where the channel's requests arrive; app/ makes one for each
// account, before its server listens, and it answers 503 while no channel is registered there.
// HttpChannel is the account itself; the gateway owns it from register_channel on.
//
// Lifetime: gateway (its feeds and store), library, mount and authenticator outlive the server,
// because a request may outlive its channel. Mount and channel may go in either order.
// Shard-confined.

#include <memory>
#include <string>
#include <string_view>

#include "channels/http/auth.h"
#include "channels/http/options.h"
#include "gateway/channel.h"
#include "media/library.h"
#include "net/router.h"
#include "observe/metrics.h"

namespace sluice::http {

struct Face;

class HttpMount {
 public:
  /// Adds the routes below prefix to the router:
  ///   POST   /v1/conversations/{chat}/messages
  ///   DELETE /v1/conversations/{chat}/messages/{id}
  ///   POST   /v1/conversations/{chat}/stop
  ///   GET    /v1/conversations/{chat}/events
  ///   GET    /v1/conversations/{chat}/socket   (a WebSocket)
  ///   GET    /v1/conversations/{chat}/history
  ///   GET    /v1/messages/{id}
  ///   POST   /v1/media                         (an image, read as it comes)
  ///   GET    /v1/media/{id}
  /// Callers are identified before a body is read. Host and Origin are the router's own gate's.
  HttpMount(net::Router& router, Authenticator& authenticator, std::string_view prefix = "/v1");
  HttpMount(const HttpMount&) = delete;
  HttpMount& operator=(const HttpMount&) = delete;

 private:
  friend class HttpChannel;
  using Serve = Task<void> (*)(std::shared_ptr<Face>, Authenticator*, net::HttpExchange*);
  void add(net::Router& router, std::string_view method, const std::string& path, Serve serve);
  static Task<void> run(std::shared_ptr<Face> face, Serve serve, Authenticator* authenticator,
                        net::HttpExchange* exchange);
  net::GateDecision gate(const net::HttpRequest& request, Serve serve) const;

  Authenticator& authenticator_;
  /// What channel is registered here, null if none is; shared, because either may go first.
  std::shared_ptr<std::shared_ptr<Face>> place_;
};

class HttpChannel : public Channel {
 public:
  /// kind: "http" or "cli". One channel at a time on a mount; start() is kConflict otherwise.
  /// library: null if nothing can be attached.
  HttpChannel(std::string name, std::string kind, HttpChannelOptions options, HttpMount& mount,
              Metrics& metrics, media::Library* library = nullptr);
  ~HttpChannel() override;

  const ChannelInfo& info() const override { return info_; }
  const AccountOptions& account() const override { return options_; }
  void set_account(const AccountOptions& account) override;
  Task<Result<void>> start(ChannelHost& host) override;
  /// New requests get 503, streams end, and what was posted is answered.
  Task<void> stop() override;

 private:
  void leave();

  const ChannelInfo info_;
  HttpChannelOptions options_;
  const std::shared_ptr<std::shared_ptr<Face>> place_;
  Metrics& metrics_;
  media::Library* const library_;
  std::shared_ptr<Face> face_;
};

}  // namespace sluice::http
