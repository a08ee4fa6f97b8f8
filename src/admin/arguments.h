#pragma once
// What an operation may be asked, and reading it from a request: strictly. An unknown, missing,
// ill-typed or over-long value is kInvalidArgument, and the error names it.
//
// Values; any thread.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/result.h"
#include "net/http_types.h"

namespace sluice::admin {

/// Where a parameter stands follows from its operation: {name} in the path; else the query of a GET
/// or DELETE, the JSON object in the body of a POST.
struct Param {
  enum class Type : std::uint8_t { kString, kInteger, kBoolean, kStrings };
  std::string name;
  Type type = Type::kString;
  bool required = false;
  std::string doc;
  std::int64_t most = kTextBytes;  // an integer's greatest value, else bytes of a string
  std::int64_t least = 0;          // of an integer

  static constexpr std::int64_t kTextBytes = 1024;
  static constexpr std::size_t kListMax = 64;

  static Param text(std::string name, std::string doc) {
    return {std::move(name), Type::kString, false, std::move(doc)};
  }
  static Param flag(std::string name, std::string doc) {
    return {std::move(name), Type::kBoolean, false, std::move(doc)};
  }
  static Param strings(std::string name, std::string doc) {
    return {std::move(name), Type::kStrings, false, std::move(doc)};
  }
  /// A positive id.
  static Param id(std::string name, std::string doc) {
    return {std::move(name), Type::kInteger, false, std::move(doc), INT64_MAX, 1};
  }
  static Param count(std::string name, std::string doc, std::int64_t most) {
    return {std::move(name), Type::kInteger, false, std::move(doc), most, 1};
  }
  [[nodiscard]] Param needed() && {
    required = true;
    return std::move(*this);
  }
};

std::string_view to_string(Param::Type type);

/// Checked values by name. Asking for one that was not given gives the fallback.
class Arguments {
 public:
  const std::string& text(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t fallback = 0) const;
  bool flag(std::string_view name) const { return integer(name) != 0; }
  const std::vector<std::string>& strings(std::string_view name) const;
  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }

  /// From words: a path's segments and a query's values.
  Result<void> set(const Param& param, std::string_view word);
  /// From a JSON body.
  Result<void> set(const Param& param, const boost::json::value& value);

 private:
  struct Value {
    std::int64_t number = 0;
    std::string text;
    std::vector<std::string> list;
  };
  Result<Value*> slot(const Param& param);
  Result<void> put_number(const Param& param, std::int64_t number);
  Result<void> put_text(const Param& param, std::string_view text);

  std::map<std::string, Value, std::less<>> values_;
};

inline constexpr std::size_t kBodyBytes = 64 * 1024;

/// path_values are the decoded {…} segments of pattern, in order.
Result<Arguments> read_arguments(const std::vector<Param>& params, std::string_view pattern,
                                 const net::HttpRequest& request,
                                 const std::vector<std::string>& path_values);

}  // namespace sluice::admin
