#include "app/front.h"

#include <algorithm>
#include <vector>

#include <boost/json.hpp>
#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

#include "auth/credentials.h"
#include "channels/http/page.h"
#include "channels/http/render.h"
#include "text/markdown.h"

namespace sluice::app {
namespace {

constexpr std::string_view kRefused = "sluice_http_refused_total";
constexpr std::string_view kRefusedHelp = "Requests refused before their body was read.";

/// Answers that must not be kept by a browser or a proxy.
net::HttpResponse uncached(net::HttpResponse response) {
  response.headers.set("Cache-Control", "no-store");
  response.headers.set("Referrer-Policy", "no-referrer");
  response.headers.set("X-Content-Type-Options", "nosniff");
  return response;
}

Error unauthenticated(std::string what) {
  return Error(ErrorKind::kUnauthenticated, std::move(what), ErrorSource::kPeer);
}

Error lacks(auth::Scope scope) {
  return Error(
      ErrorKind::kPermissionDenied,
      fmt::format("the token has not the scope \"{}\"", auth::Scopes{scope}.words().front()),
      ErrorSource::kPeer);
}

std::string user_name(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16 << 10);
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? fmt::format("uid-{}", uid) : std::string(found->pw_name);
}

}  // namespace

net::HttpResponse refusal(const Error& error) {
  net::HttpResponse response = http::problem_of(error);
  if (response.status == 401) response.headers.set("WWW-Authenticate", "Bearer realm=\"sluice\"");
  return uncached(std::move(response));
}

bool is_answered_while_stopping(const net::HttpRequest& request) {
  for (const std::string_view path : {"/health/", "/v1/admin/"}) {
    if (request.path.starts_with(path)) return true;
  }
  return request.path == "/healthz" || request.path == "/readyz" || request.path == "/metrics";
}

net::HttpResponse stopping_response(Duration come_back_in) {
  const auto seconds =
      std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(come_back_in).count());
  net::HttpResponse response =
      net::HttpResponse::problem(503, "stopping", net::reason_phrase(503),
                                 "the gateway is stopping; nothing of this request was kept");
  response.headers.set("Retry-After", fmt::format("{}", seconds));
  return uncached(std::move(response));
}

Front::Front(Parts parts)
    : parts_(std::move(parts)),
      refused_origin_(parts_.metrics.counter(kRefused, kRefusedHelp, {{"reason", "origin"}})),
      refused_credentials_(
          parts_.metrics.counter(kRefused, kRefusedHelp, {{"reason", "credentials"}})) {}

Result<auth::Caller> Front::caller_of(const net::HttpRequest& request) const {
  if (const auto header = request.headers.get("Authorization")) {
    const auto token = auth::bearer(*header);
    if (!token) return unauthenticated("the Authorization header is not \"Bearer <token>\"");
    std::optional<auth::Caller> caller = parts_.grants.use_token(*token);
    if (!caller) return unauthenticated("the token is unknown or has been revoked");
    return *std::move(caller);
  }
  const auto header = request.headers.get("Cookie");
  const auto cookie =
      header ? auth::session_cookie(*header, request.tls) : std::optional<std::string_view>();
  if (!cookie) return unauthenticated("a token is needed: Authorization: Bearer <token>");
  std::optional<auth::Caller> caller = parts_.grants.check_session(*cookie);
  if (!caller) return unauthenticated("the session has ended: open a new sign-in link");
  return *std::move(caller);
}

Result<http::Caller> Front::identify(const net::HttpRequest& request) {
  const Result<auth::Caller> caller = caller_of(request);
  if (!caller) {
    refused_credentials_.add();
    return caller.error();
  }
  if (!caller->scopes.has(auth::Scope::kChat) && !caller->scopes.has(auth::Scope::kAll)) {
    refused_credentials_.add();
    return lacks(auth::Scope::kChat);
  }
  const bool all = caller->scopes.has(auth::Scope::kAll);
  return http::Caller{caller->person, all, all};
}

net::HttpGate Front::needs(auth::Scope scope) {
  return [this, scope](const net::HttpRequest& request) {
    const Result<auth::Caller> caller = caller_of(request);
    if (caller && caller->scopes.has(scope)) {
      net::GateDecision decision = net::GateDecision::pass();
      decision.context = fmt::format("{} ({})", caller->person, caller->grant);
      return decision;
    }
    refused_credentials_.add();
    return net::GateDecision::refuse(refusal(caller ? lacks(scope) : caller.error()));
  };
}

net::GateDecision Front::gate(const net::HttpRequest& request) {
  const bool by_cookie =
      !request.headers.contains("Authorization") && request.headers.contains("Cookie");
  const Result<void> allowed = origins_
                                   ? origins_->check(request.method, request.headers.get("Host"),
                                                     request.headers.get("Origin"), by_cookie)
                                   : Result<void>(Error(ErrorKind::kUnavailable, "starting"));
  if (allowed) return net::GateDecision::pass();
  refused_origin_.add();
  return net::GateDecision::refuse(refusal(allowed.error()));
}

Task<void> Front::login(net::HttpExchange& exchange) {
  const auto code = exchange.request().query_value("code");
  std::optional<auth::OneTimeCodes::For> holder;
  if (code) holder = parts_.codes.redeem(*code);
  if (!holder) {
    refused_credentials_.add();
    exchange.respond(
        refusal(unauthenticated("this sign-in link was used or is too old: `sluice run` prints one "
                                "at each start")));
    co_return;
  }
  const bool tls = exchange.request().tls;
  const Result<std::string> cookie =
      co_await parts_.grants.open_session(holder->person, holder->scopes);
  if (!cookie) {
    exchange.respond(refusal(cookie.error()));
    co_return;
  }
  parts_.log.info("signed_in", {{"person", holder->person}, {"peer", exchange.request().peer}});
  // A page that goes on by itself, not a redirect: behind a link of another site a redirect would
  // arrive without the cookie, because it is SameSite=Strict.
  net::HttpResponse response = net::HttpResponse::text(
      200, fmt::format("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                       "<meta http-equiv=\"refresh\" content=\"0; url=/\"><title>Sluice</title>"
                       "<p>This browser is signed in as {}. <a href=\"/\">Go on</a></p></html>\n",
                       text::escape_html(holder->person)));
  response.headers.set("Content-Type", "text/html; charset=utf-8");
  response.headers.set("Content-Security-Policy", http::kContentSecurityPolicy);
  response.headers.add("Set-Cookie", auth::set_session_cookie(*cookie, tls));
  exchange.respond(uncached(std::move(response)));
}

Task<void> Front::logout(net::HttpExchange& exchange) {
  const auto header = exchange.request().headers.get("Cookie");
  const bool tls = exchange.request().tls;
  const auto cookie = header ? auth::session_cookie(*header, tls) : std::nullopt;
  if (cookie) {
    const Result<void> closed = co_await parts_.grants.close_session(std::string(*cookie));
    if (!closed) {
      exchange.respond(refusal(closed.error()));
      co_return;
    }
  }
  net::HttpResponse response = net::HttpResponse::no_content();
  response.headers.add("Set-Cookie", auth::set_session_cookie("", tls));
  exchange.respond(uncached(std::move(response)));
}

namespace {

Task<void> answer(net::HttpExchange* exchange, net::HttpResponse response) {
  exchange->respond(std::move(response));
  co_return;
}

net::HttpResponse ready_response(const Readiness& readiness) {
  boost::json::object body;
  body["append"] = readiness.can_append;
  body["claim"] = readiness.can_claim;
  boost::json::object channels;
  for (const auto& [state, count] : readiness.channels) channels[state] = count;
  body["channels"] = std::move(channels);
  if (readiness.reasons.empty()) {
    body["status"] = "ready";
    return uncached(net::HttpResponse::json(200, boost::json::serialize(body)));
  }
  body["reasons"] = boost::json::value_from(readiness.reasons);
  net::HttpResponse response =
      net::HttpResponse::problem(503, "not-ready", "Not ready", readiness.reasons.front());
  // What a problem may have besides its own members (RFC 9457 3.2).
  const std::string more = boost::json::serialize(body);
  response.body.pop_back();
  response.body.append(",").append(more, 1);
  response.headers.set("Retry-After", "5");
  return uncached(std::move(response));
}

}  // namespace

void Front::mount_health(net::Router& router) {
  for (const char* path : {"/health/live", "/healthz"}) {
    router.add("GET", path, [](net::HttpExchange& exchange) {
      return answer(&exchange, uncached(net::HttpResponse::json(200, R"({"status":"alive"})")));
    });
  }
  for (const char* path : {"/health/ready", "/readyz"}) {
    router.add("GET", path, [this](net::HttpExchange& exchange) {
      return answer(&exchange, ready_response(parts_.readiness()));
    });
  }
  router.add("GET", "/health/startup", [this](net::HttpExchange& exchange) {
    return answer(&exchange,
                  parts_.started()
                      ? uncached(net::HttpResponse::json(200, R"({"status":"started"})"))
                      : refusal(Error(ErrorKind::kUnavailable, "starting", ErrorSource::kSelf,
                                      Retry::after(std::chrono::seconds(1)))));
  });
}

void Front::mount(net::Router& router) {
  router.set_gate([this](const net::HttpRequest& request) { return gate(request); });
  mount_health(router);
  net::RouteOptions needs_metrics;
  needs_metrics.gate = needs(auth::Scope::kMetrics);
  router.add(
      "GET", "/metrics",
      [this](net::HttpExchange& exchange) {
        net::HttpResponse response = net::HttpResponse::text(200, parts_.metrics.serialise());
        response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
        return answer(&exchange, uncached(std::move(response)));
      },
      needs_metrics);
  router.add("GET", "/login", [this](net::HttpExchange& exchange) { return login(exchange); });
  router.add("POST", "/logout", [this](net::HttpExchange& exchange) { return logout(exchange); });
}

Result<http::Caller> LocalCallers::identify(const net::HttpRequest& request) {
  const auto& peer = request.unix_peer;
  // No page of a browser reaches a Unix socket: what sends an Origin came through something else.
  if (!peer || (peer->uid != ::geteuid() && peer->uid != 0) || request.headers.contains("Origin")) {
    return Error(ErrorKind::kPermissionDenied, "the control socket is for the daemon's own user",
                 ErrorSource::kPeer);
  }
  std::string& name = names_[peer->uid];
  if (name.empty()) name = user_name(peer->uid);
  return http::Caller{name, true, true};
}

}  // namespace sluice::app
