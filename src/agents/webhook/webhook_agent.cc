#include "agents/webhook/webhook_agent.h"

#include <fmt/core.h>

#include "agents/webhook/webhook_json.h"

namespace sluice {
namespace {

// The request's own deadline comes first: its error tells what may be done again.
constexpr std::chrono::milliseconds kTimeoutSlack{5'000};

}  // namespace

Result<std::unique_ptr<WebhookAgent>> WebhookAgent::make(std::string name, WebhookOptions options,
                                                         net::HttpClient& client, Loop& loop) {
  auto url = net::Url::parse(options.url);
  if (!url) return url.error().within("agent \"" + name + "\"");
  net::HttpHeaders headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}};
  for (const std::string& line : options.headers) {
    const auto header = parse_extra_header(line);
    if (!header) return header.error().within("agent \"" + name + "\"");
    headers.add(header->first, header->second);
  }
  return std::unique_ptr<WebhookAgent>(new WebhookAgent(
      std::move(name), std::move(options), std::move(*url), std::move(headers), client, loop));
}

WebhookAgent::WebhookAgent(std::string name, WebhookOptions options, net::Url url,
                           net::HttpHeaders headers, net::HttpClient& client, Loop& loop)
    : info_{std::move(name), "webhook", on_interrupt_of(options), options.max_turns,
            options.timeout + kTimeoutSlack},
      options_(std::move(options)),
      url_(std::move(url)),
      headers_(std::move(headers)),
      client_(client),
      loop_(loop) {}

Task<Result<AgentReply>> WebhookAgent::run(TurnRequest request, DeltaSink&) {
  net::HttpClientRequest post;
  post.method = "POST";
  post.url = url_;
  post.headers = headers_;
  if (!options_.token.empty()) {
    post.headers.set("Authorization", fmt::format("Bearer {}", options_.token.reveal()));
  }
  post.headers.set("Idempotency-Key", webhook_idempotency_key(request));
  post.headers.set("X-Sluice-Turn", fmt::format("{}", request.turn.value));
  post.headers.set("X-Sluice-Attempt", fmt::format("{}", request.attempt));
  post.headers.set("X-Request-Id", request.request_id);
  post.body = webhook_body(request);
  post.timeout = options_.timeout;
  post.max_response_bytes = options_.response_bytes_max;

  const auto answer = co_await client_.fetch(std::move(post));
  if (!answer) {
    last_failure_ = webhook_failure(answer.error(), options_.idempotent);
    co_return *last_failure_;
  }
  Result<AgentReply> reply = read_webhook_answer(*answer, options_.idempotent, loop_.wall());
  last_failure_.reset();
  if (!reply) last_failure_ = reply.error();
  co_return reply;
}

Result<void> WebhookAgent::health() const {
  if (last_failure_) return *last_failure_;
  return {};
}

}  // namespace sluice
