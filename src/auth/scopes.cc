#include "auth/scopes.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::auth {
namespace {

constexpr std::array<std::pair<std::string_view, Scope>, 4> kWords = {{
    {"chat", Scope::kChat},
    {"all", Scope::kAll},
    {"metrics", Scope::kMetrics},
    {"admin", Scope::kAdmin},
}};

}  // namespace

std::vector<std::string> Scopes::words() const {
  std::vector<std::string> out;
  for (const auto& [word, scope] : kWords) {
    if (has(scope)) out.emplace_back(word);
  }
  return out;
}

Result<Scopes> Scopes::parse(const std::vector<std::string>& words) {
  Scopes out;
  for (const std::string& word : words) {
    const auto found = std::find_if(kWords.begin(), kWords.end(),
                                    [&](const auto& known) { return known.first == word; });
    if (found == kWords.end()) {
      return Error(ErrorKind::kInvalidArgument,
                   "\"" + word + "\" is no scope; there are chat, all, metrics and admin");
    }
    out.bits_ |= static_cast<std::uint8_t>(found->second);
  }
  if (out.empty()) return Error(ErrorKind::kInvalidArgument, "no scope was named");
  return out;
}

}  // namespace sluice::auth
