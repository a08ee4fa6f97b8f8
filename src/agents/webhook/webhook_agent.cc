#include "agents/webhook/webhook_agent.h"

#include <algorithm>

#include <fmt/core.h>

#include "agents/model/model_error.h"
#include "agents/webhook/webhook_json.h"
#include "agents/webhook/webhook_stream.h"
#include "auth/signature.h"
#include "base/utf8.h"

namespace sluice {
namespace {

// The request's own deadline comes first: its error tells what may be done again.
constexpr std::chrono::milliseconds kTimeoutSlack{5'000};
// How long the rest of a 202 may take; a connection whose message is complete can be used again.
constexpr std::chrono::milliseconds kEndPatience{20};

net::HttpClientOptions client_options(const WebhookOptions& options) {
  net::HttpClientOptions made;
  made.tls.extra_ca_file = options.ca_file;
  made.connect_timeout = options.connect_timeout;
  made.timeout = options.timeout;
  made.header_bytes = WebhookAgent::kHeaderBytes;
  return made;
}

}  // namespace

Result<std::unique_ptr<WebhookAgent>> WebhookAgent::make(std::string name, WebhookOptions options,
                                                         Shard& shard, CallbackMount& callbacks) {
  auto url = net::Url::parse(options.url);
  if (!url) return url.error().within("agent \"" + name + "\"");
  net::HttpHeaders headers = {{"Content-Type", "application/json"},
                              {"Accept", "text/event-stream, application/json"},
                              {"Accept-Encoding", "identity"}};
  for (const std::string& line : options.headers) {
    const auto header = parse_extra_header(line);
    if (!header) return header.error().within("agent \"" + name + "\"");
    headers.add(header->first, header->second);
  }
  if (options.callbacks) callbacks.open(options.response_bytes_max);
  return std::unique_ptr<WebhookAgent>(new WebhookAgent(
      std::move(name), std::move(options), std::move(*url), std::move(headers), shard, callbacks));
}

WebhookAgent::WebhookAgent(std::string name, WebhookOptions options, net::Url url,
                           net::HttpHeaders headers, Shard& shard, CallbackMount& callbacks)
    : info_{std::move(name), "webhook", on_interrupt_of(options), options.max_turns,
            options.timeout + kTimeoutSlack},
      options_(std::move(options)),
      url_(std::move(url)),
      headers_(std::move(headers)),
      shard_(shard),
      callbacks_(callbacks),
      client_(shard, client_options(options_)) {}

net::HttpClientRequest WebhookAgent::request_for(const TurnRequest& turn) const {
  net::HttpClientRequest post;
  post.method = "POST";
  post.url = url_;
  post.headers = headers_;
  if (!options_.token.empty()) {
    post.headers.set("Authorization", fmt::format("Bearer {}", options_.token.reveal()));
  }
  post.headers.set("Idempotency-Key", webhook_idempotency_key(turn));
  post.headers.set("X-Sluice-Turn", fmt::format("{}", turn.turn.value));
  post.headers.set("X-Sluice-Attempt", fmt::format("{}", turn.attempt));
  post.headers.set("X-Request-Id", turn.request_id);
  std::optional<WebhookCallback> callback;
  if (options_.callbacks) {
    const UnixMillis until{shard_.wall().ms + options_.callback_timeout.count()};
    callback = callbacks_.offer(turn.turn, turn.attempt, options_.callback_base_url, until);
  }
  post.body = webhook_body(turn, callback);
  if (!options_.signing_secret.empty()) {
    post.headers.set(auth::kSignatureHeader,
                     auth::signature(options_.signing_secret.reveal(), post.body, shard_.wall()));
  }
  post.timeout = std::min(options_.first_token_timeout, options_.timeout);
  return post;
}

Task<Result<AgentReply>> WebhookAgent::run(TurnRequest request, DeltaSink& sink) {
  Result<AgentReply> reply = co_await ask(&request, &sink);
  last_failure_.reset();
  if (reply) co_return reply;
  const Error& error = reply.error();
  last_failure_ = Error(error.kind(), "webhook: " + error.context(), error.source(), error.retry());
  co_return *last_failure_;
}

Task<Result<AgentReply>> WebhookAgent::ask(const TurnRequest* turn, DeltaSink* sink) {
  WebhookDecoder decoder;
  StreamReader reader(shard_,
                      {options_.first_token_timeout, options_.gap_timeout, options_.timeout},
                      decoder, *sink);
  auto opened = co_await client_.open_stream(request_for(*turn));
  if (!opened) co_return webhook_failure(opened.error(), options_.idempotent);
  net::HttpStream answer = std::move(*opened);
  if (!is_plain(answer.headers())) {
    co_return bad_answer("answered compressed, which was not asked for");
  }
  if (answer.status() == 200 && is_event_stream(answer.headers())) {
    co_return co_await follow(&reader, &decoder, &answer);
  }
  if (answer.status() == 202 && options_.callbacks) {
    (void)co_await answer.rest(kErrorBytesMax, shard_.now() + kEndPatience);
    AgentReply later;
    later.parked_for = options_.callback_timeout;
    co_return later;
  }
  co_return co_await take_whole(&answer, reader.began() + Duration(options_.timeout));
}

Task<Result<AgentReply>> WebhookAgent::follow(StreamReader* reader, WebhookDecoder* decoder,
                                              net::HttpStream* answer) {
  const Result<void> done = co_await reader->follow(answer);
  std::string& text = reader->stream().text;
  if (!done) {
    const Error& error = done.error();
    // What the person has seen the beginning of must not begin again, and what broke off in the
    // middle may have been done.
    const bool may_repeat = text.empty() && (decoder->told || options_.idempotent);
    co_return Error(error.kind(), error.context(), error.source(),
                    may_repeat ? error.retry() : Retry::never());
  }
  if (normalise_text(text).empty()) co_return bad_answer("the answer has no text");
  AgentReply reply = std::move(decoder->reply);
  reply.text = std::move(text);
  co_return reply;
}

Task<Result<AgentReply>> WebhookAgent::take_whole(net::HttpStream* answer, MonoTime until) {
  net::HttpClientResponse whole{answer->status(), answer->headers(), {}};
  // Of anything else the status says it all.
  if (whole.status == 200) {
    auto body = co_await answer->rest(options_.response_bytes_max, until);
    if (!body) co_return webhook_failure(body.error(), options_.idempotent);
    whole.body = std::move(*body);
  }
  co_return read_webhook_answer(whole, options_.idempotent, shard_.wall());
}

Result<void> WebhookAgent::health() const {
  if (last_failure_) return *last_failure_;
  return {};
}

}  // namespace sluice
