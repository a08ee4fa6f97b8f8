#pragma once
// An answer as a stream of chunks. Internal to this folder.

#include <memory>

#include "channels/openai/asked.h"
#include "gateway/turn_follower.h"
#include "net/http_server.h"
#include "runtime/task.h"

namespace sluice::openai {

struct Face;

/// Until the answer has ended, the client has gone, or the stream goes on from another process
/// (HttpExchange::go_on_elsewhere). follower and exchange outlive it.
Task<void> answer_streamed(std::shared_ptr<Face> face, net::HttpExchange* exchange,
                           TurnFollower* follower, Asked asked);

}  // namespace sluice::openai
