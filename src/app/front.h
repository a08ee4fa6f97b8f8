#pragma once
// Front: what every request on the TCP listener passes, and the few routes that belong to nobody
// else: /health/…, /metrics, /login, /logout.
//
// Owned by the daemon; outlives the HTTP server. Shard-confined.
//
//   GET  /health/live     200 as long as the process serves at all; also /healthz
//   GET  /health/ready    200, or 503 with the reasons, whether messages are accepted; also /readyz
//   GET  /health/startup  200 once the start is over; these need no credentials
//   GET  /metrics   Prometheus text; a token with the scope "metrics"
//   GET  /login     ?code=…: a one-time code becomes a session cookie
//   POST /logout    takes it back

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "auth/codes.h"
#include "auth/grants.h"
#include "auth/origins.h"
#include "channels/http/auth.h"
#include "net/router.h"
#include "observe/log.h"
#include "observe/metrics.h"

namespace sluice::app {

/// Whether messages are accepted and answered.
struct Readiness {
  std::vector<std::string> reasons;             // why not; empty if all is well
  bool can_append = true;                       // what comes can be made durable
  bool can_claim = true;                        // what leaves can be claimed
  std::map<std::string, std::size_t> channels;  // how many, by state
};

/// A request that a stop answers too: health, metrics, and what operators ask.
bool is_answered_while_stopping(const net::HttpRequest& request);
/// What every other request is told then.
net::HttpResponse stopping_response(Duration come_back_in);

class Front : public http::Authenticator {
 public:
  struct Parts {
    auth::Grants& grants;
    auth::OneTimeCodes& codes;
    Metrics& metrics;
    Logger& log;
    std::function<Readiness()> readiness;
    std::function<bool()> started;
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
  void mount_health(net::Router& router);
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
