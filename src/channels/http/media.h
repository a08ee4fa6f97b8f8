#pragma once
// The requests about what is attached to messages (docs/http-api.md). Internal to this folder; the
// rules of requests.h.

#include <memory>
#include <vector>

#include "base/result.h"
#include "channels/http/auth.h"
#include "gateway/message.h"
#include "media/kinds.h"
#include "net/http_server.h"
#include "runtime/task.h"

namespace sluice::http {

struct Face;

Task<void> post_media(std::shared_ptr<Face> face, Authenticator* authenticator,
                      net::HttpExchange* exchange);
Task<void> get_media(std::shared_ptr<Face> face, Authenticator* authenticator,
                     net::HttpExchange* exchange);

/// The attachments of these events, each its sender's own; kNotFound names one that is not: what is
/// somebody else's looks like what does not exist.
Result<std::vector<media::Id>> attachments_of(const Face& face,
                                              const std::vector<InboundMessage>& events);

}  // namespace sluice::http
