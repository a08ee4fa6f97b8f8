#include "channels/http/body.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <boost/json/basic_parser_impl.hpp>
#include <fmt/core.h>

#include "base/utf8.h"

namespace sluice::http {
namespace {

constexpr std::size_t kNamedBytes = 64;  // of a wrong field's name in an error

enum class Field : unsigned char {
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
};
constexpr std::array<std::string_view, 10> kFields = {
    "id",      "text",     "sender",     "sender_name", "order",
    "session", "projects", "request_id", "replaces",    "revision"};

Error invalid(std::string what) {
  return Error(ErrorKind::kInvalidArgument, std::move(what), ErrorSource::kPeer);
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

/// Takes the parser's events; no tree is built.
class Handler {
 public:
  static constexpr std::size_t max_object_size = 64;
  static constexpr std::size_t max_array_size = 1 << 20;  // bounded below, with words
  static constexpr std::size_t max_key_size = 256;
  static constexpr std::size_t max_string_size = 64 << 20;
  using Code = boost::system::error_code;
  using View = boost::json::string_view;

  PostedBody body;
  std::optional<Error> failure;

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code& ec) {
    if (where_ != Where::kStart && where_ != Where::kBatch) return wrong_type("an object", ec);
    if (body.events.size() == kMaxEvents) {
      return fail(Error(ErrorKind::kTooLarge, fmt::format("more than {} events", kMaxEvents),
                        ErrorSource::kPeer),
                  ec);
    }
    body.batch = where_ == Where::kBatch;
    where_ = Where::kEvent;
    seen_ = 0;
    body.events.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, Code&) {
    where_ = body.batch ? Where::kBatch : Where::kEnd;
    return true;
  }
  bool on_array_begin(Code& ec) {
    if (where_ == Where::kStart) {
      where_ = Where::kBatch;
      return true;
    }
    if (where_ != Where::kEvent || field_ != Field::kProjects) return wrong_type("an array", ec);
    where_ = Where::kProjects;
    return true;
  }
  bool on_array_end(std::size_t, Code&) {
    where_ = where_ == Where::kProjects ? Where::kEvent : Where::kEnd;
    return true;
  }
  bool on_key_part(View part, std::size_t, Code&) {
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(View part, std::size_t, Code& ec) {
    key_.append(part.data(), part.size());
    const std::string key = std::exchange(key_, {});
    const auto found = std::find(kFields.begin(), kFields.end(), key);
    if (found == kFields.end()) return fail_here("unknown field " + quoted(key), ec);
    const auto place = found - kFields.begin();
    if ((seen_ >> place & 1) != 0) return fail_here("field " + quoted(key) + " comes twice", ec);
    seen_ |= 1u << place;
    field_ = static_cast<Field>(place);
    return true;
  }
  bool on_string_part(View part, std::size_t, Code&) {
    value_.append(part.data(), part.size());
    return true;
  }
  bool on_string(View part, std::size_t, Code& ec) {
    value_.append(part.data(), part.size());
    return take(std::exchange(value_, {}), ec);
  }
  bool on_number_part(View, Code&) { return true; }
  bool on_int64(std::int64_t number, View, Code& ec) {
    if (where_ != Where::kEvent || field_ != Field::kOrder) return wrong_type("a number", ec);
    if (number <= 0) return fail_here("\"order\" must be positive", ec);
    body.events.back().order = number;
    return true;
  }
  bool on_uint64(std::uint64_t, View, Code& ec) { return wrong_number(ec); }
  bool on_double(double, View, Code& ec) { return wrong_number(ec); }
  bool on_bool(bool, Code& ec) { return wrong_type("a truth value", ec); }
  bool on_null(Code& ec) { return wrong_type("null", ec); }
  bool on_comment_part(View, Code&) { return true; }
  bool on_comment(View, Code&) { return true; }

 private:
  enum class Where : unsigned char { kStart, kBatch, kEvent, kProjects, kEnd };

  bool fail(Error error, Code& ec) {
    failure = std::move(error);
    ec = boost::json::error::syntax;
    return false;
  }
  bool fail_here(std::string what, Code& ec) {
    if (body.batch) what = fmt::format("event {}: {}", body.events.size(), what);
    return fail(invalid(std::move(what)), ec);
  }
  bool wrong_type(std::string_view got, Code& ec) {
    if (where_ == Where::kStart || where_ == Where::kBatch) {
      return fail(invalid(fmt::format("a message is an object, not {}", got)), ec);
    }
    return fail_here(fmt::format("\"{}\" can't be {}", name(), got), ec);
  }
  bool wrong_number(Code& ec) {
    if (where_ != Where::kEvent || field_ != Field::kOrder) return wrong_type("a number", ec);
    return fail_here("\"order\" must be a whole number below 2^63", ec);
  }
  std::string_view name() const { return kFields[static_cast<std::size_t>(field_)]; }
  static std::string quoted(std::string_view key) {
    std::string text(key.substr(0, utf8_floor(key, kNamedBytes)));
    std::replace_if(text.begin(), text.end(), [](char c) { return has_control({&c, 1}); }, '?');
    return "\"" + text + "\"";
  }

  bool take(std::string value, Code& ec) {
    if (where_ == Where::kStart || where_ == Where::kBatch) return wrong_type("a text", ec);
    InboundMessage& event = body.events.back();
    if (field_ == Field::kText && where_ == Where::kEvent) {
      if (value.find('\0') != std::string::npos) return fail_here("\"text\" holds a NUL", ec);
      event.text = std::move(value);
      return true;
    }
    if (value.empty()) return fail_here(fmt::format("\"{}\" is empty", name()), ec);
    if (has_control(value))
      return fail_here(fmt::format("\"{}\" holds a control character", name()), ec);
    if (where_ == Where::kProjects) {
      if (event.projects.size() == kMaxProjects)
        return fail_here(fmt::format("more than {} projects", kMaxProjects), ec);
      event.projects.push_back(std::move(value));
      return true;
    }
    switch (field_) {
      case Field::kId:
      case Field::kReplaces:
        // One place for both: that they don't come together is said once the object is whole.
        if ((seen_ & kIdOrReplaces) == kIdOrReplaces)
          return fail_here("an edit is named by \"replaces\" and \"revision\", without \"id\"", ec);
        event.event = std::move(value);
        if (field_ == Field::kReplaces) event.kind = EventKind::kEdit;
        return true;
      case Field::kSender:
        event.sender = std::move(value);
        return true;
      case Field::kSenderName:
        event.sender_name = std::move(value);
        return true;
      case Field::kSession:
        event.session = std::move(value);
        return true;
      case Field::kRequestId:
        event.request_id = std::move(value);
        return true;
      case Field::kRevision:
        event.revision = std::move(value);
        return true;
      default:
        return wrong_type("a text", ec);
    }
  }

  static constexpr unsigned kIdOrReplaces =
      1u << static_cast<unsigned>(Field::kId) | 1u << static_cast<unsigned>(Field::kReplaces);
  Where where_ = Where::kStart;
  Field field_ = Field::kId;
  unsigned seen_ = 0;  // fields of the object, by place
  std::string key_;
  std::string value_;
};

Result<void> complete_one(InboundMessage& event, const Caller& caller,
                          std::optional<std::string_view> key) {
  const bool edit = event.kind == EventKind::kEdit;
  std::string& identity = edit ? event.revision : event.event;
  if (key) {
    if (!is_clean_id(*key)) return invalid("the Idempotency-Key header is not usable as an id");
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
  if (event.text.empty()) return invalid("\"text\" is missing or empty");
  const bool other = !event.sender.empty() && event.sender != caller.person;
  if ((other || !event.sender_name.empty()) && !caller.names_senders) {
    return Error(ErrorKind::kPermissionDenied, "this token may not post for another sender",
                 ErrorSource::kPeer);
  }
  if (event.sender.empty()) event.sender = caller.person;
  return {};
}

}  // namespace

bool is_clean_id(std::string_view id) { return !id.empty() && is_utf8(id) && !has_control(id); }

Result<PostedBody> parse_body(std::string_view json) {
  boost::json::parse_options options;
  options.max_depth = 3;  // batch, event, projects
  boost::json::basic_parser<Handler> parser(options);
  boost::system::error_code ec;
  const std::size_t used = parser.write_some(false, json.data(), json.size(), ec);
  if (parser.handler().failure) return std::move(*parser.handler().failure);
  if (!ec && used < json.size()) ec = boost::json::error::extra_data;
  if (ec) {
    return invalid(
        fmt::format("not JSON in UTF-8: {} at byte {}", ec.message(), std::min(used, json.size())));
  }
  PostedBody& body = parser.handler().body;
  if (body.events.empty()) return invalid("the batch is empty");
  return std::move(body);
}

Result<void> complete(PostedBody& body, const Caller& caller, std::string_view chat,
                      std::optional<std::string_view> key) {
  if (!is_clean_id(chat)) return invalid("the conversation's name is not usable");
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
