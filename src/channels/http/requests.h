#pragma once
// The requests of the HTTP face, one function each (docs/http-api.md). Internal to this folder.
// Those that stream are in streams.cc.
// The caller is in the exchange's context, what the path names in its params. face->host is there
// until the first wait; then only while !face->stopping.

#include <memory>

#include "channels/http/auth.h"
#include "net/http_server.h"
#include "runtime/task.h"

namespace sluice::http {

struct Face;

// Pointers, because a coroutine's parameters are copied: the exchange outlives its handler.
Task<void> post_messages(std::shared_ptr<Face> face, Authenticator* authenticator,
                         net::HttpExchange* exchange);
Task<void> delete_message(std::shared_ptr<Face> face, Authenticator* authenticator,
                          net::HttpExchange* exchange);
Task<void> post_stop(std::shared_ptr<Face> face, Authenticator* authenticator,
                     net::HttpExchange* exchange);
Task<void> get_events(std::shared_ptr<Face> face, Authenticator* authenticator,
                      net::HttpExchange* exchange);
Task<void> get_socket(std::shared_ptr<Face> face, Authenticator* authenticator,
                      net::HttpExchange* exchange);
/// Those that the caller has; in conversations.cc.
Task<void> get_conversations(std::shared_ptr<Face> face, Authenticator* authenticator,
                             net::HttpExchange* exchange);
Task<void> get_history(std::shared_ptr<Face> face, Authenticator* authenticator,
                       net::HttpExchange* exchange);
Task<void> get_message(std::shared_ptr<Face> face, Authenticator* authenticator,
                       net::HttpExchange* exchange);

}  // namespace sluice::http
