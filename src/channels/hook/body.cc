#include "channels/hook/body.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <boost/json/basic_parser_impl.hpp>
#include <fmt/core.h>

#include "base/utf8.h"

namespace sluice::hook {
namespace {

constexpr std::size_t kNamedBytes = 64;  // of a wrong field's name in an error
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
  kTexts,  // up to here: one text each
  kOrder = kTexts,
  kSentAt,
  kGroup,
  kMentioned,
  kProjects,
  kFieldCount,
};
constexpr std::array<std::string_view, kFieldCount> kNames = {
    "id",         "chat",     "text", "sender", "thread",  "sender_name", "callback",  "session",
    "request_id", "revision", "kind", "order",  "sent_at", "group",       "mentioned", "projects"};

Error invalid(std::string what) {
  return Error(ErrorKind::kInvalidArgument, std::move(what), ErrorSource::kPeer);
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

/// Takes the parser's events; no tree is built, and nothing is nested but the list of projects.
class Handler {
 public:
  static constexpr std::size_t max_object_size = 64;
  static constexpr std::size_t max_array_size = 1 << 20;  // bounded below, with words
  static constexpr std::size_t max_key_size = 256;
  static constexpr std::size_t max_string_size = 64 << 20;  // the body's own bound comes first
  using Code = boost::system::error_code;
  using View = boost::json::string_view;

  std::optional<Error> failure;
  std::array<std::string, kTexts> texts;
  std::vector<std::string> projects;
  std::optional<std::int64_t> order;
  std::optional<std::int64_t> sent_at;
  bool group = false;
  std::optional<bool> mentioned;

  bool has(Field field) const { return (seen_ >> field & 1) != 0; }

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code& ec) {
    if (where_ != Where::kStart) return wrong_type("an object", ec);
    where_ = Where::kMessage;
    return true;
  }
  bool on_object_end(std::size_t, Code&) { return true; }
  bool on_array_begin(Code& ec) {
    if (where_ != Where::kMessage || field_ != kProjects) return wrong_type("an array", ec);
    where_ = Where::kList;
    return true;
  }
  bool on_array_end(std::size_t, Code&) {
    where_ = Where::kMessage;
    return true;
  }
  bool on_key_part(View part, std::size_t, Code&) {
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(View part, std::size_t, Code& ec) {
    key_.append(part.data(), part.size());
    const std::string key = std::exchange(key_, {});
    const auto found = std::find(kNames.begin(), kNames.end(), key);
    if (found == kNames.end()) return fail("unknown field " + quoted(key), ec);
    field_ = static_cast<Field>(found - kNames.begin());
    if (has(field_)) return fail("field " + quoted(key) + " comes twice", ec);
    seen_ |= 1u << field_;
    return true;
  }
  bool on_string_part(View part, std::size_t, Code&) {
    value_.append(part.data(), part.size());
    return true;
  }
  bool on_string(View part, std::size_t, Code& ec) {
    value_.append(part.data(), part.size());
    std::string value = std::exchange(value_, {});
    if (where_ == Where::kStart) return wrong_type("a text", ec);
    if (where_ == Where::kList) {
      if (projects.size() == kMaxProjects)
        return fail(fmt::format("more than {} projects", kMaxProjects), ec);
      if (value.empty() || has_control(value)) return fail("a project's id is not usable", ec);
      projects.push_back(std::move(value));
      return true;
    }
    if (field_ >= kTexts) return wrong_type("a text", ec);
    texts[field_] = std::move(value);
    return true;
  }
  bool on_number_part(View, Code&) { return true; }
  bool on_int64(std::int64_t number, View, Code& ec) {
    const bool expected = where_ == Where::kMessage && (field_ == kOrder || field_ == kSentAt);
    if (!expected) return wrong_type("a number", ec);
    if (number <= 0 || number > kLargestExact) return wrong_number(ec);
    (field_ == kOrder ? order : sent_at) = number;
    return true;
  }
  bool on_uint64(std::uint64_t, View, Code& ec) { return wrong_number(ec); }
  bool on_double(double, View, Code& ec) { return wrong_number(ec); }
  bool on_bool(bool value, Code& ec) {
    const bool expected = where_ == Where::kMessage && (field_ == kGroup || field_ == kMentioned);
    if (!expected) return wrong_type("true or false", ec);
    if (field_ == kGroup) {
      group = value;
    } else {
      mentioned = value;
    }
    return true;
  }
  bool on_null(Code& ec) { return wrong_type("null", ec); }
  bool on_comment_part(View, Code&) { return true; }
  bool on_comment(View, Code&) { return true; }

 private:
  enum class Where : unsigned char { kStart, kMessage, kList };

  bool fail(std::string what, Code& ec) {
    failure = invalid(std::move(what));
    ec = boost::json::error::syntax;
    return false;
  }
  bool wrong_type(std::string_view got, Code& ec) {
    if (where_ == Where::kStart)
      return fail(fmt::format("a message is an object, not {}", got), ec);
    return fail(fmt::format("\"{}\" can't be {}", kNames[field_], got), ec);
  }
  bool wrong_number(Code& ec) {
    const bool expected = where_ == Where::kMessage && (field_ == kOrder || field_ == kSentAt);
    if (!expected) return wrong_type("a number", ec);
    return fail(fmt::format("\"{}\" must be a whole number from 1 to 2^53", kNames[field_]), ec);
  }
  static std::string quoted(std::string_view key) {
    std::string text(key.substr(0, utf8_floor(key, kNamedBytes)));
    std::replace_if(text.begin(), text.end(), [](char c) { return has_control({&c, 1}); }, '?');
    return "\"" + text + "\"";
  }

  Where where_ = Where::kStart;
  Field field_ = kId;
  unsigned seen_ = 0;  // fields of the object, by place
  std::string key_;
  std::string value_;
};

Result<EventKind> kind_of(const Handler& body) {
  const std::string& kind = body.texts[kKind];
  if (!body.has(kKind) || kind == "message") return EventKind::kMessage;
  if (kind == "edit") return EventKind::kEdit;
  if (kind == "delete") return EventKind::kDelete;
  return invalid("\"kind\" must be message, edit or delete");
}

Result<void> check_texts(const Handler& body) {
  for (std::size_t field = 0; field < kTexts; ++field) {
    const std::string& value = body.texts[field];
    if (field == kText) {
      if (value.find('\0') != std::string::npos) return invalid("\"text\" holds a NUL");
    } else if (has_control(value)) {
      return invalid(fmt::format("\"{}\" holds a control character", kNames[field]));
    }
    if (body.has(static_cast<Field>(field)) && value.empty() && field != kThread)
      return invalid(fmt::format("\"{}\" is empty", kNames[field]));
  }
  if (body.texts[kCallback].size() > kMaxCallbackBytes)
    return invalid(fmt::format("\"callback\" is longer than {} bytes", kMaxCallbackBytes));
  return {};
}

/// What belongs together is all there.
Result<void> check_whole(const Handler& body, EventKind kind) {
  for (const Field field : {kChat, kSender}) {
    if (!body.has(field)) return invalid(fmt::format("\"{}\" is missing", kNames[field]));
  }
  const bool deletes = kind == EventKind::kDelete;
  if (!deletes && !body.has(kText)) return invalid("\"text\" is missing");
  if (deletes && body.has(kText)) return invalid("a delete has no \"text\"");
  if (kind == EventKind::kEdit && !body.has(kRevision))
    return invalid("an edit needs a \"revision\" that tells it from other edits");
  if (kind != EventKind::kEdit && body.has(kRevision))
    return invalid("\"revision\" goes with an edit");
  if (body.mentioned && !body.group) return invalid("\"mentioned\" goes with \"group\"");
  return {};
}

}  // namespace

Result<HookBody> parse_body(std::string_view json, std::string_view header_id) {
  boost::json::parse_options options;
  options.max_depth = 2;
  boost::json::basic_parser<Handler> parser(options);
  boost::system::error_code ec;
  const std::size_t used = parser.write_some(false, json.data(), json.size(), ec);
  Handler& body = parser.handler();
  if (body.failure) return *body.failure;
  if (!ec && used < json.size()) ec = boost::json::error::extra_data;
  if (ec) {
    return invalid(
        fmt::format("not JSON in UTF-8: {} at byte {}", ec.message(), std::min(used, json.size())));
  }
  if (!header_id.empty()) {
    if (!is_utf8(header_id) || has_control(header_id))
      return invalid("the Idempotency-Key header is not usable as an id");
    if (body.has(kId) && body.texts[kId] != header_id)
      return invalid("the Idempotency-Key header and \"id\" differ");
    body.texts[kId] = header_id;
  } else if (!body.has(kId)) {
    return invalid(
        "\"id\" is missing: choose one for each message, and repeat it when sending it again");
  }
  const Result<EventKind> kind = kind_of(body);
  if (!kind) return kind.error();
  Result<void> ok = check_texts(body);
  if (ok) ok = check_whole(body, *kind);
  if (!ok) return ok.error();

  HookBody out;
  InboundMessage& message = out.message;
  message.kind = *kind;
  message.event = std::move(body.texts[kId]);
  message.revision = std::move(body.texts[kRevision]);
  message.chat = std::move(body.texts[kChat]);
  message.thread = std::move(body.texts[kThread]);
  message.chat_kind = body.group ? ChatKind::kGroup : ChatKind::kDirect;
  message.mentions_us = body.mentioned.value_or(!body.group);
  message.sender = std::move(body.texts[kSender]);
  message.sender_name = std::move(body.texts[kSenderName]);
  message.text = std::move(body.texts[kText]);
  message.session = std::move(body.texts[kSession]);
  message.request_id = std::move(body.texts[kRequestId]);
  message.projects = std::move(body.projects);
  message.order = body.order;
  message.sent_at = UnixMillis{body.sent_at.value_or(0)};
  out.callback = std::move(body.texts[kCallback]);
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
