#pragma once
// The requests of a hook's callers, once they have come in. Internal to this folder. face->host is
// there until the first wait; then only while !face->stopping.

#include <memory>

#include "channels/hook/body.h"
#include "net/http_server.h"
#include "runtime/task.h"

namespace sluice::hook {

struct Face;

net::HttpResponse problem_of(const Error& error);

// Pointers, because a coroutine's parameters are copied: the exchange outlives its handler.
/// Accepts the message, and answers as it asks for.
Task<void> post_message(std::shared_ptr<Face> face, net::HttpExchange* exchange, HookBody body);
/// What became of a message of this account.
Task<void> get_answer(std::shared_ptr<Face> face, net::HttpExchange* exchange);

}  // namespace sluice::hook
