#include "agents/webhook/callback_mount.h"

#include <algorithm>
#include <charconv>

#include <fmt/core.h>

#include "auth/credentials.h"
#include "base/utf8.h"

namespace sluice {
namespace {

using net::HttpResponse;

constexpr std::string_view kPrefix = "/v1/callbacks/";
constexpr std::string_view kComeBack = "1";  // seconds

HttpResponse problem(int status, std::string_view slug, std::string_view detail) {
  return HttpResponse::problem(status, slug, net::reason_phrase(status), detail);
}

HttpResponse forged() {
  HttpResponse response =
      problem(401, "unauthenticated", "the secret is not that of this turn and attempt");
  response.headers.set("WWW-Authenticate", "Bearer");
  return response;
}

/// A number as we write it.
template <class N>
std::optional<N> parse_number(std::string_view text) {
  N number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = error == std::errc{} && end == text.data() + text.size() && number > 0;
  return good ? std::optional(number) : std::nullopt;
}

HttpResponse response_to(const Result<void>& taken) {
  if (taken) return HttpResponse::json(200, R"({"status":"accepted"})");
  switch (taken.error().kind()) {
    case ErrorKind::kNotFound:
      return problem(410, "gone",
                     "the turn has ended: it was answered, stopped, or waited too long");
    case ErrorKind::kConflict:
      return problem(409, "conflict", "another attempt of the turn runs now");
    default:
      break;
  }
  // What is wrong inside is for the log, not for callers.
  HttpResponse response = problem(503, "unavailable", "the answer is not kept yet: send it again");
  response.headers.set("Retry-After", kComeBack);
  return response;
}

}  // namespace

CallbackMount::CallbackMount(net::Router& router, Parts parts) : parts_(std::move(parts)) {
  net::RouteOptions options;
  options.gate = [this](const net::HttpRequest& request) { return gate(request); };
  router.add(
      "POST", std::string(kPrefix) + "{turn}/{attempt}",
      [this](net::HttpExchange& exchange) { return serve(this, &exchange); }, std::move(options));
}

void CallbackMount::open(std::uint64_t body_max) { body_max_ = std::max(body_max_, body_max); }

auth::Digest CallbackMount::secret_of(TurnId turn, std::uint32_t attempt) const {
  const std::string_view key(reinterpret_cast<const char*>(parts_.key.data()), parts_.key.size());
  return auth::hmac(key, fmt::format("sluice callback\n{}\n{}", turn.value, attempt));
}

WebhookCallback CallbackMount::offer(TurnId turn, std::uint32_t attempt,
                                     const std::string& base_url, UnixMillis until) const {
  std::string base = base_url.empty() ? parts_.base_url() : base_url;
  while (base.ends_with('/')) base.pop_back();
  return {fmt::format("{}{}{}/{}", base, kPrefix, turn.value, attempt),
          auth::to_hex(secret_of(turn, attempt)), until};
}

std::optional<CallbackMount::Attempt> CallbackMount::attempt_in(std::string_view path) {
  path.remove_prefix(kPrefix.size());
  const std::size_t slash = std::min(path.find('/'), path.size());
  const auto turn = parse_number<std::int64_t>(path.substr(0, slash));
  path.remove_prefix(std::min(slash + 1, path.size()));
  const auto attempt = parse_number<std::uint32_t>(path);
  if (!turn || !attempt) return std::nullopt;
  return Attempt{TurnId{*turn}, *attempt};
}

net::GateDecision CallbackMount::gate(const net::HttpRequest& request) const {
  using Decision = net::GateDecision;
  const std::optional<Attempt> attempt = attempt_in(request.path);
  if (body_max_ == 0 || !attempt) {
    return Decision::refuse(problem(404, "not-found", "no such path"));
  }
  const auto told = auth::bearer(request.headers.get("authorization").value_or(""));
  const auto secret = told ? auth::digest_from_hex(*told) : std::nullopt;
  if (!secret || !auth::equal(*secret, secret_of(attempt->turn, attempt->number))) {
    return Decision::refuse(forged());
  }
  if (request.content_type() != "application/json") {
    return Decision::refuse(problem(415, "unsupported-media-type", "post application/json"));
  }
  Decision decision;
  decision.body_limit = body_max_;
  decision.context = *attempt;
  return decision;
}

Task<void> CallbackMount::serve(const CallbackMount* self, net::HttpExchange* exchange) {
  const Attempt attempt = std::any_cast<Attempt>(exchange->context());
  Result<WebhookSaid> said = read_webhook_said(exchange->request().body);
  exchange->request().body = std::string();
  if (said && !said->error && normalise_text(said->reply.text).empty()) {
    said = Error(ErrorKind::kBadResponse, "the answer has no text", ErrorSource::kPeer);
  }
  if (!said) {
    // Nothing is lost by it: the turn waits on for an answer that can be read.
    exchange->respond(problem(400, "invalid-argument", said.error().context()));
    co_return;
  }
  Result<AgentReply> reply =
      said->error ? Result<AgentReply>(*said->error) : std::move(said->reply);
  const Result<void> taken =
      co_await self->parts_.answer(attempt.turn, attempt.number, std::move(reply));
  exchange->respond(response_to(taken));
}

}  // namespace sluice
