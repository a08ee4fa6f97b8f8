#pragma once
// HookMount: the paths on a server of all accounts of kind "hook": messages are posted to
// POST /hook/{account}, and answers fetched from GET /hook/{account}/messages/{id}. app/ makes one
// before its server listens; channels come and go.
//
// Lifetime: the gateway outlives the server, because a request may outlive the channel that it was
// for; the mount outlives both the server and its channels. Shard-confined.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "channels/hook/body.h"
#include "channels/hook/door.h"
#include "channels/hook/face.h"
#include "gateway/channel.h"
#include "net/router.h"

namespace sluice::hook {

/// The account at the other side of the mount.
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual Door& door() = 0;
  virtual std::uint64_t body_max() const = 0;
  /// What was posted; kInvalidArgument or kPermissionDenied say what is wrong with it.
  virtual Result<HookBody> read(const net::HttpRequest& request) const = 0;
  /// What is shared with the requests; says whether the channel is stopping.
  virtual std::shared_ptr<Face> face() const = 0;
};

class HookMount {
 public:
  /// Host and Origin are the router's own gate's.
  explicit HookMount(net::Router& router);
  HookMount(const HookMount&) = delete;
  HookMount& operator=(const HookMount&) = delete;

  /// kConflict: there is one of that name. Without a receiver the path is not found (404).
  Result<void> add(const std::string& account, Receiver& receiver);
  void remove(const std::string& account);

 private:
  void add_route(net::Router& router, std::string_view method, std::string pattern);
  net::GateDecision gate(const net::HttpRequest& request) const;
  Receiver* find(std::string_view account) const;
  static Task<void> serve(const HookMount* self, net::HttpExchange* exchange);

  std::map<std::string, Receiver*, std::less<>> receivers_;
};

}  // namespace sluice::hook
