#pragma once
// What can be set about an account of kind "http" or "cli".

#include <cstdint>

#include "config/schema.h"
#include "gateway/options.h"

namespace sluice::http {

/// The bounds of its face, besides what every account has.
struct HttpChannelOptions : AccountOptions {
  std::uint64_t body_max = 1 << 20;        // bytes of one request's body: 413
  std::uint32_t streams_max = 8'000;       // readers of events at once: 503
  std::uint32_t streams_per_person = 100;  // and of one person: 429
};

inline void declare(config::Section<HttpChannelOptions>& s) {
  using O = HttpChannelOptions;
  s.size("body_max", &O::body_max, "The largest body of a request.").between(4 << 10, 64 << 20);
  s.integer("streams_max", &O::streams_max, "How many readers may follow conversations at once.")
      .between(1, 1'000'000);
  s.integer("streams_per_person", &O::streams_per_person, "And how many of one person.")
      .between(1, 1'000'000);
}

}  // namespace sluice::http
