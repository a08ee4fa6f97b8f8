#include "channels/hook/mount.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/assert.h"

namespace sluice::hook {
namespace {

using net::HttpResponse;

constexpr std::string_view kPrefix = "/hook/";

HttpResponse not_found() {
  return HttpResponse::problem(404, "not-found", net::reason_phrase(404), "no such path");
}

HttpResponse stopping() {
  HttpResponse response =
      HttpResponse::problem(503, "unavailable", "Unavailable", "the account is being stopped");
  response.headers.set("Retry-After", "5");
  return response;
}

HttpResponse problem_of(const Error& error) {
  const bool ours = error.source() == ErrorSource::kSelf;
  // What is wrong inside is for the log, not for callers.
  const bool tell = !ours || error.kind() == ErrorKind::kOverloaded ||
                    error.kind() == ErrorKind::kRateLimited ||
                    error.kind() == ErrorKind::kUnavailable || error.kind() == ErrorKind::kDiskFull;
  std::string slug(to_string(error.kind()));
  std::replace(slug.begin(), slug.end(), '_', '-');
  const int status = net::status_of(error.kind());
  HttpResponse response = HttpResponse::problem(status, slug, net::reason_phrase(status),
                                                tell ? error.context() : std::string());
  if (error.retry().allowed()) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(error.retry().delay).count();
    response.headers.set("Retry-After", fmt::format("{}", std::max<std::int64_t>(seconds, 1)));
  }
  if (status == 401) response.headers.set("WWW-Authenticate", "Bearer");
  return response;
}

HttpResponse answer(const Accepted& accepted, bool unmentioned) {
  if (accepted.refused_by_access) {
    // Nothing is wrong with a word in a group that is not for us: it is just not kept (C8).
    if (unmentioned) return HttpResponse::json(200, R"({"status":"ignored"})");
    return HttpResponse::problem(403, "not-on-the-list", "This sender may not write here",
                                 "the account's \"allow\" does not name the sender");
  }
  if (accepted.verdict == EventVerdict::kOtherContent) {
    return HttpResponse::problem(422, "id-reused", "This id was used with another text",
                                 "choose a new id for a new text; the earlier message stands");
  }
  const bool duplicate = accepted.verdict == EventVerdict::kDuplicate;
  return HttpResponse::json(
      duplicate ? 200 : 202,
      fmt::format(R"({{"message":{},"conversation":{},"status":"accepted","duplicate":{}}})",
                  accepted.id.value, accepted.lane.value, duplicate));
}

}  // namespace

HookMount::HookMount(net::Router& router) {
  net::RouteOptions options;
  options.gate = [this](const net::HttpRequest& request) { return gate(request); };
  router.add(
      "POST", std::string(kPrefix) + "{account}",
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
  const auto name = net::percent_decode(request.path.substr(kPrefix.size()));
  Receiver* receiver = name ? find(*name) : nullptr;
  if (receiver == nullptr) return net::GateDecision::refuse(not_found());
  const Result<void> screened = receiver->door().screen(request);
  if (!screened) return net::GateDecision::refuse(problem_of(screened.error()));
  if (receiver->host() == nullptr) return net::GateDecision::refuse(stopping());
  if (request.content_type() != "application/json") {
    return net::GateDecision::refuse(HttpResponse::problem(
        415, "unsupported-media-type", "Unsupported Media Type", "post application/json"));
  }
  net::GateDecision decision;
  decision.body_limit = receiver->body_max();
  return decision;
}

Task<void> HookMount::serve(const HookMount* self, net::HttpExchange* exchange) {
  // The channel may have gone while the body came.
  Receiver* receiver = self->find(exchange->params().front());
  if (receiver == nullptr || receiver->host() == nullptr) {
    exchange->respond(receiver == nullptr ? not_found() : stopping());
    co_return;
  }
  const Result<void> checked = receiver->door().check(exchange->request());
  if (!checked) {
    exchange->respond(problem_of(checked.error()));
    co_return;
  }
  Result<InboundMessage> message = receiver->read(exchange->request());
  if (!message) {
    exchange->respond(problem_of(message.error()));
    co_return;
  }
  const bool unmentioned = message->chat_kind == ChatKind::kGroup && !message->mentions_us;
  std::vector<InboundMessage> events;
  events.push_back(std::move(*message));
  // From here on the receiver may go: what is being appended is appended, and told.
  const Result<std::vector<Accepted>> accepted =
      co_await receiver->host()->accept(std::move(events), std::nullopt);
  exchange->respond(accepted ? answer(accepted->front(), unmentioned)
                             : problem_of(accepted.error()));
}

}  // namespace sluice::hook
