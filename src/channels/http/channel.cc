#include "channels/http/channel.h"

#include <utility>

#include "channels/http/face.h"
#include "channels/http/media.h"
#include "channels/http/render.h"
#include "channels/http/requests.h"

namespace sluice::http {
namespace {

constexpr std::uint64_t kSmallBody = 4 << 10;  // bytes, where a body has nothing to say

Error not_registered() {
  return Error(ErrorKind::kUnavailable, "this account is not in service", ErrorSource::kSelf,
               Retry::after(std::chrono::seconds(5)));
}

bool is_compressed(const net::HttpRequest& request) {
  const auto encoding = request.headers.get("content-encoding");
  return encoding && !net::equal_ignoring_case(*encoding, "identity");
}

/// A body is JSON, said so, and not compressed.
bool wrong_content(const net::HttpRequest& request) {
  const auto length = request.headers.get("content-length");
  const bool body = request.headers.contains("transfer-encoding") || (length && *length != "0");
  return body && (request.content_type() != "application/json" || is_compressed(request));
}

net::HttpResponse unsupported_media(std::string_view title, std::string_view detail) {
  return net::HttpResponse::problem(415, "unsupported-media-type", title, detail);
}

}  // namespace

HttpMount::HttpMount(net::Router& router, Authenticator& authenticator, std::string_view prefix)
    : authenticator_(authenticator), place_(std::make_shared<std::shared_ptr<Face>>()) {
  const std::string base(prefix);
  const std::string chat = base + "/conversations/{chat}";
  add(router, "GET", base + "/conversations", &get_conversations);
  add(router, "POST", chat + "/messages", &post_messages);
  add(router, "DELETE", chat + "/messages/{id}", &delete_message);
  add(router, "POST", chat + "/stop", &post_stop);
  add(router, "GET", chat + "/events", &get_events);
  add(router, "GET", chat + "/socket", &get_socket);
  add(router, "GET", chat + "/history", &get_history);
  add(router, "GET", base + "/messages/{id}", &get_message);
  add(router, "POST", base + "/media", &post_media);
  add(router, "GET", base + "/media/{id}", &get_media);
}

void HttpMount::add(net::Router& router, std::string_view method, const std::string& path,
                    Serve serve) {
  net::RouteOptions options;
  options.gate = [this, serve](const net::HttpRequest& request) { return gate(request, serve); };
  // Not a coroutine: it only makes one, whose parameters are its own.
  auto handler = [this, serve](net::HttpExchange& exchange) {
    return run(*place_, serve, &authenticator_, &exchange);
  };
  router.add(method, path, std::move(handler), std::move(options));
}

Task<void> HttpMount::run(std::shared_ptr<Face> face, Serve serve, Authenticator* authenticator,
                          net::HttpExchange* exchange) {
  if (face == nullptr) {  // it went while the body came
    exchange->respond(problem_of(not_registered()));
    co_return;
  }
  const InRequest running(face);
  co_await serve(face, authenticator, exchange);
}

net::GateDecision HttpMount::gate(const net::HttpRequest& request, Serve serve) const {
  using net::GateDecision;
  if (*place_ == nullptr) return GateDecision::refuse(problem_of(not_registered()));
  const Face& face = **place_;
  Result<Caller> caller = authenticator_.identify(request);
  if (!caller) return GateDecision::refuse(problem_of(caller.error()));
  GateDecision decision;
  decision.body_limit = serve == &post_messages ? face.options.body_max : kSmallBody;
  if (serve == &post_media && face.media != nullptr) {
    if (is_compressed(request) || !media::type_of_mime(request.content_type())) {
      return GateDecision::refuse(
          unsupported_media("Send an image",
                            "the body must be image/png, image/jpeg, image/gif or image/webp, "
                            "without content encoding"));
    }
    decision.body_limit = face.media->options().file_bytes;
    decision.stream_body = true;
  } else if (wrong_content(request)) {
    return GateDecision::refuse(unsupported_media(
        "Send JSON", "the body must be application/json, without content encoding"));
  }
  decision.context = std::move(*caller);
  return decision;
}

HttpChannel::HttpChannel(std::string name, std::string kind, HttpChannelOptions options,
                         HttpMount& mount, Metrics& metrics, media::Library* library)
    : info_{std::move(name), std::move(kind),
            Capabilities{.pull = true, .own_face = true, .streaming = true}},
      options_(std::move(options)),
      place_(mount.place_),
      metrics_(metrics),
      library_(library) {}

HttpChannel::~HttpChannel() {
  leave();
  // Requests that were cut off find this when they go on.
  if (face_ != nullptr) face_->host = nullptr;
}

void HttpChannel::set_account(const AccountOptions& account) {
  static_cast<AccountOptions&>(options_) = account;
  if (face_ != nullptr) static_cast<AccountOptions&>(face_->options) = account;
}

Task<Result<void>> HttpChannel::start(ChannelHost& host) {
  if (*place_ != nullptr) {
    co_return Error(ErrorKind::kConflict,
                    "\"" + (*place_)->account + "\" is served at the same place");
  }
  face_ = std::make_shared<Face>(host, info_.name, options_, metrics_, library_);
  *place_ = face_;
  co_return Result<void>();
}

void HttpChannel::leave() {
  if (face_ == nullptr) return;
  if (*place_ == face_) *place_ = nullptr;
  face_->stopping = true;
  face_->stopped.set();
  face_->arrivals.pulse();
  face_->streams.for_each([](StreamBase& stream) { stream.wake(); });
}

Task<void> HttpChannel::stop() {
  leave();
  while (face_ != nullptr && face_->requests > face_->leaving) co_await face_->changed.wait();
}

}  // namespace sluice::http
