#pragma once
// read_json_body(): the one strict reader of JSON bodies whose fields are known. What is not
// understood is refused and named, and so is what is said twice: a caller who misspells a field
// hears of it at once, instead of missing what it was for.
//
// Any thread; pure. No tree is built: it allocates no more than a few times the body.
//
// Reference: RFC 8259.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::net {

/// What ids and names may be: not empty, UTF-8, without control characters.
bool is_clean_name(std::string_view text);

struct JsonField {
  enum class Type : std::uint8_t {
    kText,         // any but a NUL in it, perhaps empty
    kName,         // as is_clean_name()
    kNameOrEmpty,  // as kName, or empty
    kNumber,       // whole, 1 to most
    kFlag,         // true or false
    kNames,        // an array of kName, at most `most` of them
  };
  std::string_view name;
  Type type = Type::kText;
  std::int64_t most = INT64_MAX;  // of a text or a name: bytes
};

/// What a body may be. The place of a field in the list is what it is asked for by.
struct JsonShape {
  std::string_view what;  // is expected, for errors: "a message"
  std::span<const JsonField> fields;
  std::size_t batch_most =
      0;  // if not 0, an array of up to so many objects may come instead of one
  static constexpr std::size_t kMaxFields = 32;
};

/// One object that was read. What is not there is empty, 0 or false.
class JsonObject {
 public:
  explicit JsonObject(const JsonShape& shape) : values_(shape.fields.size()) {}

  bool has(std::size_t field) const { return (seen_ >> field & 1) != 0; }
  /// Moves what was read out of it.
  std::string text(std::size_t field) { return std::move(values_[field].text); }
  std::vector<std::string> names(std::size_t field) { return std::move(values_[field].names); }
  std::int64_t number(std::size_t field) const { return values_[field].number; }
  bool flag(std::size_t field) const { return number(field) != 0; }

 private:
  friend class JsonBodyHandler;
  struct Value {
    std::string text;
    std::int64_t number = 0;
    std::vector<std::string> names;
  };
  std::vector<Value> values_;
  std::uint32_t seen_ = 0;  // by place
};

/// Gives take() each object, in order; an error of its ends the reading. True: it was an array,
/// perhaps an empty one, and errors begin with "event 3". kInvalidArgument tells what is wrong and
/// where ("unknown field \"txt\""), kTooLarge that there are more than batch_most objects. No error
/// holds a value, and a field's name only cut and cleaned.
Result<bool> read_json_body(std::string_view body, const JsonShape& shape,
                            const std::function<Result<void>(JsonObject&)>& take);

}  // namespace sluice::net
