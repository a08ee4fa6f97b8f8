#include "channels/http/body.h"

#include <array>
#include <set>
#include <utility>

#include <fmt/core.h>

#include "net/json_body.h"

namespace sluice::http {
namespace {

using Type = net::JsonField::Type;

enum Field : std::size_t {
  kId,
  kText,
  kSender,
  kSenderName,
  kOrder,
  kSession,
  kProjects,
  kRequestId,
  kReplaces,
  kRevision,
  kAttachments,
  kTimeZone,
};
constexpr auto kFields = std::to_array<net::JsonField>({
    {"id", Type::kName},
    {"text", Type::kText},
    {"sender", Type::kName},
    {"sender_name", Type::kName},
    {"order", Type::kNumber},
    {"session", Type::kName},
    {"projects", Type::kNames, kMaxProjects},
    {"request_id", Type::kName},
    {"replaces", Type::kName},
    {"revision", Type::kName},
    {"attachments", Type::kNames, kMaxAttachments},
    {"time_zone", Type::kName},
});
constexpr net::JsonShape kShape{"a message", kFields, kMaxEvents};

Error invalid(std::string what) {
  return Error(ErrorKind::kInvalidArgument, std::move(what), ErrorSource::kPeer);
}

Result<InboundMessage> event_of(net::JsonObject& object) {
  const bool edit = object.has(kReplaces);
  if (edit && object.has(kId))
    return invalid("an edit is named by \"replaces\" and \"revision\", without \"id\"");
  if (edit && object.has(kAttachments))
    return invalid("an edit replaces the text, and has no \"attachments\"");
  InboundMessage event;
  if (edit) event.kind = EventKind::kEdit;
  event.event = object.text(edit ? kReplaces : kId);
  event.revision = object.text(kRevision);
  event.text = object.text(kText);
  event.sender = object.text(kSender);
  event.sender_name = object.text(kSenderName);
  if (object.has(kOrder)) event.order = object.number(kOrder);
  event.session = object.text(kSession);
  event.projects = object.names(kProjects);
  event.attachments = object.names(kAttachments);
  event.request_id = object.text(kRequestId);
  event.time_zone = object.text(kTimeZone);
  return event;
}

Result<void> complete_one(InboundMessage& event, const Caller& caller,
                          std::optional<std::string_view> key) {
  const bool edit = event.kind == EventKind::kEdit;
  std::string& identity = edit ? event.revision : event.event;
  if (key) {
    if (!net::is_clean_name(*key))
      return invalid("the Idempotency-Key header is not usable as an id");
    if (!identity.empty() && identity != *key)
      return invalid("the Idempotency-Key header and the body name different ids");
    identity = *key;
  }
  if (identity.empty()) {
    return invalid(edit ? "an edit needs a \"revision\" of its own"
                        : "\"id\" is missing: choose one for each message, and repeat it when "
                          "sending it again");
  }
  if (!edit && !event.revision.empty()) return invalid("\"revision\" goes with \"replaces\"");
  if (event.text.empty() && event.attachments.empty())
    return invalid("\"text\" is missing or empty");
  const bool other = !event.sender.empty() && event.sender != caller.person;
  if ((other || !event.sender_name.empty()) && !caller.names_senders) {
    return Error(ErrorKind::kPermissionDenied, "this token may not post for another sender",
                 ErrorSource::kPeer);
  }
  if (event.sender.empty()) event.sender = caller.person;
  return {};
}

}  // namespace

Result<PostedBody> parse_body(std::string_view json) {
  PostedBody body;
  const Result<bool> batch =
      net::read_json_body(json, kShape, [&](net::JsonObject& object) -> Result<void> {
        Result<InboundMessage> event = event_of(object);
        if (!event) return event.error();
        body.events.push_back(std::move(*event));
        return {};
      });
  if (!batch) return batch.error();
  if (body.events.empty()) return invalid("the batch is empty");
  body.batch = *batch;
  return body;
}

Result<void> complete(PostedBody& body, const Caller& caller, std::string_view chat,
                      std::optional<std::string_view> key) {
  if (!net::is_clean_name(chat)) return invalid("the conversation's name is not usable");
  if (key && body.batch) {
    return invalid("a batch has an \"id\" in each event and no Idempotency-Key header");
  }
  const std::string chat_id = chat_of(caller, chat);
  std::set<std::string_view> ids;
  for (std::size_t i = 0; i < body.events.size(); ++i) {
    InboundMessage& event = body.events[i];
    if (body.batch && event.kind == EventKind::kEdit)
      return invalid(fmt::format("event {}: an edit is posted by itself", i + 1));
    const Result<void> ok = complete_one(event, caller, key);
    if (!ok) return body.batch ? ok.error().within(fmt::format("event {}", i + 1)) : ok.error();
    if (!ids.insert(event.event).second)
      return invalid(fmt::format("event {}: its id comes twice in this batch", i + 1));
    event.chat = chat_id;
  }
  return {};
}

}  // namespace sluice::http
