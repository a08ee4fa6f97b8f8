#pragma once
// Budgets: how many turns and tokens each person has used today. A day is that of the account's
// time zone. On disk with the turn that used them, as a named value of the core; those of earlier
// days are forgotten.
//
// Shard-confined. One entry a person who wrote today, for accounts that have a budget.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "gateway/agent.h"
#include "gateway/options.h"

namespace sluice {

class Budgets {
 public:
  struct Used {
    std::int64_t day = 0;
    std::uint64_t turns = 0;
    std::uint64_t tokens = 0;
  };
  /// Their marks begin so.
  static constexpr std::string_view kPrefix = "used:";

  /// Whether the account has any.
  static bool bounds(const AccountOptions& account) {
    return account.turns_per_day > 0 || account.tokens_per_day > 0;
  }
  /// Takes back what an earlier process wrote. False: it is no mark of ours.
  bool load(const std::string& mark, const std::string& value);

  /// A turn begins: counts it, and says what is used up if there is nothing left ("turns" or
  /// "tokens"; then it is not counted).
  std::optional<std::string_view> begin_turn(const AccountOptions& account, std::uint64_t person,
                                             std::int64_t day);
  /// It has ended, and this is what it cost: the mark for its transaction. nullopt if the account
  /// has no budget.
  std::optional<std::pair<std::string, std::string>> end_turn(const AccountOptions& account,
                                                              std::uint64_t person,
                                                              std::int64_t day, AgentUsage usage);
  /// Marks of days before this one, forgotten here; at most `most`.
  std::vector<std::string> forget_before(std::int64_t day, std::size_t most);
  std::size_t size() const { return used_.size(); }

 private:
  Used& of(std::uint64_t person, std::int64_t day);
  std::unordered_map<std::uint64_t, Used> used_;
};

}  // namespace sluice
