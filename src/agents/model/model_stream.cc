#include "agents/model/model_stream.h"

#include <charconv>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "agents/model/model_error.h"
#include "agents/model/model_options.h"

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::size_t kNamedInNotice = 3;

std::string tool_notice(const ModelStream& stream) {
  std::string names;
  std::size_t named = 0;
  for (const std::string& tool : stream.tools) {
    const std::string_view name = log_name(tool);
    if (name.empty() || named == kNamedInNotice) continue;
    names.append(names.empty() ? "" : ", ").append(name);
    ++named;
  }
  const std::size_t more = stream.tools_total - named;
  if (named == 0) return "[The model asked for a tool. Tools can't be used here.]";
  if (more > 0) names += fmt::format(" and {} more", more);
  return fmt::format("[The model asked for a tool: {}. Tools can't be used here.]", names);
}

}  // namespace

void ModelStream::add_text(std::string_view more) {
  if (more.empty()) return;
  text += more;
  ++progress;
}

void ModelStream::add_tool(std::string_view name) {
  ++progress;
  ++tools_total;
  if (tools.size() < kToolsMax) tools.emplace_back(log_name(name));
}

void ModelStream::finish_by(Finish reason) {
  finish = reason;
  ++progress;
}

std::string notice_of(const ModelStream& stream) {
  if (stream.tools_total > 0 || stream.finish == Finish::kTools) return tool_notice(stream);
  if (stream.finish == Finish::kLength) return "[The answer was cut off at its length limit.]";
  if (stream.finish == Finish::kRefused) return "[The AI service declined to go on.]";
  return {};
}

Result<json::object> parse_event(std::string_view data, json::storage_ptr storage) {
  boost::system::error_code ec;
  json::value value = json::parse(data, ec, std::move(storage));
  if (ec) return bad_answer("an event is not JSON: " + ec.message());
  if (!value.is_object()) return bad_answer("an event is not a JSON object");
  return std::move(value.get_object());
}

std::string_view text_in(const json::object& o, std::string_view name) {
  const json::value* v = o.if_contains(name);
  return v != nullptr && v->is_string() ? std::string_view(v->get_string()) : std::string_view();
}

const json::object* object_in(const json::object& o, std::string_view name) {
  const json::value* v = o.if_contains(name);
  return v == nullptr ? nullptr : v->if_object();
}

std::optional<std::uint64_t> count_in(const json::object& o, std::string_view name) {
  const json::value* v = o.if_contains(name);
  if (v == nullptr || !v->is_int64() || v->get_int64() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(v->get_int64());
}

void add_parameters(const ModelOptions& options, json::object& body) {
  // Both were checked when the configuration was read.
  const auto number = [](const std::string& text) {
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  if (!options.temperature.empty()) body["temperature"] = number(options.temperature);
  if (!options.top_p.empty()) body["top_p"] = number(options.top_p);
  if (options.max_tokens > 0) body["max_tokens"] = options.max_tokens;
  if (options.parameters.empty()) return;
  const json::value parameters = json::parse(options.parameters);
  for (const auto& entry : parameters.as_object()) body[entry.key()] = entry.value();
}

}  // namespace sluice
