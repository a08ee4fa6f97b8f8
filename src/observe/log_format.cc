#include "observe/log_format.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>

#include "base/utf8.h"

namespace sluice {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kCut = "…";

void append(fmt::memory_buffer& out, std::string_view text) {
  out.append(text.data(), text.data() + text.size());
}

/// One step through text: the code point at its start and how many bytes it takes. An ill-formed
/// byte is U+FFFD and takes one.
struct CodePoint {
  std::uint32_t value;
  std::size_t length;
  bool valid;
};

CodePoint first_code_point(std::string_view text) {
  const auto lead = static_cast<std::uint8_t>(text[0]);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (length > text.size() || !is_utf8(text.substr(0, length))) return {0xFFFD, 1, false};
  std::uint32_t value = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    value = (value << 6) | (static_cast<std::uint8_t>(text[i]) & 0x3Fu);
  }
  return {value, length, true};
}

/// Would this end the line, move the cursor, or show the rest of the line in another order?
bool is_unsafe(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

bool needs_quotes(std::string_view value) {
  return value.empty() || !std::all_of(value.begin(), value.end(), [](char c) {
           return c > ' ' && c < 0x7F && c != '"' && c != '\\' && c != '=';
         });
}

void append_text_string(fmt::memory_buffer& out, std::string_view value) {
  if (value.size() <= kMaxLogValueBytes && !needs_quotes(value)) {
    append(out, value);
  } else {
    append_quoted(out, value);
  }
}

/// Numbers and booleans look the same in both formats. JSON knows no NaN and no infinity.
void append_double(fmt::memory_buffer& out, double value) {
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(out), "{}", value);
  } else {
    append_quoted(out, fmt::format("{}", value));
  }
}

using AppendString = void (*)(fmt::memory_buffer&, std::string_view);

void append_value(fmt::memory_buffer& out, const LogField& field, AppendString append_string) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    append_string(out, *text);
  } else if (const auto* number = std::get_if<std::int64_t>(&field.value)) {
    fmt::format_to(std::back_inserter(out), "{}", *number);
  } else if (const auto* flag = std::get_if<bool>(&field.value)) {
    append(out, *flag ? "true" : "false");
  } else {
    append_double(out, std::get<double>(field.value));
  }
}

}  // namespace

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

void append_quoted(fmt::memory_buffer& out, std::string_view value) {
  const bool cut = value.size() > kMaxLogValueBytes;
  if (cut) value = value.substr(0, utf8_floor(value, kMaxLogValueBytes));
  out.push_back('"');
  while (!value.empty()) {
    const CodePoint point = first_code_point(value);
    if (point.value == '"' || point.value == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(point.value));
    } else if (point.value == '\n') {
      append(out, "\\n");
    } else if (point.value == '\t') {
      append(out, "\\t");
    } else if (point.value == '\r') {
      append(out, "\\r");
    } else if (is_unsafe(point.value)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", point.value);
    } else {
      append(out, point.valid ? value.substr(0, point.length) : kReplacement);
    }
    value.remove_prefix(point.length);
  }
  if (cut) append(out, kCut);
  out.push_back('"');
}

void append_text(fmt::memory_buffer& out, std::string_view event,
                 std::span<const LogField> fields) {
  append_text_string(out, event);
  for (const LogField& field : fields) {
    out.push_back(' ');
    append_text_string(out, field.name);
    out.push_back('=');
    append_value(out, field, append_text_string);
  }
}

void append_json(fmt::memory_buffer& out, std::string_view event,
                 std::span<const LogField> fields) {
  append(out, "\"event\":");
  append_quoted(out, event);
  for (const LogField& field : fields) {
    out.push_back(',');
    append_quoted(out, field.name);
    out.push_back(':');
    append_value(out, field, append_quoted);
  }
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    out += point.valid ? text.substr(0, point.length) : kReplacement;
    text.remove_prefix(point.length);
  }
  return out;
}

}  // namespace sluice
