#pragma once
// Asked: which answer a request waits for, and what its client hears with it or in its place.
// Internal to this folder. Values; pure functions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "channels/openai/body.h"
#include "channels/openai/completion.h"
#include "channels/openai/refusal.h"
#include "gateway/answer.h"
#include "gateway/turn_follower.h"
#include "net/http_types.h"
#include "runtime/loop.h"

namespace sluice::openai {

inline constexpr std::string_view kKeyHeader = "Idempotency-Key";
inline constexpr std::size_t kKeyBytesMax = 255;

/// What the client of a stream has of it, for the process that goes on with it.
struct Shown {
  TurnId turn;             // 0: nothing of its text was told yet
  std::size_t bytes = 0;   // of the answer's text
  std::uint64_t hash = 0;  // of those
  UnixMillis created;
};

std::uint64_t hash_of(std::string_view text);
/// As the value of net::kGoOnHeader.
std::string to_text(const Shown& shown);

/// Which answer is waited for, and what its client should hear with it.
struct Asked {
  Heading heading;
  std::string key;             // the client's, or ours
  bool key_is_ours = false;    // a client that repeats by itself would ask anew
  std::optional<Shown> shown;  // the rest of a stream is asked for
};

/// "123" or, as structured headers quote it, "\"123\"". A client without one gets one of ours.
Checked<Asked> asked_of(const net::HttpRequest& request, const ChatRequest& body, Loop& loop);
net::HttpResponse with_names(net::HttpResponse response, const Asked& asked);
/// After the message was accepted: a client without a key of its own would ask it twice.
Refusal told(Refusal refusal, const Asked& asked);
Refusal not_answered_yet(const Asked& asked, std::string_view why, std::string code);
/// An answer that is none: what went wrong, in the words the person would read.
Refusal failure_of(const TurnFollower::Step& step, const Asked& asked);
Finish finish_of(const Answer& answer);

}  // namespace sluice::openai
