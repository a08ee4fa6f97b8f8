// The first byte chooses the framing, the second how the rest is cut into pieces.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "services/framing.h"
#include "services/json_rpc.h"

using sluice::services::Deframer;
using sluice::services::Framing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto framing = static_cast<Framing>(data[0] % 3);
  const std::size_t piece = data[1] % 16 + std::size_t{1};
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  Deframer deframer(framing, 4096);
  while (!rest.empty()) {
    deframer.feed(rest.substr(0, piece));
    rest.remove_prefix(std::min(piece, rest.size()));
    for (;;) {
      const auto frame = deframer.next();
      if (!frame) return 0;
      if (!*frame) break;
      SLUICE_ASSERT(!(*frame)->empty() && (*frame)->size() <= 4096);
      const auto messages = sluice::services::decode_rpc(**frame);
      if (!messages) continue;
      for (const auto& message : *messages) {
        // What we say back can be read again.
        const auto back = sluice::services::encode_result(message.id, message.params);
        Deframer again(framing);
        again.feed(sluice::services::framed(framing, back));
        const auto once = again.next();
        SLUICE_ASSERT(once && *once && **once == back);
      }
    }
  }
  return 0;
}
