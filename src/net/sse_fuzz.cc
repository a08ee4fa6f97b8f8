// Whatever the bytes: no crash, the bound holds, cutting them elsewhere gives the same events, and
// an event that is written reads the same.
#include <cstdlib>

#include "net/sse.h"

using sluice::net::SseEvent;
using sluice::net::SseParser;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t cut = data[0];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr std::size_t kBound = 256;
  SseParser whole(kBound);
  SseParser pieces(kBound);
  std::vector<SseEvent> a;
  std::vector<SseEvent> b;
  const bool whole_ok = whole.put(text, a).has_value();
  bool pieces_ok = true;
  const std::size_t step = cut % 7 + 1;
  for (std::size_t i = 0; i < text.size() && pieces_ok; i += step) {
    pieces_ok = pieces.put(text.substr(i, step), b).has_value();
  }
  if (whole_ok != pieces_ok || a != b) std::abort();
  for (const SseEvent& event : a) {
    if (event.data.size() > kBound) std::abort();
    SseParser again(4 * kBound);
    std::vector<SseEvent> read;
    if (!again.put(sluice::net::format_sse(event), read) || read.size() != 1) std::abort();
    if (read[0].data != event.data) std::abort();
  }
  return 0;
}
