// Whatever a peer asks for: no crash, and a wait within its bounds.
#include <cstdint>
#include <cstdlib>

#include "net/retry_after.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto wait = net::parse_retry_after(text, UnixMillis{784'111'777'000});
  if (wait && (wait->count() < 0 || *wait > net::kRetryAfterMost)) std::abort();
  return 0;
}
