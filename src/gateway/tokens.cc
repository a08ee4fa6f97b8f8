#include "gateway/tokens.h"

namespace sluice {

std::size_t estimate_tokens(std::string_view text) {
  constexpr std::size_t kAsciiPerToken = 4;
  std::size_t ascii = 0;
  std::size_t others = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    ascii += byte < 0x80;
    others += byte >= 0xC0;  // the first byte of each code point
  }
  return (ascii + kAsciiPerToken - 1) / kAsciiPerToken + others;
}

}  // namespace sluice
