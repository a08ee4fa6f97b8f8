#pragma once
// Scopes: what a credential may be used for. Words of an API: stable.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::auth {

enum class Scope : std::uint8_t {
  kChat = 1,     // talk, in conversations of one's own
  kAll = 2,      // any conversation of the account, and naming who speaks
  kMetrics = 4,  // read /metrics
  kAdmin = 8,    // operations; never implied by another
};

/// A set of scopes. A value.
class Scopes {
 public:
  Scopes() = default;
  Scopes(std::initializer_list<Scope> scopes) {
    for (const Scope scope : scopes) bits_ |= static_cast<std::uint8_t>(scope);
  }
  bool has(Scope scope) const { return (bits_ & static_cast<std::uint8_t>(scope)) != 0; }
  bool empty() const { return bits_ == 0; }
  friend bool operator==(Scopes, Scopes) = default;

  /// "chat", "all", "metrics", "admin", in that order.
  std::vector<std::string> words() const;
  /// kInvalidArgument names the word that is no scope; so does an empty list.
  static Result<Scopes> parse(const std::vector<std::string>& words);

 private:
  std::uint8_t bits_ = 0;
};

}  // namespace sluice::auth
