#include "gateway/budgets.h"

#include <cstdio>

#include <fmt/core.h>

namespace sluice {
namespace {

std::string mark_of(std::uint64_t person) {
  return fmt::format("{}{:016x}", Budgets::kPrefix, person);
}

}  // namespace

bool Budgets::load(const std::string& mark, const std::string& value) {
  unsigned long long person = 0;
  long long day = 0;
  unsigned long long turns = 0;
  unsigned long long tokens = 0;
  if (!mark.starts_with(kPrefix)) return false;
  if (std::sscanf(mark.c_str() + kPrefix.size(), "%16llx", &person) != 1 ||
      std::sscanf(value.c_str(), "%lld %llu %llu", &day, &turns, &tokens) != 3)
    return false;
  used_[person] = Used{day, turns, tokens};
  return true;
}

Budgets::Used& Budgets::of(std::uint64_t person, std::int64_t day) {
  Used& used = used_[person];
  if (used.day < day) used = Used{day, 0, 0};
  return used;
}

std::optional<std::string_view> Budgets::begin_turn(const AccountOptions& account,
                                                    std::uint64_t person, std::int64_t day) {
  if (!bounds(account)) return std::nullopt;
  Used& used = of(person, day);
  if (account.turns_per_day > 0 && used.turns >= account.turns_per_day) return "turns";
  if (account.tokens_per_day > 0 && used.tokens >= account.tokens_per_day) return "tokens";
  ++used.turns;
  return std::nullopt;
}

std::optional<std::pair<std::string, std::string>> Budgets::end_turn(const AccountOptions& account,
                                                                     std::uint64_t person,
                                                                     std::int64_t day,
                                                                     AgentUsage usage) {
  if (!bounds(account)) return std::nullopt;
  Used& used = of(person, day);
  used.tokens += usage.input_tokens + usage.output_tokens;
  return std::pair(mark_of(person), fmt::format("{} {} {}", used.day, used.turns, used.tokens));
}

std::vector<std::string> Budgets::forget_before(std::int64_t day, std::size_t most) {
  std::vector<std::string> marks;
  for (auto it = used_.begin(); it != used_.end() && marks.size() < most;) {
    if (it->second.day >= day) {
      ++it;
      continue;
    }
    marks.push_back(mark_of(it->first));
    it = used_.erase(it);
  }
  return marks;
}

}  // namespace sluice
