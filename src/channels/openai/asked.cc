#include "channels/openai/asked.h"

#include <charconv>
#include <utility>

#include <fmt/core.h>

#include "base/hash.h"
#include "gateway/gateway.h"
#include "net/http_server.h"
#include "net/json_body.h"

namespace sluice::openai {
namespace {

std::optional<Shown> parse_shown(std::string_view text) {
  Shown shown;
  const auto number = [&text](auto& into) {
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
    if (failed != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with(' ')) text.remove_prefix(1);
    return true;
  };
  const bool good = number(shown.turn.value) && number(shown.bytes) && number(shown.hash) &&
                    number(shown.created.ms) && text.empty();
  return good ? std::optional(shown) : std::nullopt;
}

Refusal failure_of(const Answer& answer, const Asked& asked) {
  Refusal refusal;
  refusal.status = answer.error == "internal" ? 500 : 502;
  refusal.message = answer.notice.empty() ? "The message got no answer." : answer.notice;
  // The same request gets the same end.
  refusal.should_retry = false;
  if (answer.state == Answer::State::kAsking) {
    refusal.code = "interrupted";
  } else if (!answer.error.empty()) {
    refusal.code = answer.error;
  } else {
    refusal.code = to_string(answer.outcome);
  }
  if (asked.heading.message) {
    refusal.message += fmt::format(" (message {})", asked.heading.message.value);
  }
  return refusal;
}

}  // namespace

std::uint64_t hash_of(std::string_view text) { return KeyedHash(HashKey{}).add(text).finish().low; }

std::string to_text(const Shown& shown) {
  return fmt::format("{} {} {} {}", shown.turn.value, shown.bytes, shown.hash, shown.created.ms);
}

Checked<Asked> asked_of(const net::HttpRequest& request, const ChatRequest& body, Loop& loop) {
  Asked asked;
  asked.heading.model = body.model;
  asked.heading.include_usage = body.include_usage;
  if (const auto at = request.headers.get(net::kGoOnHeader)) {
    asked.shown = parse_shown(*at);
    if (!asked.shown || !body.stream)
      return invalid({}, fmt::format("The {} header is for a stream's rest.", net::kGoOnHeader));
  }
  const std::optional<std::string_view> header = request.headers.get("idempotency-key");
  if (!header || header->empty()) {
    // Not the same after a restart, whose random numbers begin anew.
    asked.key = fmt::format("auto-{:x}-{:016x}", loop.wall().ms, loop.random().next());
    asked.key_is_ours = true;
    return asked;
  }
  std::string_view key = *header;
  if (key.size() >= 2 && key.front() == '"' && key.back() == '"')
    key = key.substr(1, key.size() - 2);
  if (!net::is_clean_name(key) || key.size() > kKeyBytesMax) {
    return invalid({}, fmt::format("The Idempotency-Key header must have 1 to {} bytes and no "
                                   "control characters.",
                                   kKeyBytesMax));
  }
  asked.key = std::string(key);
  return asked;
}

net::HttpResponse with_names(net::HttpResponse response, const Asked& asked) {
  response.headers.set(kKeyHeader, asked.key);
  if (asked.heading.message) {
    response.headers.set("X-Request-Id", fmt::format("{}", asked.heading.message.value));
  }
  return response;
}

Refusal told(Refusal refusal, const Asked& asked) {
  if (asked.key_is_ours) refusal.should_retry = false;
  return refusal;
}

Refusal not_answered_yet(const Asked& asked, std::string_view why, std::string code) {
  Refusal refusal;
  refusal.status = 503;
  refusal.code = std::move(code);
  refusal.message = fmt::format(
      "Message {} is accepted and will be answered, but {}. Send the same request with "
      "the header \"Idempotency-Key: {}\" to get its answer.",
      asked.heading.message.value, why, asked.key);
  refusal.retry_after = std::chrono::seconds(1);
  return told(std::move(refusal), asked);
}

Refusal failure_of(const TurnFollower::Step& step, const Asked& asked) {
  switch (step.what) {
    case TurnFollower::Step::What::kAnswer:
      return failure_of(step.answer, asked);
    case TurnFollower::Step::What::kQuiet:
      return not_answered_yet(asked, "not within this account's answer_timeout", "answer_pending");
    case TurnFollower::Step::What::kFailed:
      return told(refusal_of(step.error), asked);
    default:
      return not_answered_yet(asked, "this daemon is being stopped", "stopping");
  }
}

Finish finish_of(const Answer& answer) { return answer.cut ? Finish::kLength : Finish::kStop; }

}  // namespace sluice::openai
