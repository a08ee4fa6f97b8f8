#include "channels/hook/mount.h"

#include "channels/hook/requests.h"

namespace sluice::hook {
namespace {

using net::HttpResponse;

constexpr std::string_view kPrefix = "/hook/";
constexpr std::uint64_t kSmallBody = 4 << 10;  // bytes, where a body has nothing to say

HttpResponse not_found() {
  return HttpResponse::problem(404, "not-found", net::reason_phrase(404), "no such path");
}

HttpResponse stopping() {
  HttpResponse response =
      HttpResponse::problem(503, "unavailable", "Unavailable", "the account is being stopped");
  response.headers.set("Retry-After", "5");
  return response;
}

}  // namespace

HookMount::HookMount(net::Router& router) {
  add_route(router, "POST", "{account}");
  add_route(router, "GET", "{account}/messages/{id}");
}

void HookMount::add_route(net::Router& router, std::string_view method, std::string pattern) {
  net::RouteOptions options;
  options.gate = [this](const net::HttpRequest& request) { return gate(request); };
  router.add(
      method, std::string(kPrefix) + pattern,
      [this](net::HttpExchange& exchange) { return serve(this, &exchange); }, std::move(options));
}

Result<void> HookMount::add(const std::string& account, Receiver& receiver) {
  const bool fresh = receivers_.emplace(account, &receiver).second;
  if (!fresh) return Error(ErrorKind::kConflict, "an account \"" + account + "\" is there already");
  return {};
}

void HookMount::remove(const std::string& account) { receivers_.erase(account); }

Receiver* HookMount::find(std::string_view account) const {
  const auto found = receivers_.find(account);
  return found == receivers_.end() ? nullptr : found->second;
}

net::GateDecision HookMount::gate(const net::HttpRequest& request) const {
  std::string_view segment = std::string_view(request.path).substr(kPrefix.size());
  segment = segment.substr(0, segment.find('/'));
  const auto name = net::percent_decode(segment);
  Receiver* receiver = name ? find(*name) : nullptr;
  if (receiver == nullptr) return net::GateDecision::refuse(not_found());
  const Result<void> screened = receiver->door().screen(request);
  if (!screened) return net::GateDecision::refuse(problem_of(screened.error()));
  if (receiver->face()->stopping) return net::GateDecision::refuse(stopping());
  net::GateDecision decision;
  decision.body_limit = kSmallBody;
  if (request.method != "POST") return decision;
  if (request.content_type() != "application/json") {
    return net::GateDecision::refuse(HttpResponse::problem(
        415, "unsupported-media-type", "Unsupported Media Type", "post application/json"));
  }
  decision.body_limit = receiver->body_max();
  return decision;
}

Task<void> HookMount::serve(const HookMount* self, net::HttpExchange* exchange) {
  // The channel may have gone while the body came.
  Receiver* receiver = self->find(exchange->params().front());
  if (receiver == nullptr || receiver->face()->stopping) {
    exchange->respond(receiver == nullptr ? not_found() : stopping());
    co_return;
  }
  const Result<void> checked = receiver->door().check(exchange->request());
  if (!checked) {
    exchange->respond(problem_of(checked.error()));
    co_return;
  }
  // From here on the receiver may go: what is being appended is appended, and told.
  const std::shared_ptr<Face> face = receiver->face();
  if (exchange->request().method != "POST") {
    co_await get_answer(face, exchange);
    co_return;
  }
  Result<HookBody> body = receiver->read(exchange->request());
  if (!body) {
    exchange->respond(problem_of(body.error()));
    co_return;
  }
  exchange->request().body = std::string();  // it is in the message now
  co_await post_message(face, exchange, std::move(*body));
}

}  // namespace sluice::hook
