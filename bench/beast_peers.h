#pragma once
// The references of the rows about streams and pages: Beast as it comes, and nothing else. Each is
// a process of its own: sluice_bench beast-relay PORT, sluice_bench beast-sockets.

#include <cstdint>

namespace sluice::bench {

/// Hands each request on to the server at that port of the loopback, and the pieces of its answer
/// back as they come. Prints "port N" and serves until it is killed.
int beast_relay(std::uint16_t upstream);

/// Accepts WebSockets and waits for what they say. The same.
int beast_sockets();

}  // namespace sluice::bench
