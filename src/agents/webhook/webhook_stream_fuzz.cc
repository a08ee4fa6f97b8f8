#include "agents/model/stream_fuzz.h"
#include "agents/webhook/webhook_stream.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return sluice::model_test::fuzz_stream<sluice::WebhookDecoder>(data, size);
}
