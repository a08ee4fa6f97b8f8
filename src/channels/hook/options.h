#pragma once
// What can be set about an account of kind "hook". Values.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "config/schema.h"
#include "config/secret.h"
#include "gateway/options.h"

namespace sluice::hook {

/// What its two directions
/// need.
struct HookOptions : AccountOptions {
  // In.
  // Without either of these nothing can be posted: there is no path.
  config::Secret token;
  config::Secret receive_secret;                        // callers sign with it
  std::chrono::milliseconds signature_window{300'000};  // around a signature's time: 401
  std::uint32_t rate = 100;                             // requests a second: 429
  std::uint32_t burst = 200;                            // and at once
  std::uint64_t body_max = 1 << 20;                     // bytes of one request's body: 413

  // Answers in the response.
  std::chrono::milliseconds wait_timeout{25'000};  // then 202 and a link
  std::uint32_t waits_max = 1'000;                 // requests that wait or stream at once: 429

  // Out.
  std::string callback;                     // for messages that name none; trusted as written
  std::vector<std::string> callback_allow;  // where callers' callbacks may go besides public places
  config::Secret signing_secret;
  std::chrono::milliseconds timeout{20'000};        // less than the core's send_timeout
  std::chrono::milliseconds idempotency_window{0};  // 0: the receiver does not know our keys
  std::uint64_t part_bytes_max = 64 << 10;          // text of one part
};
void declare(config::Section<HookOptions>& s);

}  // namespace sluice::hook
