#pragma once
// The operations as HTTP routes. Errors are problem+json whose type ends in the error's kind
// ("urn:sluice:problem:not-found") and whose detail says what was wrong; an error to be tried again
// carries Retry-After. Shard-confined.

#include <cstdint>

#include "admin/operations.h"
#include "net/router.h"
#include "observe/log.h"

namespace sluice::admin {

/// Where a router is reached from. The network's has no operation that is local_only.
enum class Face : std::uint8_t { kSocket, kNetwork };

/// gate decides who may ask (empty: whoever reaches the router); it is asked before any body is
/// read, and may say in the decision's context, as a std::string, who that is, for the log. The
/// operations and the log must outlive the router's server.
void mount(net::Router& router, const Operations& operations, Logger& log, Face face,
           net::HttpGate gate = {});

/// An Error as the answer that says it.
net::HttpResponse problem_of(const Error& error);

}  // namespace sluice::admin
