#include "base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sluice {
namespace {

/// Length of the well-formed sequence at the start of text, 0 if there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const auto continues = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (!continues(1) || !continues(2)) return 0;
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
    if (lead == 0xED && byte(1) > 0x9F) return 0;  // surrogates
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (lead == 0xF0 && byte(1) < 0x90) return 0;
    if (lead == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    // Eight ASCII bytes at once: what people write is mostly that.
    std::uint64_t word = 0;
    if (text.size() >= sizeof word) {
      std::memcpy(&word, text.data(), sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        text.remove_prefix(sizeof word);
        continue;
      }
    }
    const std::size_t n = sequence_length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

std::size_t utf8_floor(std::string_view text, std::size_t limit) {
  if (limit >= text.size()) return text.size();
  while (limit > 0 && (static_cast<std::uint8_t>(text[limit]) & 0xC0) == 0x80) --limit;
  return limit;
}

std::string normalise_text(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\r' ||
                           text.back() == '\t')) {
    text.remove_suffix(1);
  }
  if (std::find(text.begin(), text.end(), '\r') == text.end()) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    out.push_back(text[i]);
  }
  return out;
}

std::string strip_terminal_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<std::uint8_t>(text[i]);
    if (c == 0x1B) {
      // ECMA-48: CSI "ESC [ params final", string sequences (OSC, DCS, SOS, PM, APC) up to ST or
      // BEL, and two-byte escapes. What is unfinished is dropped whole.
      const char kind = i + 1 < text.size() ? text[i + 1] : '\0';
      if (kind == '[') {
        i += 2;
        while (i < text.size() && !(text[i] >= 0x40 && text[i] <= 0x7E)) ++i;
      } else if (kind == ']' || kind == 'P' || kind == 'X' || kind == '^' || kind == '_') {
        i += 2;
        while (i < text.size() && text[i] != '\a' &&
               !(text[i] == 0x1B && i + 1 < text.size() && text[i + 1] == '\\')) {
          ++i;
        }
        if (i < text.size() && text[i] == 0x1B) ++i;
      } else {
        // Intermediate bytes, then a final one. Anything else is text: its first byte may begin a
        // character of several.
        std::size_t end = i + 1;
        while (end < text.size() && text[end] >= 0x20 && text[end] <= 0x2F) ++end;
        if (end < text.size() && text[end] >= 0x30 && text[end] <= 0x7E) ++end;
        i = end - 1;
      }
      continue;
    }
    if (c >= 0x80 && c <= 0x9F && !out.empty() && out.back() == '\xC2') {
      out.pop_back();  // C1 controls, 8-bit CSI among them
      continue;
    }
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) continue;
    out.push_back(text[i]);
  }
  return out;
}

}  // namespace sluice
