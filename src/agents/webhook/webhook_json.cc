#include "agents/webhook/webhook_json.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/core.h>
#include <openssl/sha.h>

#include "agents/model/model_error.h"
#include "agents/model/model_stream.h"
#include "base/utf8.h"
#include "gateway/message_json.h"
#include "gateway/row_names.h"
#include "media/kinds.h"
#include "net/retry_after.h"

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::size_t kMetaBytesMax = 1024;

/// What is attached, by a message's extra or a line's meta, which name it alike.
void add_attachments(json::object& o, std::string_view extra) {
  const std::vector<std::string> ids = parse_extra(extra).attachments;
  if (ids.empty()) return;
  json::array& list = o["attachments"].emplace_array();
  for (const std::string& id : ids) {
    json::object one{{"id", id}};
    if (const auto known = media::Id::parse(id)) one["type"] = media::mime_of(known->type);
    list.push_back(std::move(one));
  }
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
  add_attachments(o, message.extra);
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
  if (person) add_attachments(o, line.meta);
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

std::string media_type(const net::HttpHeaders& headers) {
  const std::string_view all = headers.get("content-type").value_or("");
  std::string media(all.substr(0, all.find(';')));
  while (!media.empty() && media.back() == ' ') media.pop_back();
  return media;
}

Result<std::optional<ResponseMeta>> read_meta(const json::object& o) {
  ResponseMeta meta;
  std::string problem;
  bool any = take_text(o, "session", meta.session, problem);
  any = take_text(o, "project", meta.project, problem) || any;
  any = take_text(o, "project_tag", meta.project_tag, problem) || any;
  any = take_text(o, "seed", meta.seed, problem) || any;
  any = take_text(o, "phase", meta.phase, problem) || any;
  const json::value* passed = o.if_contains("evaluation_passed");
  if (passed != nullptr && !passed->is_null()) {
    if (!passed->is_bool()) problem = "\"evaluation_passed\" is neither true nor false";
    if (passed->is_bool()) meta.evaluation_passed = passed->get_bool();
    any = true;
  }
  if (!problem.empty()) return bad_answer(std::move(problem));
  return any ? std::optional(std::move(meta)) : std::nullopt;
}

Retry retry_of(const net::HttpHeaders& headers, UnixMillis now) {
  const auto told = headers.get("retry-after");
  const auto wait = told ? net::parse_retry_after(*told, now) : std::nullopt;
  return wait ? Retry::after(*wait) : Retry::with_backoff();
}

/// What a status that is no success means; retry where the agent may be asked again.
Error refusal(int status, std::string what, Retry retry) {
  const auto error = [&](ErrorKind kind, Retry r = Retry::never()) {
    return Error(kind, std::move(what), ErrorSource::kPeer, r);
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
      return error(ErrorKind::kRateLimited, retry);
    default:
      break;
  }
  if (status >= 500) return error(ErrorKind::kUnavailable, retry);
  if (status >= 300 && status < 400) what += "; redirects are not followed";
  if (status < 300) what += " where 200 was expected";
  return error(ErrorKind::kBadResponse);
}

/// {"status": 503, "retry_after": 5, "code": "busy"}, all of which may be left out.
Error told_error_of(const json::value& value) {
  const json::object* o = value.if_object();
  const auto member = [o](const char* name) {
    return o == nullptr ? nullptr : o->if_contains(name);
  };
  int status = 500;
  const json::value* told = member("status");
  if (told != nullptr && told->is_int64() && told->get_int64() >= 400 && told->get_int64() <= 599) {
    status = static_cast<int>(told->get_int64());
  }
  Retry retry = Retry::with_backoff();
  const json::value* after = member("retry_after");
  if (after != nullptr && after->is_int64() && after->get_int64() >= 0) {
    const std::int64_t most = std::chrono::seconds(net::kRetryAfterMost).count();
    retry = Retry::after(std::chrono::seconds(std::min(after->get_int64(), most)));
  }
  std::string what = fmt::format("told an error, {}", status);
  const json::value* code = member("code");
  if (code != nullptr && code->is_string()) {
    const std::string_view name = log_name(code->get_string());
    if (!name.empty()) what.append(" (").append(name).append(")");
  }
  return refusal(status, std::move(what), retry);
}

}  // namespace

std::string webhook_body(const TurnRequest& request,
                         const std::optional<WebhookCallback>& callback) {
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
  if (callback) {
    o["callback"] = json::object{
        {"url", callback->url}, {"secret", callback->secret}, {"until", callback->until.ms}};
  }
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

Result<WebhookSaid> read_webhook_said(std::string_view body) {
  boost::system::error_code ec;
  const json::value value = json::parse(body, ec);
  if (ec) return bad_answer("the answer is not JSON: " + ec.message());
  const json::object* o = value.if_object();
  if (o == nullptr) return bad_answer("the answer is not a JSON object");
  WebhookSaid said;
  const json::value* error = o->if_contains("error");
  if (error != nullptr && !error->is_null()) {
    said.error = told_error_of(*error);
    return said;
  }
  const json::value* text = o->if_contains("text");
  if (text != nullptr && !text->is_string()) return bad_answer("\"text\" is not a text");
  if (text != nullptr) said.reply.text = std::string_view(text->get_string());
  auto meta = read_meta(*o);
  if (!meta) return meta.error();
  said.reply.meta = std::move(*meta);
  if (const json::object* used = object_in(*o, "usage")) {
    said.reply.usage.input_tokens = count_in(*used, "input_tokens").value_or(0);
    said.reply.usage.output_tokens = count_in(*used, "output_tokens").value_or(0);
  }
  return said;
}

Result<AgentReply> read_webhook_reply(std::string_view body) {
  auto said = read_webhook_said(body);
  if (!said) return said.error();
  if (said->error) return *said->error;
  if (normalise_text(said->reply.text).empty()) return bad_answer("the answer has no text");
  return std::move(said->reply);
}

Result<AgentReply> read_webhook_answer(const net::HttpClientResponse& answer, bool idempotent,
                                       UnixMillis now) {
  if (answer.status == 200) {
    if (net::equal_ignoring_case(media_type(answer.headers), "application/json")) {
      return read_webhook_reply(answer.body);
    }
    return bad_answer("the answer's content type is not application/json");
  }
  // With 502 and 504 a proxy speaks: what became of the request behind it, it doesn't know.
  const bool by_proxy = answer.status == 502 || answer.status == 504;
  const Retry retry = by_proxy && !idempotent ? Retry::never() : retry_of(answer.headers, now);
  return refusal(answer.status, fmt::format("answered {}", answer.status), retry);
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
  return Error(kind, failure.error.context(), ErrorSource::kPeer, retry);
}

}  // namespace sluice
