#pragma once
// Door: who may post to an account of kind "hook", and how fast. A caller shows the account's
// token, or signs what it sends (auth/signature.h):
//
//   POST  the body as it leaves
//   GET   "GET <target>", such as "GET /hook/desk/messages/7"
//
// A signature is good once, and for a while around its time: whoever overhears a signed request can
// neither send it again nor keep it for later. Rates are counted behind the credentials, so that
// nobody can use up what is another's.
//
// Shard-confined. Owned by the channel; loop and options outlive it.

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "auth/signature.h"
#include "base/result.h"
#include "base/token_bucket.h"
#include "channels/hook/options.h"
#include "net/http_types.h"
#include "runtime/loop.h"

namespace sluice::hook {

class Door {
 public:
  static constexpr std::size_t kUsedMax = 65'536;  // signatures remembered: 429

  Door(Loop& loop, const HookOptions& options);

  /// Whether anybody can come in at all.
  bool is_open() const { return !options_.token.empty() || !options_.receive_secret.empty(); }
  /// What the head alone tells, before a body is read. kUnauthenticated, kRateLimited.
  Result<void> screen(const net::HttpRequest& request);
  /// The rest, once the body is there. kUnauthenticated; kConflict: this signature was used;
  /// kRateLimited.
  Result<void> check(const net::HttpRequest& request);

  /// Rate and used signatures, as JSON: a restart must not make either new.
  std::string memory() const;
  void remember(const std::string& memory);

 private:
  bool by_token(const net::HttpRequest& request) const;
  Result<auth::Signature> signature_of(const net::HttpRequest& request) const;
  Result<void> take();
  Result<void> use(const auth::Signature& signature);

  Loop& loop_;
  const HookOptions& options_;
  const auth::Digest token_digest_;
  TokenBucket bucket_;
  /// Those that are still good otherwise, by the second they were made in.
  std::map<std::int64_t, std::set<auth::Digest>> used_;
  std::size_t used_count_ = 0;
};

}  // namespace sluice::hook
