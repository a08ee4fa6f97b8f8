#pragma once
// Front: what every request on the TCP listener passes, and the few routes that belong to nobody
// else: /healthz, /readyz, /metrics, /login, /logout.
//
// Owned by the daemon; outlives the HTTP server. Shard-confined.
//
//   GET  /healthz   200 as long as the process serves at all; no credentials
//   GET  /readyz    200, or 503 with the reason, whether messages are accepted; no credentials
//   GET  /metrics   Prometheus text; a token with the scope "metrics"
//   GET  /login     ?code=…: a one-time code becomes a session cookie
//   POST /logout    takes it back

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "auth/codes.h"
#include "auth/grants.h"
#include "auth/origins.h"
#include "channels/http/auth.h"
#include "net/router.h"
#include "observe/log.h"
#include "observe/metrics.h"

namespace sluice::app {

class Front : public http::Authenticator {
 public:
  struct Parts {
    auth::Grants& grants;
    auth::OneTimeCodes& codes;
    Metrics& metrics;
    Logger& log;
    /// Why nothing is accepted now; nothing if all is well.
    std::function<std::optional<std::string>()> not_ready;
  };
  explicit Front(Parts parts);

  /// Once the listeners are bound: before the first request.
  void set_origins(auth::Origins origins) { origins_.emplace(std::move(origins)); }
  void mount(net::Router& router);

  /// A route's gate: a credential with that scope, whose grant is handed on as context.
  net::HttpGate needs(auth::Scope scope);

  /// By bearer token, else by cookie. A token that is wrong is refused even if a cookie is right.
  Result<http::Caller> identify(const net::HttpRequest& request) override;

 private:
  Result<auth::Caller> caller_of(const net::HttpRequest& request) const;
  net::GateDecision gate(const net::HttpRequest& request);
  Task<void> login(net::HttpExchange& exchange);
  Task<void> logout(net::HttpExchange& exchange);

  Parts parts_;
  std::optional<auth::Origins> origins_;
  Counter& refused_origin_;
  Counter& refused_credentials_;
};

/// On the control socket: whoever may open it is the user that runs the daemon, or root, and may
/// see everything and speak for everybody.
class LocalCallers : public http::Authenticator {
 public:
  Result<http::Caller> identify(const net::HttpRequest& request) override;

 private:
  std::map<uid_t, std::string> names_;  // two at most
};

/// 401 with WWW-Authenticate, 403 and so on, as problem+json.
net::HttpResponse refusal(const Error& error);

}  // namespace sluice::app
