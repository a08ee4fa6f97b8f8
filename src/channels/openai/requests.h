#pragma once
// The requests of this face, one function each. Internal to this folder. The caller is in the
// exchange's context. face->host is there until the first wait; then only while !face->stopping.

#include <memory>

#include "net/http_server.h"
#include "runtime/task.h"

namespace sluice::openai {

struct Face;

// Pointers, because a coroutine's parameters are copied: the exchange outlives its handler.
Task<void> post_completion(std::shared_ptr<Face> face, net::HttpExchange* exchange);
Task<void> get_models(std::shared_ptr<Face> face, net::HttpExchange* exchange);
Task<void> get_model(std::shared_ptr<Face> face, net::HttpExchange* exchange);

}  // namespace sluice::openai
