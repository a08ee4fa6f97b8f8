#include "agents/webhook/webhook_json.h"

#include <boost/json.hpp>
#include <fmt/core.h>
#include <openssl/sha.h>

#include "base/utf8.h"
#include "gateway/row_names.h"
#include "net/retry_after.h"

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::size_t kMetaBytesMax = 1024;

Error bad_answer(std::string what) {
  return Error(ErrorKind::kBadResponse, "webhook: " + std::move(what), ErrorSource::kPeer);
}

json::object message_json(const MessageRow& message) {
  json::object o;
  o["id"] = message.id.value;
  o["event"] = message.event;
  o["sender"] = message.sender;
  o["sender_name"] = message.sender_name;
  o["text"] = message.text;
  o["sent_at"] = message.sent_at.ms != 0 ? message.sent_at.ms : message.accepted_at.ms;
  if (message.late) o["late"] = true;
  return o;
}

json::object history_json(const HistoryRow& line) {
  json::object o;
  const bool person = line.kind == HistoryKind::kPerson;
  o["role"] = person ? "user" : "assistant";
  if (person && !line.author.empty()) o["sender"] = line.author;
  o["text"] = line.text;
  o["at"] = line.at.ms;
  if (line.cut) o["cut"] = true;
  return o;
}

/// True if it was there; false with `problem` set if it is of another type.
bool take_text(const json::object& o, std::string_view name, std::string& out,
               std::string& problem) {
  const json::value* v = o.if_contains(name);
  if (v == nullptr || v->is_null()) return false;
  if (!v->is_string() || v->get_string().size() > kMetaBytesMax) {
    problem = fmt::format("\"{}\" is not a text of at most {} bytes", name, kMetaBytesMax);
    return false;
  }
  out = std::string_view(v->get_string());
  return true;
}

Result<AgentReply> read_reply(const net::HttpClientResponse& answer) {
  const std::optional<std::string_view> type = answer.headers.get("content-type");
  std::string media(type.value_or("").substr(0, type.value_or("").find(';')));
  while (!media.empty() && media.back() == ' ') media.pop_back();
  if (!net::equal_ignoring_case(media, "application/json")) {
    return bad_answer("the answer's content type is not application/json");
  }
  boost::system::error_code ec;
  const json::value value = json::parse(answer.body, ec);
  if (ec) return bad_answer("the answer is not JSON: " + ec.message());
  const json::object* o = value.if_object();
  if (o == nullptr) return bad_answer("the answer is not a JSON object");
  const json::value* text = o->if_contains("text");
  if (text == nullptr || !text->is_string()) return bad_answer("the answer has no \"text\"");
  AgentReply reply;
  reply.text = std::string_view(text->get_string());
  if (normalise_text(reply.text).empty()) return bad_answer("the answer's text is empty");

  ResponseMeta meta;
  std::string problem;
  bool any = take_text(*o, "session", meta.session, problem);
  any = take_text(*o, "project", meta.project, problem) || any;
  any = take_text(*o, "project_tag", meta.project_tag, problem) || any;
  any = take_text(*o, "seed", meta.seed, problem) || any;
  any = take_text(*o, "phase", meta.phase, problem) || any;
  const json::value* passed = o->if_contains("evaluation_passed");
  if (passed != nullptr && !passed->is_null()) {
    if (!passed->is_bool()) problem = "\"evaluation_passed\" is neither true nor false";
    if (passed->is_bool()) meta.evaluation_passed = passed->get_bool();
    any = true;
  }
  if (!problem.empty()) return bad_answer(std::move(problem));
  if (any) reply.meta = std::move(meta);
  return reply;
}

Retry retry_of(const net::HttpHeaders& headers, UnixMillis now) {
  const auto told = headers.get("retry-after");
  const auto wait = told ? net::parse_retry_after(*told, now) : std::nullopt;
  return wait ? Retry::after(*wait) : Retry::with_backoff();
}

}  // namespace

std::string webhook_body(const TurnRequest& request) {
  json::object o;
  o["turn_id"] = request.turn.value;
  o["attempt"] = request.attempt;
  o["request_id"] = request.request_id;
  o["account"] = request.account;
  o["channel"] = request.channel_kind;
  o["chat"] = request.chat;
  o["chat_kind"] = to_string(request.chat_kind);
  o["thread"] = request.thread;
  o["sender"] = request.messages.empty() ? std::string() : request.messages.back()->sender;
  o["session"] = request.session;
  o["projects"] = json::array(request.projects.begin(), request.projects.end());
  o["text"] = request.text();
  json::array& messages = o["messages"].emplace_array();
  for (const auto& message : request.messages) messages.push_back(message_json(*message));
  json::array& history = o["history"].emplace_array();
  for (const HistoryRow& line : request.history) history.push_back(history_json(line));
  return json::serialize(o);
}

std::string webhook_idempotency_key(const TurnRequest& request) {
  std::string identity = request.account + '\n' + request.chat + '\n' + request.thread;
  for (const auto& message : request.messages) {
    identity +=
        fmt::format("\n{} {} {}", message->id.value, message->accepted_at.ms, message->event);
  }
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(identity.data()), identity.size(), hash);
  std::string key = fmt::format("{}-", request.turn.value);
  for (std::size_t i = 0; i < 8; ++i) key += fmt::format("{:02x}", hash[i]);
  return key;
}

Result<AgentReply> read_webhook_answer(const net::HttpClientResponse& answer, bool idempotent,
                                       UnixMillis now) {
  const int status = answer.status;
  if (status == 200) return read_reply(answer);
  const std::string what = fmt::format("webhook answered {}", status);
  const auto error = [&](ErrorKind kind, Retry retry = Retry::never()) {
    return Error(kind, what, ErrorSource::kPeer, retry);
  };
  switch (status) {
    case 401:
      return error(ErrorKind::kUnauthenticated);
    case 403:
      return error(ErrorKind::kPermissionDenied);
    case 413:
      return error(ErrorKind::kTooLarge);
    case 408:
    case 425:
      return error(ErrorKind::kUnavailable, Retry::with_backoff());
    case 429:
      return error(ErrorKind::kRateLimited, retry_of(answer.headers, now));
    case 502:
    case 504:
      // A proxy speaks: what became of the request behind it, it doesn't know.
      return error(ErrorKind::kUnavailable,
                   idempotent ? retry_of(answer.headers, now) : Retry::never());
    default:
      break;
  }
  if (status >= 500) return error(ErrorKind::kUnavailable, retry_of(answer.headers, now));
  if (status >= 300 && status < 400) {
    return bad_answer(fmt::format("answered {}; redirects are not followed", status));
  }
  return bad_answer(fmt::format("answered {} where 200 was expected", status));
}

Error webhook_failure(const net::FetchError& failure, bool idempotent) {
  const bool nothing_left = failure.sent == net::SentState::kNotSent;
  const bool may_repeat = nothing_left || idempotent;
  ErrorKind kind = failure.error.kind();
  Retry retry = may_repeat ? Retry::with_backoff() : Retry::never();
  // An answer that is too large or broken will be so again, and our own set-up does not heal
  // itself.
  if (kind == ErrorKind::kTooLarge || kind == ErrorKind::kBadResponse) {
    kind = ErrorKind::kBadResponse;
    retry = Retry::never();
  } else if (kind == ErrorKind::kInvalidArgument) {
    kind = ErrorKind::kUnavailable;
    retry = Retry::never();
  }
  return Error(kind, "webhook: " + failure.error.context(), ErrorSource::kPeer, retry);
}

}  // namespace sluice
