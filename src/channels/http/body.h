#pragma once
// The body of POST …/messages: one event or a batch of them, as JSON (RFC 8259). Strict: what is
// not understood is refused and named, and so is what is said twice.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "channels/http/auth.h"
#include "gateway/message.h"

namespace sluice::http {

inline constexpr std::size_t kMaxEvents = 1'000;  // of one body; the core's batch_max is lower
// Of one event; the core's bound is lower.
inline constexpr std::size_t kMaxProjects = 100;
inline constexpr std::size_t kMaxAttachments = 100;

struct PostedBody {
  bool batch = false;                  // it was an array
  std::vector<InboundMessage> events;  // without chat; not empty
};

/// kInvalidArgument tells what is wrong and where ("event 3: unknown field \"txt\""), kTooLarge if
/// there are too many events. Never holds a message's text. Allocates no more than a few times the
/// body.
Result<PostedBody> parse_body(std::string_view json);

/// Makes events of what was posted: chat, sender and id. key is the Idempotency-Key header, which
/// stands for the id of a single event (or for the revision, if it is an edit). kInvalidArgument,
/// or kPermissionDenied if the caller may not speak for that sender.
Result<void> complete(PostedBody& body, const Caller& caller, std::string_view chat,
                      std::optional<std::string_view> key);

}  // namespace sluice::http
