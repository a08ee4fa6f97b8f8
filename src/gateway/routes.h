#pragma once
// Routes: which agent answers a message. Rules are looked at in their order, the first that matches
// wins, and without one the account's own agent answers.
//
// Values, any thread. Texts are matched with RE2, whose time is linear in the text
// (https://github.com/google/re2/wiki/Syntax).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/message.h"

namespace sluice {

enum class RouteChats : std::uint8_t { kAny, kDirect, kGroup };

/// One rule. What is empty matches everything; a name that ends in "*" matches all that begin so.
struct RouteRule {
  std::string name;
  std::vector<std::string> account;
  std::vector<std::string> chat;
  std::vector<std::string> sender;
  RouteChats chats = RouteChats::kAny;
  std::string command;  // "/draw": the message's first word
  std::string text;     // a regular expression that is found in the message
  std::string agent;
  std::string model;  // for agents that can ask several; empty: the agent's own
};

/// What a rule looks at.
struct RouteSubject {
  std::string_view account;
  std::string_view chat;
  ChatKind kind = ChatKind::kDirect;
  std::string_view sender;
  std::string_view text;
};

/// Who answers, and how. Empty: the account's own agent, the agent's own model.
struct Target {
  std::string agent;
  std::string model;
  friend bool operator==(const Target&, const Target&) = default;
};

/// What became of one rule, for `sluice route --explain`.
struct RouteStep {
  std::string rule;
  bool matches = false;
  std::string why;  // the first condition that does not hold, or all that do
};

class Routes {
 public:
  /// So much of a message's text is matched against patterns.
  static constexpr std::size_t kTextMatched = 4096;
  static constexpr std::size_t kPatternMax = 1024;  // bytes

  Routes();
  Routes(Routes&&) noexcept;
  Routes& operator=(Routes&&) noexcept;
  ~Routes();

  /// kInvalidArgument, with the rule's name: a pattern that RE2 does not take or that is too long.
  static Result<Routes> make(std::vector<RouteRule> rules);
  /// What is wrong with a pattern, or nothing.
  static std::string check_pattern(const std::string& pattern);

  bool empty() const { return compiled_.empty(); }
  Target choose(const RouteSubject& subject) const;
  std::vector<RouteStep> explain(const RouteSubject& subject) const;

 private:
  struct Compiled;
  std::vector<std::unique_ptr<Compiled>> compiled_;
};

}  // namespace sluice
