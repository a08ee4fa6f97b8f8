#include "auth/codes.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

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

std::string OneTimeCodes::memory() const {
  std::string lines;
  for (const auto& [digest, code] : codes_) {
    lines += fmt::format("{} {} {} {}\n", to_hex(digest), code.until.ns,
                         fmt::join(code.holder.scopes.words(), ","), code.holder.person);
  }
  return lines;
}

void OneTimeCodes::remember(const std::string& memory) {
  std::istringstream lines(memory);
  std::string hex, words, person;
  MonoTime until;
  while (codes_.size() < kMost && lines >> hex >> until.ns >> words && lines.get() == ' ' &&
         std::getline(lines, person)) {
    std::vector<std::string> scopes;
    std::istringstream list(words);
    for (std::string word; std::getline(list, word, ',');) scopes.push_back(word);
    const Result<Scopes> parsed = Scopes::parse(scopes);
    const std::optional<Digest> digest = digest_from_hex(hex);
    // Clocks of one machine: no code becomes good for longer.
    until = std::min(until, loop_.now() + kLife);
    if (parsed && digest) codes_.emplace(*digest, Code{{person, *parsed}, until});
  }
}

}  // namespace sluice::auth
