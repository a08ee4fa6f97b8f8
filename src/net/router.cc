#include "net/router.h"

#include "base/assert.h"

namespace sluice::net {
namespace {

constexpr std::size_t kMaxSegments = 32;  // a longer path matches nothing

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  if (!path.starts_with('/')) return segments;
  path.remove_prefix(1);
  while (segments.size() <= kMaxSegments) {
    const std::size_t slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return segments;
}

HttpResponse not_found() {
  return HttpResponse::problem(404, "not-found", reason_phrase(404), "no such path");
}

HttpResponse not_allowed(const std::string& allow) {
  HttpResponse response = HttpResponse::problem(405, "method-not-allowed", reason_phrase(405));
  response.headers.set("Allow", allow);
  return response;
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, HttpHandler handler,
                 RouteOptions options) {
  Route route{
      std::string(method), std::string(pattern), {}, std::move(handler), std::move(options)};
  SLUICE_ASSERT(pattern.starts_with('/') && route.handler);
  for (std::string_view text : split(pattern)) {
    SLUICE_ASSERT(route.segments.empty() || route.segments.back().kind != Segment::Kind::kRest);
    Segment segment{Segment::Kind::kFixed, std::string(text)};
    if (text.starts_with('{')) {
      SLUICE_ASSERT(text.ends_with('}') && text.size() > 2);
      segment.kind = text.ends_with("*}") ? Segment::Kind::kRest : Segment::Kind::kParam;
    }
    route.segments.push_back(std::move(segment));
  }
  // Routes with fixed segments further to the left come first, so that the first match is the right
  // one.
  const auto before = [](const Route& a, const Route& b) {
    for (std::size_t i = 0; i < a.segments.size() && i < b.segments.size(); ++i) {
      if (a.segments[i].kind != b.segments[i].kind) return a.segments[i].kind < b.segments[i].kind;
    }
    return a.segments.size() > b.segments.size();
  };
  auto place = routes_.begin();
  for (; place != routes_.end(); ++place) {
    SLUICE_ASSERT(place->method != route.method || place->pattern != route.pattern);
  }
  place = routes_.begin();
  while (place != routes_.end() && !before(route, *place)) ++place;
  routes_.insert(place, std::move(route));
}

bool Router::matches(const Route& route, const std::vector<std::string_view>& path) {
  for (std::size_t i = 0; i < route.segments.size(); ++i) {
    const Segment& segment = route.segments[i];
    if (segment.kind == Segment::Kind::kRest) return path.size() > i;
    if (i >= path.size()) return false;
    if (segment.kind == Segment::Kind::kFixed ? path[i] != segment.text : path[i].empty()) {
      return false;
    }
  }
  return path.size() == route.segments.size();
}

Router::Match Router::find(const HttpRequest& request) const {
  Match match;
  const std::vector<std::string_view> path = split(request.path);
  if (path.empty() || path.size() > kMaxSegments) return match;
  const Route* get = nullptr;
  for (const Route& route : routes_) {
    if (!matches(route, path)) continue;
    if (route.method == request.method) {
      match.route = &route;
      break;
    }
    if (route.method == "GET" && request.method == "HEAD" && get == nullptr) get = &route;
    if (match.allow.find(route.method) == std::string::npos) {
      match.allow += (match.allow.empty() ? "" : ", ") + route.method;
    }
  }
  if (match.route == nullptr) match.route = get;
  if (match.route == nullptr) return match;
  for (std::size_t i = 0; i < match.route->segments.size(); ++i) {
    const Segment& segment = match.route->segments[i];
    if (segment.kind == Segment::Kind::kFixed) continue;
    const auto offset = static_cast<std::size_t>(path[i].data() - request.path.data());
    const bool rest = segment.kind == Segment::Kind::kRest;
    auto decoded = percent_decode(rest ? std::string_view(request.path).substr(offset) : path[i]);
    if (!decoded) return {};  // a name that cannot exist
    match.params.push_back(std::move(*decoded));
  }
  return match;
}

GateDecision Router::gate(const HttpRequest& request) const {
  GateDecision decision;
  if (gate_) decision = gate_(request);
  if (decision.refusal) return decision;
  const Match match = find(request);
  if (match.route == nullptr) {
    return GateDecision::refuse(match.allow.empty() ? not_found() : not_allowed(match.allow));
  }
  const RouteOptions& options = match.route->options;
  if (options.gate) {
    GateDecision own = options.gate(request);
    if (!own.context.has_value()) own.context = std::move(decision.context);
    decision = std::move(own);
  }
  if (!decision.body_limit) decision.body_limit = options.body_limit;
  return decision;
}

Task<void> Router::dispatch(HttpExchange& exchange) const {
  Match match = find(exchange.request());
  if (match.route == nullptr) {
    exchange.respond(match.allow.empty() ? not_found() : not_allowed(match.allow));
    co_return;
  }
  exchange.params() = std::move(match.params);
  co_await match.route->handler(exchange);
}

void Router::attach(HttpServerHooks& hooks) const {
  hooks.gate = [this](const HttpRequest& request) { return gate(request); };
  hooks.handler = [this](HttpExchange& exchange) { return dispatch(exchange); };
}

}  // namespace sluice::net
