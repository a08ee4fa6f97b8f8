#include "channels/openai/channel.h"

#include <charconv>
#include <utility>

#include <fmt/core.h>

#include "channels/openai/face.h"
#include "channels/openai/refusal.h"
#include "channels/openai/requests.h"

namespace sluice::openai {
namespace {

constexpr std::uint64_t kSmallBody = 4 << 10;  // bytes, where a body has nothing to say

Refusal not_registered() {
  return refusal_of(Error(ErrorKind::kUnavailable, "this account is not in service",
                          ErrorSource::kSelf, Retry::after(std::chrono::seconds(5))));
}

/// A body is JSON, said so, not compressed, and not too long as far as its length is told.
std::optional<Refusal> wrong_body(const net::HttpRequest& request, std::uint64_t body_max) {
  Refusal refusal;
  const auto encoding = request.headers.get("content-encoding");
  if (request.content_type() != "application/json" ||
      (encoding && !net::equal_ignoring_case(*encoding, "identity"))) {
    refusal.status = 415;
    refusal.code = "unsupported_media_type";
    refusal.message = "The body must be application/json, without content encoding.";
    return refusal;
  }
  const std::string_view length = request.headers.get("content-length").value_or("0");
  std::uint64_t bytes = 0;
  const auto [end, ec] = std::from_chars(length.data(), length.data() + length.size(), bytes);
  if (ec != std::errc() || end != length.data() + length.size() || bytes <= body_max) {
    return std::nullopt;
  }
  refusal.status = 413;
  refusal.code = "body_too_large";
  refusal.message = fmt::format("The body has more than {} bytes.", body_max);
  return refusal;
}

}  // namespace

std::shared_ptr<OpenAiMount> OpenAiMount::add_to(net::Router& router,
                                                 std::unique_ptr<Callers> callers,
                                                 std::string_view prefix) {
  const std::shared_ptr<OpenAiMount> self(new OpenAiMount(std::move(callers)));
  const std::string base(prefix);
  add(self, router, "POST", base + "/chat/completions", &post_completion);
  add(self, router, "GET", base + "/models", &get_models);
  add(self, router, "GET", base + "/models/{model}", &get_model);
  return self;
}

void OpenAiMount::add(const std::shared_ptr<OpenAiMount>& self, net::Router& router,
                      std::string_view method, const std::string& path, Serve serve) {
  const bool posts = method == "POST";
  net::RouteOptions options;
  options.gate = [self, posts](const net::HttpRequest& request) {
    net::GateDecision decision = self->gate(request);
    if (decision.refusal) return decision;
    const std::uint64_t most = posts ? self->face_->options.body_max : kSmallBody;
    const std::optional<Refusal> wrong = posts ? wrong_body(request, most) : std::nullopt;
    if (wrong) return net::GateDecision::refuse(to_response(*wrong));
    decision.body_limit = most;
    return decision;
  };
  // Not a coroutine: it only makes one, whose parameters are its own.
  auto handler = [self, serve](net::HttpExchange& exchange) {
    return run(self->face_, serve, &exchange);
  };
  router.add(method, path, std::move(handler), std::move(options));
}

Task<void> OpenAiMount::run(std::shared_ptr<Face> face, Serve serve, net::HttpExchange* exchange) {
  if (face == nullptr) {  // it went while the body came
    exchange->respond(to_response(not_registered()));
    co_return;
  }
  const InRequest running(face);
  co_await serve(face, exchange);
}

net::GateDecision OpenAiMount::gate(const net::HttpRequest& request) const {
  using net::GateDecision;
  if (face_ == nullptr) return GateDecision::refuse(to_response(not_registered()));
  Result<Caller> caller = callers_->identify(request);
  if (!caller) return GateDecision::refuse(to_response(refusal_of(caller.error())));
  GateDecision decision;
  decision.context = std::move(*caller);
  return decision;
}

OpenAiChannel::OpenAiChannel(std::string name, OpenAiFaceOptions options,
                             std::shared_ptr<OpenAiMount> mount, Metrics& metrics,
                             media::Library& library)
    : info_{std::move(name), "openai",
            Capabilities{.pull = true, .own_face = true, .streaming = true}},
      options_(std::move(options)),
      mount_(std::move(mount)),
      metrics_(metrics),
      library_(library) {}

OpenAiChannel::~OpenAiChannel() {
  leave();
  // Requests that were cut off find this when they go on.
  if (face_ != nullptr) face_->host = nullptr;
}

void OpenAiChannel::set_account(const AccountOptions& account) {
  static_cast<AccountOptions&>(options_) = account;
  if (face_ == nullptr) return;
  static_cast<AccountOptions&>(face_->options) = account;
  face_->list_models();
}

Task<Result<void>> OpenAiChannel::start(ChannelHost& host) {
  if (mount_->face_ != nullptr) {
    co_return Error(ErrorKind::kConflict,
                    "\"" + mount_->face_->account + "\" is served at the same place");
  }
  face_ = std::make_shared<Face>(host, info_.name, options_, metrics_, library_);
  mount_->face_ = face_;
  co_return Result<void>();
}

void OpenAiChannel::leave() {
  if (face_ == nullptr) return;
  if (mount_->face_ == face_) mount_->face_ = nullptr;
  face_->stopping = true;
  face_->opened.pulse();
  face_->followers->end();
}

Task<void> OpenAiChannel::stop() {
  leave();
  while (face_ != nullptr && face_->requests > 0) co_await face_->changed.wait();
}

}  // namespace sluice::openai
