#pragma once
// For fuzz programs of stream decoders. Whatever the bytes: no crash, the text is UTF-8 and only
// grows, the tools are bounded, and pieces cut elsewhere tell the same.

#include <cstdlib>
#include <string_view>
#include <vector>

#include "agents/model/model_stream.h"
#include "base/utf8.h"

namespace sluice::model_test {

template <class Decoder>
ModelStream decode(std::string_view bytes, std::size_t cut) {
  Decoder decoder;
  ModelStream stream;
  net::SseParser parser(4096);
  for (const std::string_view piece : {bytes.substr(0, cut), bytes.substr(cut)}) {
    std::vector<net::SseEvent> events;
    const bool parsed = parser.put(piece, events).has_value();
    for (const net::SseEvent& event : events) {
      const std::size_t before = stream.text.size();
      if (!decoder.take(event, stream) || stream.ended) return stream;
      if (stream.text.size() < before) std::abort();
    }
    if (!parsed) return stream;
  }
  return stream;
}

/// The first byte says where to cut the rest.
template <class Decoder>
int fuzz_stream(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const ModelStream whole = decode<Decoder>(bytes, bytes.size());
  const ModelStream pieces = decode<Decoder>(bytes, data[0] % (bytes.size() + 1));
  if (!is_utf8(whole.text) || !is_utf8(notice_of(whole))) std::abort();
  if (whole.tools.size() > ModelStream::kToolsMax) std::abort();
  if (whole.text != pieces.text || whole.finish != pieces.finish) std::abort();
  if (whole.ended != pieces.ended || whole.tools != pieces.tools) std::abort();
  return 0;
}

}  // namespace sluice::model_test
