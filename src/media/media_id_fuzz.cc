// An id that is let through is exactly its text, and safe as a path.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "media/kinds.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)sluice::media::type_of_bytes(text);
  const auto id = sluice::media::Id::parse(text);
  if (!id) return 0;
  const std::string path = id->owner.text() + "/" + id->file();
  const bool plain = path.find_first_not_of("0123456789abcdef/.pngjifweb") == std::string::npos;
  if (id->text() != text || !plain || path.find("..") != std::string::npos) std::abort();
  return 0;
}
