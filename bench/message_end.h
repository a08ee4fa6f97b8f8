#pragma once
// Where an HTTP message with a Content-Length ends. For well-behaved peers only: the benchmarks'
// own client and bare server.

#include <charconv>
#include <string_view>

namespace sluice::bench {

/// Bytes of the first message in text; 0 if it is not whole yet.
inline std::size_t message_end(std::string_view text) {
  const std::size_t head = text.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  std::size_t length = 0;
  for (const std::string_view name : {"Content-Length: ", "content-length: "}) {
    const std::size_t at = text.substr(0, head).find(name);
    if (at == std::string_view::npos) continue;
    const char* digits = text.data() + at + name.size();
    std::from_chars(digits, text.data() + head, length);
  }
  return text.size() >= head + 4 + length ? head + 4 + length : 0;
}

}  // namespace sluice::bench
