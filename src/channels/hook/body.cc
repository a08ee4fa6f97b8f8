#include "channels/hook/body.h"

#include <array>
#include <utility>

#include <fmt/core.h>

#include "net/json_body.h"

namespace sluice::hook {
namespace {

using Type = net::JsonField::Type;

constexpr std::int64_t kLargestExact = std::int64_t{1} << 53;  // what every JSON reader keeps exact

enum Field : std::size_t {
  kId,
  kChat,
  kText,
  kSender,
  kThread,
  kSenderName,
  kCallback,
  kSession,
  kRequestId,
  kRevision,
  kKind,
  kOrder,
  kSentAt,
  kGroup,
  kMentioned,
  kProjects,
  kAnswer,
};
constexpr auto kFields = std::to_array<net::JsonField>({
    {"id", Type::kName},
    {"chat", Type::kName},
    {"text", Type::kText},
    {"sender", Type::kName},
    {"thread", Type::kNameOrEmpty},
    {"sender_name", Type::kName},
    {"callback", Type::kName, kMaxCallbackBytes},
    {"session", Type::kName},
    {"request_id", Type::kName},
    {"revision", Type::kName},
    {"kind", Type::kName},
    {"order", Type::kNumber, kLargestExact},
    {"sent_at", Type::kNumber, kLargestExact},
    {"group", Type::kFlag},
    {"mentioned", Type::kFlag},
    {"projects", Type::kNames, kMaxProjects},
    {"answer", Type::kName},
});
constexpr net::JsonShape kShape{"a message", kFields};

Error invalid(std::string what) {
  return Error(ErrorKind::kInvalidArgument, std::move(what), ErrorSource::kPeer);
}

Result<EventKind> kind_of(net::JsonObject& object) {
  if (!object.has(kKind)) return EventKind::kMessage;
  const std::string kind = object.text(kKind);
  if (kind == "message") return EventKind::kMessage;
  if (kind == "edit") return EventKind::kEdit;
  if (kind == "delete") return EventKind::kDelete;
  return invalid("\"kind\" must be message, edit or delete");
}

Result<AnswerBy> answer_by(net::JsonObject& object, EventKind kind) {
  if (!object.has(kAnswer)) return AnswerBy::kCallback;
  const std::string by = object.text(kAnswer);
  if (by == "callback") return AnswerBy::kCallback;
  if (by != "wait" && by != "stream") return invalid("\"answer\" must be callback, wait or stream");
  if (kind != EventKind::kMessage) return invalid("only a message can wait for its \"answer\"");
  if (object.has(kCallback)) return invalid("\"callback\" goes with \"answer\": \"callback\"");
  return by == "wait" ? AnswerBy::kWait : AnswerBy::kStream;
}

/// The body's own id, or the header that stands for it.
Result<std::string> id_of(net::JsonObject& object, std::string_view header) {
  std::string id = object.text(kId);
  if (header.empty()) {
    if (!id.empty()) return id;
    return invalid(
        "\"id\" is missing: choose one for each message, and repeat it when sending it again");
  }
  if (!net::is_clean_name(header))
    return invalid("the Idempotency-Key header is not usable as an id");
  if (!id.empty() && id != header) return invalid("the Idempotency-Key header and \"id\" differ");
  return std::string(header);
}

/// What belongs together is all there.
Result<void> check_whole(const net::JsonObject& object, EventKind kind) {
  for (const Field field : {kChat, kSender}) {
    if (!object.has(field)) return invalid(fmt::format("\"{}\" is missing", kFields[field].name));
  }
  const bool deletes = kind == EventKind::kDelete;
  if (!deletes && !object.has(kText)) return invalid("\"text\" is missing");
  if (deletes && object.has(kText)) return invalid("a delete has no \"text\"");
  if (kind == EventKind::kEdit && !object.has(kRevision))
    return invalid("an edit needs a \"revision\" that tells it from other edits");
  if (kind != EventKind::kEdit && object.has(kRevision))
    return invalid("\"revision\" goes with an edit");
  if (object.has(kMentioned) && !object.flag(kGroup))
    return invalid("\"mentioned\" goes with \"group\"");
  return {};
}

Result<HookBody> body_of(net::JsonObject& object, std::string_view header_id) {
  Result<std::string> id = id_of(object, header_id);
  if (!id) return id.error();
  const Result<EventKind> kind = kind_of(object);
  if (!kind) return kind.error();
  const Result<void> whole = check_whole(object, *kind);
  if (!whole) return whole.error();

  const Result<AnswerBy> by = answer_by(object, *kind);
  if (!by) return by.error();
  HookBody out;
  out.answer_by = *by;
  InboundMessage& message = out.message;
  const bool group = object.flag(kGroup);
  message.kind = *kind;
  message.event = std::move(*id);
  message.revision = object.text(kRevision);
  message.chat = object.text(kChat);
  message.thread = object.text(kThread);
  message.chat_kind = group ? ChatKind::kGroup : ChatKind::kDirect;
  message.mentions_us = object.has(kMentioned) ? object.flag(kMentioned) : !group;
  message.sender = object.text(kSender);
  message.sender_name = object.text(kSenderName);
  message.text = object.text(kText);
  message.session = object.text(kSession);
  message.request_id = object.text(kRequestId);
  message.projects = object.names(kProjects);
  if (object.has(kOrder)) message.order = object.number(kOrder);
  message.sent_at = UnixMillis{object.number(kSentAt)};
  out.callback = object.text(kCallback);
  if (message.text.empty() && *kind != EventKind::kDelete) return invalid("\"text\" is empty");
  return out;
}

}  // namespace

Result<HookBody> parse_body(std::string_view json, std::string_view header_id) {
  HookBody out;
  const Result<bool> read =
      net::read_json_body(json, kShape, [&](net::JsonObject& object) -> Result<void> {
        Result<HookBody> body = body_of(object, header_id);
        if (!body) return body.error();
        out = std::move(*body);
        return {};
      });
  if (!read) return read.error();
  return out;
}

// Neither an id nor a URL holds a line break: parse_body() refuses control characters.
std::string to_string(const ReplyTo& to) { return to.event + '\n' + to.callback; }

ReplyTo parse_reply_to(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return {std::string(text), {}};
  return {std::string(text.substr(end + 1)), std::string(text.substr(0, end))};
}

}  // namespace sluice::hook
