#pragma once
// A turn as the conversation that model APIs take: who said what, in turns. Pure.

#include <string>
#include <vector>

#include "gateway/agent.h"

namespace sluice {

struct Speech {
  bool person = true;  // else: the agent
  std::string text;
  friend bool operator==(const Speech&, const Speech&) = default;
};

/// The history and then the new messages, never empty. It begins and ends with the person, the two
/// alternate (what one said in several messages is joined by line feeds), and no text is blank:
/// Anthropic's API and the templates of many local models refuse anything else.
std::vector<Speech> conversation_of(const TurnRequest& request);

}  // namespace sluice
