#pragma once
// OneTimeCodes: what stands in a printed URL, and becomes a cookie when it is opened. A code works
// once and for a few minutes, so that a URL in a terminal's or a proxy's log is worth nothing.
//
// Shard-confined. On no disk; a successor is told of them (memory()).

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "auth/scopes.h"
#include "auth/secret_text.h"
#include "base/time.h"
#include "runtime/loop.h"

namespace sluice::auth {

class OneTimeCodes {
 public:
  static constexpr std::size_t kMost = 100;  // the oldest goes when there is another
  static constexpr std::chrono::minutes kLife{15};

  struct For {
    std::string person;
    Scopes scopes;
  };

  explicit OneTimeCodes(Loop& loop) : loop_(loop) {}
  std::string issue(For holder);
  /// nullopt: unknown, used, or too old. It is used up by this call.
  std::optional<For> redeem(std::string_view code);
  std::size_t size() const { return codes_.size(); }

  /// Those that are good still, for a successor: a line each, digests only.
  std::string memory() const;
  void remember(const std::string& memory);

 private:
  struct Code {
    For holder;
    MonoTime until;
  };
  Loop& loop_;
  std::map<Digest, Code> codes_;
};

}  // namespace sluice::auth
