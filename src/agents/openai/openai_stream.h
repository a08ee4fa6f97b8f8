#pragma once
// Reads the stream of a chat completion. Only the first choice is ours; we ask for no other. A
// value; protocol: platform.openai.com/docs/api-reference/chat-streaming (2026-11).

#include <cstdint>

#include <boost/json/object.hpp>

#include "agents/model/model_stream.h"

namespace sluice {

class OpenAiDecoder : public StreamDecoder {
 public:
  Result<void> take(const net::SseEvent& event, ModelStream& stream) override;

 private:
  void take_choice(const boost::json::object& choice, ModelStream& stream);
  void take_tools(const boost::json::array& calls, ModelStream& stream);

  std::int64_t tools_seen_ = 0;  // indices below it have been told
};

}  // namespace sluice
