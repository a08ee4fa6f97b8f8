#pragma once
// Router: which handler a method and path belong to. Fills both hooks of an HttpServer: the gate,
// so that unknown paths and refused callers never send a body, and the handler.
//
// Patterns: "/v1/chats/{chat}/messages"; a {name} takes one segment, decoded, into
// exchange.params() in order; a last {name*} takes the rest, slashes included. Fixed segments win
// over {name}. HEAD falls back to GET. 404 and 405 (with Allow) are problem+json.
//
// Shard-confined; routes may be added while it serves, never taken away. Must outlive the server.

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_server.h"

namespace sluice::net {

struct RouteOptions {
  std::optional<std::uint64_t> body_limit;  // bytes, in place of the server's
  HttpGate gate;                            // asked after the router's own
};

class Router {
 public:
  /// Twice the same method and pattern, or a pattern that is none, is a broken invariant.
  void add(std::string_view method, std::string_view pattern, HttpHandler handler,
           RouteOptions options = {});
  /// Asked before a path is looked up: for what holds everywhere, such as Host and Origin.
  void set_gate(HttpGate gate) { gate_ = std::move(gate); }

  GateDecision gate(const HttpRequest& request) const;
  Task<void> dispatch(HttpExchange& exchange) const;
  /// Both as hooks.
  void attach(HttpServerHooks& hooks) const;

 private:
  struct Segment {
    enum class Kind : unsigned char { kFixed, kParam, kRest };
    Kind kind;
    std::string text;
  };
  struct Route {
    std::string method;
    std::string pattern;
    std::vector<Segment> segments;
    HttpHandler handler;
    RouteOptions options;
  };
  struct Match {
    const Route* route = nullptr;
    std::vector<std::string> params;
    std::string allow;  // methods of the path, when none was right
  };

  Match find(const HttpRequest& request) const;
  static bool matches(const Route& route, const std::vector<std::string_view>& path);

  std::list<Route> routes_;  // requests under way keep theirs while others are added
  HttpGate gate_;
};

}  // namespace sluice::net
