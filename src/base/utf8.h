#pragma once
// Text that came from outside: is it UTF-8, and what is its shape once normalised.

#include <string>
#include <string_view>

namespace sluice {

/// Well-formed UTF-8 per Unicode 15 table 3-7: no overlong forms, no surrogates.
bool is_utf8(std::string_view text);

/// The largest n <= limit such that text[0, n) does not cut a code point.
std::size_t utf8_floor(std::string_view text, std::size_t limit);

/// What C3 compares: CR LF becomes LF, trailing white space of the whole text goes. Nothing else:
/// two texts that a person can tell apart must stay apart.
std::string normalise_text(std::string_view text);

/// For terminals: C0 and C1 control characters except \n and \t are taken out, escape sequences
/// too.
std::string strip_terminal_controls(std::string_view text);

}  // namespace sluice
