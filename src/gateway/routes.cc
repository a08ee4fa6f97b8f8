#include "gateway/routes.h"

#include <algorithm>

#include <fmt/core.h>
#include <re2/re2.h>

namespace sluice {
namespace {

bool fits(const std::string& pattern, std::string_view value) {
  if (pattern.ends_with('*'))
    return value.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
  return value == pattern;
}

bool fits_one(const std::vector<std::string>& patterns, std::string_view value) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                         [&](const auto& p) { return fits(p, value); });
}

bool fits_kind(RouteChats chats, ChatKind kind) {
  return chats == RouteChats::kAny || (chats == RouteChats::kGroup) == (kind == ChatKind::kGroup);
}

/// The first word, without the bot's name: "/draw@bot a cat" is "/draw".
std::string_view first_word(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  text = text.substr(begin);
  return text.substr(0, text.find_first_of(" \t\r\n@"));
}

RE2::Options quiet() {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  return options;
}

}  // namespace

struct Routes::Compiled {
  explicit Compiled(RouteRule r) : rule(std::move(r)), pattern(rule.text, quiet()) {}
  RouteRule rule;
  RE2 pattern;

  bool text_fits(std::string_view text) const {
    if (rule.text.empty()) return true;
    const std::string_view seen = text.substr(0, kTextMatched);
    return RE2::PartialMatch(re2::StringPiece(seen.data(), seen.size()), pattern);
  }
  /// Empty if all conditions hold.
  std::string fault(const RouteSubject& subject) const {
    if (!fits_one(rule.account, subject.account))
      return fmt::format("account is \"{}\"", subject.account);
    if (!fits_one(rule.chat, subject.chat)) return fmt::format("chat is \"{}\"", subject.chat);
    if (!fits_kind(rule.chats, subject.kind))
      return subject.kind == ChatKind::kGroup ? "the chat is a group" : "the chat is no group";
    if (!fits_one(rule.sender, subject.sender))
      return fmt::format("sender is \"{}\"", subject.sender);
    if (!rule.command.empty() && first_word(subject.text) != rule.command)
      return fmt::format("the text does not begin with \"{}\"", rule.command);
    if (!text_fits(subject.text)) return "the pattern is not found in the text";
    return {};
  }
  bool matches(const RouteSubject& subject) const { return fault(subject).empty(); }
  std::string conditions() const {
    std::string held;
    const auto add = [&](bool set, std::string_view name) {
      if (set) held.append(held.empty() ? "" : ", ").append(name);
    };
    add(!rule.account.empty(), "account");
    add(!rule.chat.empty(), "chat");
    add(rule.chats != RouteChats::kAny, "chats");
    add(!rule.sender.empty(), "sender");
    add(!rule.command.empty(), "command");
    add(!rule.text.empty(), "text");
    return held.empty() ? "it has no conditions"
                        : held + (held.find(',') != std::string::npos ? " hold" : " holds");
  }
};

Routes::Routes() = default;
Routes::Routes(Routes&&) noexcept = default;
Routes& Routes::operator=(Routes&&) noexcept = default;
Routes::~Routes() = default;

std::string Routes::check_pattern(const std::string& pattern) {
  if (pattern.size() > kPatternMax) return fmt::format("more than {} bytes", kPatternMax);
  const RE2 compiled(pattern, quiet());
  return compiled.ok() ? std::string() : compiled.error();
}

Result<Routes> Routes::make(std::vector<RouteRule> rules) {
  Routes routes;
  for (RouteRule& rule : rules) {
    if (const std::string why = check_pattern(rule.text); !why.empty())
      return Error(ErrorKind::kInvalidArgument, fmt::format("route \"{}\": {}", rule.name, why));
    routes.compiled_.push_back(std::make_unique<Compiled>(std::move(rule)));
  }
  return routes;
}

Target Routes::choose(const RouteSubject& subject) const {
  for (const auto& one : compiled_) {
    if (one->matches(subject)) return {one->rule.agent, one->rule.model};
  }
  return {};
}

std::vector<RouteStep> Routes::explain(const RouteSubject& subject) const {
  std::vector<RouteStep> steps;
  for (const auto& one : compiled_) {
    std::string fault = one->fault(subject);
    const bool matches = fault.empty();
    steps.push_back({one->rule.name, matches, matches ? one->conditions() : std::move(fault)});
  }
  return steps;
}

}  // namespace sluice
