#include "admin/arguments.h"

#include <algorithm>
#include <charconv>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/utf8.h"

namespace sluice::admin {
namespace {

namespace json = boost::json;

constexpr std::size_t kBodyDepth = 3;  // an object with lists of strings

Error wrong(std::string text) {
  return Error(ErrorKind::kInvalidArgument, std::move(text), ErrorSource::kPeer);
}

const Param* find(const std::vector<Param>& params, std::string_view name) {
  const auto found =
      std::find_if(params.begin(), params.end(), [&](const Param& p) { return p.name == name; });
  return found == params.end() ? nullptr : &*found;
}

Error unknown(std::string_view name, const std::vector<Param>& params) {
  std::string known;
  for (const Param& param : params) known += (known.empty() ? "" : ", ") + param.name;
  return wrong(fmt::format("unknown parameter \"{}\"; known: {}", strip_terminal_controls(name),
                           known.empty() ? "none" : known));
}

std::vector<std::string_view> names_in(std::string_view pattern) {
  std::vector<std::string_view> names;
  for (std::size_t open = pattern.find('{'); open != std::string_view::npos;
       open = pattern.find('{', open + 1)) {
    names.push_back(pattern.substr(open + 1, pattern.find('}', open) - open - 1));
  }
  return names;
}

Result<void> read_body(const std::vector<Param>& params, const net::HttpRequest& request,
                       Arguments& out) {
  if (request.body.empty()) return {};
  json::parse_options options;
  options.max_depth = kBodyDepth;
  boost::system::error_code failed;
  const json::value body = json::parse(request.body, failed, {}, options);
  if (failed) return wrong("the body is not JSON: " + failed.message());
  if (!body.is_object()) return wrong("the body must be a JSON object");
  for (const auto& [name, value] : body.get_object()) {
    const Param* param = find(params, name);
    if (param == nullptr) return unknown(name, params);
    if (const auto set = out.set(*param, value); !set) return set.error();
  }
  return {};
}

}  // namespace

std::string_view to_string(Param::Type type) {
  switch (type) {
    case Param::Type::kString:
      return "string";
    case Param::Type::kInteger:
      return "integer";
    case Param::Type::kBoolean:
      return "boolean";
    case Param::Type::kStrings:
      return "list of strings";
  }
  return "";
}

const std::string& Arguments::text(std::string_view name) const {
  static const std::string kNone;
  const auto found = values_.find(name);
  return found == values_.end() ? kNone : found->second.text;
}

std::int64_t Arguments::integer(std::string_view name, std::int64_t fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? fallback : found->second.number;
}

const std::vector<std::string>& Arguments::strings(std::string_view name) const {
  static const std::vector<std::string> kNone;
  const auto found = values_.find(name);
  return found == values_.end() ? kNone : found->second.list;
}

Result<Arguments::Value*> Arguments::slot(const Param& param) {
  const auto [place, is_new] = values_.try_emplace(param.name);
  if (!is_new) return wrong(fmt::format("\"{}\" is given twice", param.name));
  return &place->second;
}

Result<void> Arguments::put_number(const Param& param, std::int64_t number) {
  if (number < param.least || number > param.most) {
    return wrong(
        fmt::format("\"{}\" must be between {} and {}", param.name, param.least, param.most));
  }
  const auto value = slot(param);
  if (!value) return value.error();
  (*value)->number = number;
  return {};
}

Result<void> Arguments::put_text(const Param& param, std::string_view text) {
  if (text.size() > static_cast<std::size_t>(param.most)) {
    return wrong(fmt::format("\"{}\" may have at most {} bytes", param.name, param.most));
  }
  const bool control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  if (control || !is_utf8(text)) {
    return wrong(fmt::format("\"{}\" must be UTF-8 without control characters", param.name));
  }
  if (param.required && text.empty()) return wrong(fmt::format("\"{}\" is empty", param.name));
  const auto value = slot(param);
  if (!value) return value.error();
  (*value)->text = text;
  return {};
}

Result<void> Arguments::set(const Param& param, std::string_view word) {
  switch (param.type) {
    case Param::Type::kString:
      return put_text(param, word);
    case Param::Type::kInteger: {
      std::int64_t number = 0;
      const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), number);
      if (failed != std::errc() || end != word.data() + word.size()) {
        return wrong(fmt::format("\"{}\" must be a whole number", param.name));
      }
      return put_number(param, number);
    }
    case Param::Type::kBoolean: {
      if (word != "true" && word != "false") {
        return wrong(fmt::format("\"{}\" must be true or false", param.name));
      }
      const auto value = slot(param);
      if (!value) return value.error();
      (*value)->number = word == "true" ? 1 : 0;
      return {};
    }
    case Param::Type::kStrings:
      break;
  }
  return wrong(fmt::format("\"{}\" is a list and stands in a body", param.name));
}

Result<void> Arguments::set(const Param& param, const json::value& value) {
  const auto ill_typed = [&] {
    return wrong(fmt::format("\"{}\" must be a {}", param.name, to_string(param.type)));
  };
  switch (param.type) {
    case Param::Type::kString:
      if (!value.is_string()) return ill_typed();
      return put_text(param, value.get_string());
    case Param::Type::kInteger:
      if (!value.is_int64()) return ill_typed();
      return put_number(param, value.get_int64());
    case Param::Type::kBoolean: {
      if (!value.is_bool()) return ill_typed();
      const auto flag = slot(param);
      if (!flag) return flag.error();
      (*flag)->number = value.get_bool() ? 1 : 0;
      return {};
    }
    case Param::Type::kStrings:
      break;
  }
  if (!value.is_array()) return ill_typed();
  if (value.get_array().size() > Param::kListMax) {
    return wrong(fmt::format("\"{}\" may have at most {} entries", param.name, Param::kListMax));
  }
  std::vector<std::string> list;
  for (const json::value& entry : value.get_array()) {
    if (!entry.is_string()) return ill_typed();
    // The same rules as for a single text.
    Arguments one;
    Param text = Param::text(param.name, "").needed();
    text.most = param.most;
    if (const auto set = one.put_text(text, entry.get_string()); !set) return set.error();
    list.emplace_back(entry.get_string());
  }
  const auto strings = slot(param);
  if (!strings) return strings.error();
  (*strings)->list = std::move(list);
  return {};
}

Result<Arguments> read_arguments(const std::vector<Param>& params, std::string_view pattern,
                                 const net::HttpRequest& request,
                                 const std::vector<std::string>& path_values) {
  Arguments arguments;
  const std::vector<std::string_view> in_path = names_in(pattern);
  for (std::size_t i = 0; i < in_path.size() && i < path_values.size(); ++i) {
    const Param* param = find(params, in_path[i]);
    if (param == nullptr) return unknown(in_path[i], params);
    if (const auto set = arguments.set(*param, path_values[i]); !set) return set.error();
  }
  const bool in_body = request.method == "POST";
  if (in_body && !request.query.empty()) return unknown(request.query.front().first, {});
  if (!in_body && !request.body.empty()) return wrong("this request takes no body");
  for (const auto& [name, value] : request.query) {
    const Param* param = find(params, name);
    if (param == nullptr) return unknown(name, params);
    if (const auto set = arguments.set(*param, value); !set) return set.error();
  }
  if (in_body) {
    if (const auto read = read_body(params, request, arguments); !read) return read.error();
  }
  for (const Param& param : params) {
    if (param.required && !arguments.has(param.name)) {
      return wrong(fmt::format("\"{}\" is missing", param.name));
    }
  }
  return arguments;
}

}  // namespace sluice::admin
