#pragma once
// A turn as the conversation that model APIs take: who said what, in turns. Pure.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/agent.h"

namespace sluice {

/// An image that a person sent. What the model is shown of it comes later (pictures.h).
struct Picture {
  std::string id;           // as the message names it
  bool in_history = false;  // of an earlier turn
  std::string type = {};    // "image/png"
  std::string base64 = {};
  friend bool operator==(const Picture&, const Picture&) = default;
};

struct Speech {
  bool person = true;  // else: the agent
  std::string text;
  std::vector<Picture> pictures = {};  // the person's; they come before the text
  friend bool operator==(const Speech&, const Speech&) = default;
};

/// The history and then the new messages, never empty. It begins and ends with the person, the two
/// alternate (what one said in several messages is joined by line feeds), and none is without text
/// and pictures: Anthropic's API and the templates of many local models refuse anything else.
std::vector<Speech> conversation_of(const TurnRequest& request);

/// What stands in the text for an image that the model is not shown.
inline constexpr std::string_view kPictureMarker = "[image]";

/// Every picture, newest first, for which keep() is false becomes a marker in its speech's text.
void filter_pictures(std::vector<Speech>& conversation, const std::function<bool(Picture&)>& keep);
bool any_picture(const std::vector<Speech>& conversation,
                 const std::function<bool(const Picture&)>& which);

}  // namespace sluice
