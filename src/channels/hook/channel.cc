#include "channels/hook/channel.h"

#include <boost/json.hpp>

#include "channels/hook/outcome.h"
#include "gateway/row_names.h"
#include "runtime/wait.h"

namespace sluice::hook {
namespace {

using What = SendOutcome::What;

Error refused_callback(std::string what) {
  return Error(ErrorKind::kInvalidArgument, "\"callback\": " + std::move(what), ErrorSource::kPeer);
}

/// A key may be written as the quoted string of a structured header: "\"abc\"".
std::string_view without_quotes(std::string_view key) {
  const bool quoted = key.size() >= 2 && key.front() == '"' && key.back() == '"';
  return quoted ? key.substr(1, key.size() - 2) : key;
}

}  // namespace

std::string HookFormatter::possible_duplicate(std::string_view text) const {
  return std::string(text);
}

Result<std::unique_ptr<HookChannel>> HookChannel::make(std::string name, HookOptions options,
                                                       HookMount& mount, net::HttpClient& client,
                                                       Shard& shard) {
  auto policy = net::EgressPolicy::allowing(options.callback_allow);
  if (!policy) return policy.error().within("channel \"" + name + "\"");
  if (!options.callback.empty()) {
    const auto url = net::Url::parse(options.callback);
    if (!url) return url.error().within("channel \"" + name + "\"");
  }
  return std::unique_ptr<HookChannel>(new HookChannel(std::move(name), std::move(options),
                                                      std::move(*policy), mount, client, shard));
}

HookChannel::HookChannel(std::string name, HookOptions options, net::EgressPolicy policy,
                         HookMount& mount, net::HttpClient& client, Shard& shard)
    : info_{std::move(name), "hook",
            Capabilities{.own_face = true,
                         .idempotency_window = options.idempotency_window,
                         .part_bytes_max = options.part_bytes_max}},
      options_(std::move(options)),
      door_(shard, options_),
      policy_(std::move(policy)),
      mount_(mount),
      client_(client),
      shard_(shard) {}

HookChannel::~HookChannel() {
  if (mounted_) mount_.remove(info_.name);
  leave();
  // Requests that were cut off find this when they go on.
  if (face_ != nullptr) face_->host = nullptr;
}

void HookChannel::set_account(const AccountOptions& account) {
  static_cast<AccountOptions&>(options_) = account;
}

Task<Result<void>> HookChannel::start(ChannelHost& host) {
  if (door_.is_open()) {
    const Result<void> added = mount_.add(info_.name, *this);
    if (!added) co_return added;
    mounted_ = true;
  }
  face_ = std::make_shared<Face>(host, info_.name, options_);
  co_return Result<void>();
}

void HookChannel::leave() {
  if (face_ == nullptr) return;
  face_->stopping = true;
  face_->followers->end();
}

Task<void> HookChannel::stop() {
  leave();
  while (face_ != nullptr && face_->waiting > 0) co_await face_->changed.wait();
}

// ---- in

Result<void> HookChannel::check_callback(const std::string& callback) const {
  if (callback == options_.callback) return {};
  const auto url = net::Url::parse(callback);
  if (!url) return refused_callback(url.error().context());
  // A name is looked up when a part is sent, and checked then: it may mean something else by now.
  const std::string host = url->host == "localhost" ? "127.0.0.1" : url->host;
  const auto address = net::IpAddress::parse(host);
  if (address && !policy_.allows(*url, *address)) {
    return refused_callback(url->authority() +
                            " is not a public address, and callback_allow does "
                            "not list it");
  }
  return {};
}

Result<HookBody> HookChannel::read(const net::HttpRequest& request) const {
  const std::string_view key = request.headers.get("idempotency-key").value_or("");
  Result<HookBody> body = parse_body(request.body, without_quotes(key));
  if (!body) return body.error();
  const bool by_callback = body->answer_by == AnswerBy::kCallback;
  if (by_callback && body->callback.empty() && options_.callback.empty()) {
    return refused_callback("name one, because the account has none of its own");
  }
  if (!body->callback.empty()) {
    const Result<void> ok = check_callback(body->callback);
    if (!ok) return ok.error();
  }
  const std::string where = by_callback ? body->callback : std::string(kInResponse);
  body->message.reply_to = to_string(ReplyTo{where, body->message.event});
  return body;
}

// ---- out

std::string part_json(const std::string& account, const SendRequest& request, const ReplyTo& to) {
  boost::json::object o;
  o["account"] = account;
  o["chat"] = request.chat;
  o["thread"] = request.thread;
  o["turn"] = request.turn.value;
  o["part"] = request.part.value;
  o["n"] = request.n;
  o["kind"] = sluice::to_string(request.kind);
  o["text"] = request.text;
  o["plain"] = request.plain;
  o["possible_duplicate"] = request.possible_duplicate;
  o["idempotency_key"] = request.idempotency_key;
  o["request_id"] = request.request_id;
  o["in_reply_to"] = to.event;
  if (!request.meta.empty()) {
    boost::system::error_code ec;
    boost::json::value meta = boost::json::parse(request.meta, ec);
    if (!ec) o["meta"] = std::move(meta);
  }
  return boost::json::serialize(o);
}

net::HttpClientRequest HookChannel::post(const SendRequest& request, const ReplyTo& to,
                                         net::Url url) const {
  net::HttpClientRequest post;
  post.method = "POST";
  post.url = std::move(url);
  post.body = part_json(info_.name, request, to);
  post.headers = {{"Content-Type", "application/json"},
                  {"Idempotency-Key", request.idempotency_key},
                  {"X-Request-Id", request.request_id}};
  if (request.possible_duplicate) post.headers.set("X-Sluice-Possible-Duplicate", "true");
  if (!options_.signing_secret.empty()) {
    post.headers.set(auth::kSignatureHeader,
                     auth::signature(options_.signing_secret.reveal(), post.body, shard_.wall()));
  }
  post.max_response_bytes = kAnswerBytesMax;
  return post;
}

Task<SendOutcome> HookChannel::send(SendRequest request) {
  const MonoTime deadline = shard_.now() + options_.timeout;
  ReplyTo to = parse_reply_to(request.reply_to);
  // The turn's commit was the delivery: whoever asked reads it from the log (C18).
  if (to.callback == kInResponse) co_return SendOutcome::sent();
  const bool own = to.callback.empty() || to.callback == options_.callback;
  if (own) to.callback = options_.callback;
  if (to.callback.empty()) {
    co_return SendOutcome::of(What::kRefused,
                              "no callback: neither the message nor the account "
                              "names one");
  }
  auto url = net::Url::parse(to.callback);
  if (!url) co_return SendOutcome::of(What::kRefused, url.error().context());
  net::HttpClientRequest posting = post(request, to, *url);
  if (!own) {
    auto chosen = co_await policy_.choose(shard_, *url, deadline);
    if (!chosen) {
      const bool denied = chosen.error().kind() == ErrorKind::kPermissionDenied;
      co_return SendOutcome::of(denied ? What::kRefused : What::kNotSent,
                                chosen.error().to_string());
    }
    posting.connect_to = *chosen;
  }
  posting.timeout = std::max(deadline - shard_.now(), Duration(std::chrono::milliseconds(1)));
  const auto answer = co_await client_.fetch(std::move(posting));
  if (!answer) co_return outcome_of(answer.error(), own, shard_.wall());
  co_return outcome_of(*answer, own, shard_.wall());
}

}  // namespace sluice::hook
