#pragma once
// Reads the stream of a webhook agent (docs/agents/webhook.md):
//
//   data: {"delta": "…"}            the next piece of the text
//   event: working                  a sign of life; its data is not looked at
//   event: done    data: {…}        the end: the JSON of an answer, whose text may be left out
//   event: error   data: {"error": {…}}
//
// Other events change nothing. A value; the reply is whole once the stream has ended.

#include "agents/model/model_stream.h"
#include "gateway/agent.h"

namespace sluice {

class WebhookDecoder : public StreamDecoder {
 public:
  Result<void> take(const net::SseEvent& event, ModelStream& stream) override;

  /// What came with the end; its text is the stream's.
  AgentReply reply;
  /// Whether the error that take() returned is one that the agent told.
  bool told = false;

 private:
  Result<void> take_end(const net::SseEvent& event, ModelStream& stream);
};

}  // namespace sluice
