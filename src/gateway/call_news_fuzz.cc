// News of calls, as one generation tells them to the next: what is taken is told the same way
// again.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "gateway/succession.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto news = sluice::decode_call_news(bytes);
  if (!news) return 0;
  SLUICE_ASSERT(sluice::encode(*news) == bytes);
  return 0;
}
