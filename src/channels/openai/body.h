#pragma once
// The body of POST /v1/chat/completions: which message it is for the gateway.
//
// OpenAI's clients send the whole conversation each time. Here a conversation has a log of its own,
// so only one of both can count (docs/channels/openai.md): with "user" it is ours, and the last
// message is the one that is new; without it the request is a conversation of its own, and what
// came before is folded into its text.
//
// Images of the user's messages come along where those count, as data: URLs; nothing is fetched for
// a client. What would change the answer and can't be done is refused and named: tools, several
// choices, sounds, formats. Parameters of sampling belong to the agent's configuration and are
// ignored, like every field that is not known, as OpenAI does.
//
// Any thread; pure. Allocates at most some forty times the body.
//
// Reference: https://platform.openai.com/docs/api-reference/chat/create (2025-11).

#include <string>
#include <string_view>
#include <vector>

#include "channels/openai/refusal.h"
#include "media/kinds.h"

namespace sluice::openai {

inline constexpr std::size_t kMessagesMax = 1'000;  // of one body
inline constexpr std::size_t kUserBytesMax = 256;   // of "user"
inline constexpr std::size_t kPartsMax = 1'000;     // of one message's content
inline constexpr std::size_t kImagesMax = 20;       // of one body, as far as they count

struct Image {
  std::string param;  // where it was
  media::Type type = media::Type::kPng;
  std::string bytes;  // not looked at: whether they are of that type is seen when they are kept
};

struct ChatRequest {
  std::string model;
  std::string user;  // empty: a conversation of its own
  std::string text;  // UTF-8 without NUL; empty only where there are images
  std::vector<Image> images;
  bool stream = false;
  bool include_usage = false;
};

/// 400, with the field it is about. Never holds a message's text.
Checked<ChatRequest> parse_body(std::string_view json);

/// The same request once its messages are accepted, for whoever goes on with it.
std::string without_messages(const ChatRequest& request);
Checked<ChatRequest> parse_without_messages(std::string_view json);

}  // namespace sluice::openai
