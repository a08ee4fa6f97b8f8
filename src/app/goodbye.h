#pragma once
// What the end of a stop tells others: each URL of `shutdown.notify` is posted to, all at once.
//
//   POST URL
//   X-Sluice-Signature: t=…,v1=…          (if there is a secret; as the hook channel signs)
//   {"event":"stopping","restart":false,"version":"0.1.0","generation":7,"at":1795302780526}
//
// 2xx is success; redirects are not followed. The URLs are the operator's own, so no egress policy
// stands between. Shard-confined; cancelled by destruction.

#include <string>

#include "app/options.h"
#include "net/http_client.h"
#include "runtime/shard.h"

namespace sluice::app {

struct Goodbye {
  bool restart = false;
  std::int64_t generation = 0;
};

/// Each of them has so long.
inline constexpr Duration kGoodbyeTimeout = std::chrono::seconds(2);

/// An error tells how many were not reached, and why the first was not.
Task<Result<void>> say_goodbye(Shard* shard, net::HttpClient* client, const GoodbyeOptions* options,
                               Goodbye goodbye);

}  // namespace sluice::app
