#include "auth/codes.h"

#include <algorithm>

namespace sluice::auth {

std::string OneTimeCodes::issue(For holder) {
  const MonoTime now = loop_.now();
  std::erase_if(codes_, [&](const auto& entry) { return entry.second.until <= now; });
  if (codes_.size() >= kMost) {
    codes_.erase(std::min_element(codes_.begin(), codes_.end(), [](const auto& a, const auto& b) {
      return a.second.until < b.second.until;
    }));
  }
  std::string code = random_secret();
  codes_.emplace(digest_of(code), Code{std::move(holder), now + kLife});
  return code;
}

std::optional<OneTimeCodes::For> OneTimeCodes::redeem(std::string_view code) {
  auto node = codes_.extract(digest_of(code));
  if (node.empty() || node.mapped().until <= loop_.now()) return std::nullopt;
  return std::move(node.mapped().holder);
}

}  // namespace sluice::auth
