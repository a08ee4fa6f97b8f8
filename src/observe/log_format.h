#pragma once
// How an event becomes one line. Text: event key=value key="quoted value". JSON:
// "event":"…","key":value, without the braces, because time and level come before it.
//
// Values are data from outside until shown otherwise: control characters, bidirectional overrides
// and invalid UTF-8 are escaped or replaced, so that a value can neither start a line of its own,
// nor drive a terminal, nor look like another field. A value is cut at kMaxLogValueBytes.
//
// Thread: any; no state.

#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "observe/log.h"

namespace sluice {

inline constexpr std::size_t kMaxLogValueBytes = 4096;

/// "debug", "info", "warn", "error".
std::string_view to_string(LogLevel level);

/// A JSON string (RFC 8259 §7), quotes included, that is valid UTF-8 whatever value holds.
void append_quoted(fmt::memory_buffer& out, std::string_view value);

void append_text(fmt::memory_buffer& out, std::string_view event, std::span<const LogField> fields);
void append_json(fmt::memory_buffer& out, std::string_view event, std::span<const LogField> fields);

/// Invalid sequences become U+FFFD; what Prometheus and JSON ask of a string.
std::string valid_utf8(std::string_view text);

}  // namespace sluice
