#include "agents/anthropic/anthropic_stream.h"
#include "agents/model/stream_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return sluice::model_test::fuzz_stream<sluice::AnthropicDecoder>(data, size);
}
