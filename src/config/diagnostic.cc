#include "config/diagnostic.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include <fmt/core.h>

#include "base/utf8.h"

namespace sluice::config {
namespace {

constexpr std::size_t kLongestWord = 64;

/// Optimal string alignment distance: "tiemout" is one step from "timeout".
std::size_t distance(std::string_view a, std::string_view b) {
  using Row = std::array<std::size_t, kLongestWord + 1>;
  Row before_last{}, last{}, row{};
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    before_last = std::exchange(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string Diagnostic::to_string() const {
  const std::string place = at.line == 0 ? file : fmt::format("{}:{}:{}", file, at.line, at.column);
  return fmt::format("{}: {}{}", place, severity == Severity::kWarning ? "warning: " : "", message);
}

void Problems::error(Position at, std::string key, std::string message) {
  ++errors_;
  add(Diagnostic::Severity::kError, at, std::move(key), std::move(message));
}

void Problems::warning(Position at, std::string key, std::string message) {
  add(Diagnostic::Severity::kWarning, at, std::move(key), std::move(message));
}

void Problems::add(Diagnostic::Severity severity, Position at, std::string key,
                   std::string message) {
  if (all_.size() == kMost) {
    ++dropped_;
    return;
  }
  all_.push_back({severity, file_, at, std::move(key), std::move(message)});
}

std::vector<Diagnostic> Problems::take() {
  std::sort(all_.begin(), all_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.at.line, a.at.column, a.key, a.message) <
           std::tie(b.at.line, b.at.column, b.key, b.message);
  });
  if (dropped_ > 0) {
    // An error as soon as there is any: the one that decides may be among those not kept.
    const auto severity =
        errors_ > 0 ? Diagnostic::Severity::kError : Diagnostic::Severity::kWarning;
    all_.push_back({severity, file_, {}, "", fmt::format("{} more problems", dropped_)});
  }
  return std::exchange(all_, {});
}

std::string_view nearest(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > kLongestWord) return {};
  std::string_view best;
  // A third of the word may be wrong; in a short one a single letter.
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongestWord) continue;
    const std::size_t steps = distance(word, candidate);
    if (steps < least) {
      least = steps;
      best = candidate;
    }
  }
  return best;
}

std::string printable(std::string_view text, std::size_t limit) {
  const bool cut = text.size() > limit;
  std::string out = strip_terminal_controls(text.substr(0, utf8_floor(text, limit)));
  std::replace_if(out.begin(), out.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  if (cut) out += "…";
  return out;
}

}  // namespace sluice::config
