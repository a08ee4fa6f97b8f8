#include "ctl/console.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/utf8.h"

namespace sluice::ctl {
namespace {

constexpr char kEscape = '\x1B';

/// Just behind the escape sequence that starts at `at`; npos if its end has not come. The same
/// sequences that strip_terminal_controls() knows.
std::size_t sequence_end(std::string_view text, std::size_t at) {
  if (at + 1 >= text.size()) return std::string_view::npos;
  const char kind = text[at + 1];
  if (kind == '[') {
    for (std::size_t i = at + 2; i < text.size(); ++i) {
      if (text[i] >= 0x40 && text[i] <= 0x7E) return i + 1;
    }
    return std::string_view::npos;
  }
  if (std::string_view("]PX^_").find(kind) == std::string_view::npos) {
    std::size_t end = at + 1;
    while (end < text.size() && text[end] >= 0x20 && text[end] <= 0x2F) ++end;
    if (end == text.size()) return std::string_view::npos;
    return text[end] >= 0x30 && text[end] <= 0x7E ? end + 1 : end;
  }
  for (std::size_t i = at + 2; i < text.size(); ++i) {
    if (text[i] == '\a') return i + 1;
    if (text[i] == kEscape && i + 1 < text.size() && text[i + 1] == '\\') return i + 2;
  }
  return std::string_view::npos;
}

/// Where the unfinished escape sequence at the end of text starts; its size if there is none.
std::size_t unfinished_from(std::string_view text) {
  std::size_t at = text.find(kEscape);
  while (at != std::string_view::npos) {
    const std::size_t end = sequence_end(text, at);
    if (end == std::string_view::npos) return at;
    at = text.find(kEscape, end);
  }
  return text.size();
}

}  // namespace

std::string safe_text(std::string_view text) { return strip_terminal_controls(text); }

std::string safe_line(std::string_view text) {
  std::string line = strip_terminal_controls(text);
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return line;
}

std::string safe_json(const boost::json::value& value) {
  // Boost escapes C0; DEL and C1 are legal JSON, but not for a terminal.
  const std::string plain = boost::json::serialize(value);
  std::string out;
  out.reserve(plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const auto c = static_cast<unsigned char>(plain[i]);
    const auto next = i + 1 < plain.size() ? static_cast<unsigned char>(plain[i + 1]) : 0;
    if (c == 0x7F) {
      out += "\\u007f";
    } else if (c == 0xC2 && next >= 0x80 && next <= 0x9F) {
      out += fmt::format("\\u{:04x}", next);
      ++i;
    } else {
      out += plain[i];
    }
  }
  return out;
}

std::string SafeStream::put(std::string_view piece) {
  held_ += piece;
  std::size_t cut = unfinished_from(held_);
  if (held_.size() - cut > kHeldMax) cut = held_.size();
  std::string shown = safe_text(std::string_view(held_).substr(0, cut));
  held_.erase(0, cut);
  return shown;
}

std::string SafeStream::end() {
  std::string shown = safe_text(held_);
  held_.clear();
  return shown;
}

}  // namespace sluice::ctl
