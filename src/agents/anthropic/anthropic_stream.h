#pragma once
// Reads the stream of a message. Its text is the text of all its text blocks, one after the other:
// a sentence may go on from one to the next. A value; protocol:
// docs.anthropic.com/en/docs/build-with-claude/streaming (2026-11).

#include "agents/model/model_stream.h"

namespace sluice {

class AnthropicDecoder : public StreamDecoder {
 public:
  Result<void> take(const net::SseEvent& event, ModelStream& stream) override;
};

}  // namespace sluice
