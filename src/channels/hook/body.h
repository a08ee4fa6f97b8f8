#pragma once
// The body of POST /hook/ACCOUNT: one message as JSON (RFC 8259). Strict: what is not understood is
// refused and named, and so is what is said twice. Pure functions.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/message.h"

namespace sluice::hook {

inline constexpr std::size_t kMaxProjects = 100;        // the core's bound is lower
inline constexpr std::size_t kMaxCallbackBytes = 2048;  // so that reply_to fits the core's bound

enum class AnswerBy : std::uint8_t {
  kCallback,
  kWait,    // in the response, if it comes in time
  kStream,  // in the response, as server-sent events
};

struct HookBody {
  InboundMessage message;  // reply_to is not set yet
  std::string callback;    // as the caller wrote it, empty if it named none
  AnswerBy answer_by = AnswerBy::kCallback;
};

/// header_id: the Idempotency-Key header, which may stand for the id; empty if there is none.
/// kInvalidArgument tells what is wrong ("unknown field \"txt\"") and never holds a message's text.
/// Allocates no more than a few times the body.
Result<HookBody> parse_body(std::string_view json, std::string_view header_id);

/// In the place of a callback, which it can't be: the answer is read from the log.
inline constexpr std::string_view kInResponse = "response:";

/// Where an answer goes, and which message it answers: what reply_to of a hook's messages holds.
struct ReplyTo {
  std::string callback;  // empty: the account's own
  std::string event;     // empty for what nobody asked for (an operator's send)
};
std::string to_string(const ReplyTo& to);
/// Takes anything; a text that to_string() did not make is a callback.
ReplyTo parse_reply_to(std::string_view text);

}  // namespace sluice::hook
