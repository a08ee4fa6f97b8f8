#include "ctl/fields.h"

#include <boost/json.hpp>

namespace sluice::ctl {

namespace json = boost::json;

const json::value& field_of(const json::value& value, std::string_view name) {
  static const json::value kNull;
  if (!value.is_object()) return kNull;
  const json::value* found = value.get_object().if_contains(name);
  return found == nullptr ? kNull : *found;
}

std::string text_of(const json::value& value, std::string_view name) {
  const json::value& field = field_of(value, name);
  return field.is_string() ? std::string(field.get_string()) : std::string();
}

std::int64_t number_of(const json::value& value, std::string_view name) {
  const json::value& field = field_of(value, name);
  if (field.is_int64()) return field.get_int64();
  if (field.is_uint64()) return static_cast<std::int64_t>(field.get_uint64());
  return 0;
}

bool flag_of(const json::value& value, std::string_view name) {
  const json::value& field = field_of(value, name);
  return field.is_bool() && field.get_bool();
}

const json::array& list_of(const json::value& value, std::string_view name) {
  static const json::array kNone;
  const json::value& field = field_of(value, name);
  return field.is_array() ? field.get_array() : kNone;
}

}  // namespace sluice::ctl
