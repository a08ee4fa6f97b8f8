#include "net/json_body.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/json/basic_parser_impl.hpp>
#include <fmt/core.h>

#include "base/assert.h"
#include "base/utf8.h"

namespace sluice::net {
namespace {

using Type = JsonField::Type;

constexpr std::size_t kNamedBytes = 64;  // of a wrong field's name in an error

Error invalid(std::string what) {
  return Error(ErrorKind::kInvalidArgument, std::move(what), ErrorSource::kPeer);
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_control);
}

std::string quoted(std::string_view name) {
  std::string text(name.substr(0, utf8_floor(name, kNamedBytes)));
  std::replace_if(text.begin(), text.end(), is_control, '?');
  return "\"" + text + "\"";
}

}  // namespace

/// Takes the parser's events.
class JsonBodyHandler {
 public:
  static constexpr std::size_t max_object_size = 64;
  static constexpr std::size_t max_array_size = 1 << 20;  // bounded below, with words
  static constexpr std::size_t max_key_size = 256;
  static constexpr std::size_t max_string_size = 64 << 20;  // the body's own bound comes first
  using Code = boost::system::error_code;
  using View = boost::json::string_view;

  JsonBodyHandler(const JsonShape& shape, const std::function<Result<void>(JsonObject&)>& take)
      : object(shape), shape_(shape), take_(take) {}

  std::optional<Error> failure;
  bool batch = false;
  JsonObject object;  // the one that is being read

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code& ec) {
    if (where_ != Where::kStart && where_ != Where::kBatch) return wrong_type("an object", ec);
    if (batch && objects_ == shape_.batch_most) {
      return fail(Error(ErrorKind::kTooLarge, fmt::format("more than {} events", objects_),
                        ErrorSource::kPeer),
                  ec);
    }
    ++objects_;
    where_ = Where::kObject;
    return true;
  }
  bool on_object_end(std::size_t, Code& ec) {
    if (!batch) return true;  // first what follows it: it may be no JSON at all
    const Result<void> taken = take_(object);
    if (!taken) return fail_here(taken.error(), ec);
    object = JsonObject(shape_);
    where_ = Where::kBatch;
    return true;
  }
  bool on_array_begin(Code& ec) {
    if (where_ == Where::kStart && shape_.batch_most != 0) {
      batch = true;
      where_ = Where::kBatch;
      return true;
    }
    if (!expects(Type::kNames)) return wrong_type("an array", ec);
    where_ = Where::kNames;
    return true;
  }
  bool on_array_end(std::size_t, Code&) {
    if (where_ == Where::kNames) where_ = Where::kObject;
    return true;
  }
  bool on_key_part(View part, std::size_t, Code&) {
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(View part, std::size_t, Code& ec) {
    key_.append(part.data(), part.size());
    const std::string key = std::exchange(key_, {});
    const auto found = std::find_if(shape_.fields.begin(), shape_.fields.end(),
                                    [&](const JsonField& field) { return field.name == key; });
    if (found == shape_.fields.end()) return fail_here(invalid("unknown field " + quoted(key)), ec);
    place_ = static_cast<std::size_t>(found - shape_.fields.begin());
    if (object.has(place_)) return fail_here(invalid("field " + quoted(key) + " comes twice"), ec);
    object.seen_ |= std::uint32_t{1} << place_;
    return true;
  }
  bool on_string_part(View part, std::size_t, Code&) {
    value_.append(part.data(), part.size());
    return true;
  }
  bool on_string(View part, std::size_t, Code& ec) {
    value_.append(part.data(), part.size());
    return take_text(std::exchange(value_, {}), ec);
  }
  bool on_number_part(View, Code&) { return true; }
  bool on_int64(std::int64_t number, View, Code& ec) {
    if (!expects(Type::kNumber) || number <= 0 || number > field().most) return wrong_number(ec);
    value().number = number;
    return true;
  }
  bool on_uint64(std::uint64_t, View, Code& ec) { return wrong_number(ec); }
  bool on_double(double, View, Code& ec) { return wrong_number(ec); }
  bool on_bool(bool flag, Code& ec) {
    if (!expects(Type::kFlag)) return wrong_type("a truth value", ec);
    value().number = flag ? 1 : 0;
    return true;
  }
  bool on_null(Code& ec) { return wrong_type("null", ec); }
  bool on_comment_part(View, Code&) { return true; }
  bool on_comment(View, Code&) { return true; }

 private:
  enum class Where : std::uint8_t { kStart, kBatch, kObject, kNames };

  const JsonField& field() const { return shape_.fields[place_]; }
  JsonObject::Value& value() { return object.values_[place_]; }
  bool expects(Type type) const { return where_ == Where::kObject && field().type == type; }

  bool fail(Error error, Code& ec) {
    failure = std::move(error);
    ec = boost::json::error::syntax;
    return false;
  }
  bool fail_here(const Error& error, Code& ec) {
    return fail(batch ? error.within(fmt::format("event {}", objects_)) : error, ec);
  }
  bool wrong_type(std::string_view got, Code& ec) {
    if (where_ == Where::kStart || where_ == Where::kBatch)
      return fail(invalid(fmt::format("{} is an object, not {}", shape_.what, got)), ec);
    return fail_here(invalid(fmt::format("\"{}\" can't be {}", field().name, got)), ec);
  }
  bool wrong_number(Code& ec) {
    if (!expects(Type::kNumber)) return wrong_type("a number", ec);
    return fail_here(invalid(fmt::format("\"{}\" must be a positive whole number, at most {}",
                                         field().name, field().most)),
                     ec);
  }
  bool wrong_text(std::string_view problem, Code& ec) {
    const std::string_view entry = where_ == Where::kNames ? "an entry of " : "";
    return fail_here(invalid(fmt::format("{}\"{}\" {}", entry, field().name, problem)), ec);
  }

  bool take_text(std::string text, Code& ec) {
    const bool listed = where_ == Where::kNames;
    const bool expected =
        listed || expects(Type::kText) || expects(Type::kName) || expects(Type::kNameOrEmpty);
    if (!expected) return wrong_type("a text", ec);
    const Type type = listed ? Type::kName : field().type;
    if (type == Type::kText && text.find('\0') != std::string::npos)
      return wrong_text("holds a NUL", ec);
    if (type == Type::kName && text.empty()) return wrong_text("is empty", ec);
    if (type != Type::kText && has_control(text))
      return wrong_text("holds a control character", ec);
    const auto most = static_cast<std::uint64_t>(field().most);
    if (listed) {
      std::vector<std::string>& names = value().names;
      if (names.size() >= most)
        return fail_here(invalid(fmt::format("more than {} {}", most, field().name)), ec);
      names.push_back(std::move(text));
      return true;
    }
    if (text.size() > most) return wrong_text(fmt::format("is longer than {} bytes", most), ec);
    value().text = std::move(text);
    return true;
  }

  const JsonShape& shape_;
  const std::function<Result<void>(JsonObject&)>& take_;
  Where where_ = Where::kStart;
  std::size_t place_ = 0;    // of the field that is being read
  std::size_t objects_ = 0;  // begun so far
  std::string key_;
  std::string value_;
};

bool is_clean_name(std::string_view text) {
  return !text.empty() && is_utf8(text) && !has_control(text);
}

Result<bool> read_json_body(std::string_view body, const JsonShape& shape,
                            const std::function<Result<void>(JsonObject&)>& take) {
  SLUICE_ASSERT(shape.fields.size() <= JsonShape::kMaxFields);
  boost::json::parse_options options;
  options.max_depth = shape.batch_most != 0 ? 3 : 2;  // batch, object, names
  boost::json::basic_parser<JsonBodyHandler> parser(options, shape, take);
  boost::system::error_code ec;
  const std::size_t used = parser.write_some(false, body.data(), body.size(), ec);
  JsonBodyHandler& handler = parser.handler();
  if (handler.failure) return std::move(*handler.failure);
  if (!ec && used < body.size()) ec = boost::json::error::extra_data;
  if (ec) {
    return invalid(
        fmt::format("not JSON in UTF-8: {} at byte {}", ec.message(), std::min(used, body.size())));
  }
  if (!handler.batch) {
    const Result<void> taken = take(handler.object);
    if (!taken) return taken.error();
  }
  return handler.batch;
}

}  // namespace sluice::net
