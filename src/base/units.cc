#include "base/units.h"

#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/core.h>

namespace sluice {
namespace {

using Unit = std::pair<std::string_view, std::uint64_t>;

constexpr std::array<Unit, 7> kSizes = {{{"GiB", 1u << 30},
                                         {"GB", 1000000000},
                                         {"MiB", 1u << 20},
                                         {"MB", 1000000},
                                         {"KiB", 1u << 10},
                                         {"KB", 1000},
                                         {"B", 1}}};
constexpr std::array<Unit, 5> kDurations = {
    {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}}};

/// Reads "<number><unit>" parts one after another; each part's unit must be in the table.
template <std::size_t N>
Result<std::uint64_t> parse_parts(std::string_view text, const std::array<Unit, N>& units,
                                  std::string_view what, std::string_view examples) {
  const auto wrong = [&](std::string_view why) {
    return Error(ErrorKind::kInvalidArgument,
                 fmt::format("\"{}\" is not a {}: {} (examples: {})", text, what, why, examples));
  };
  if (text == "0") return std::uint64_t{0};
  if (text.empty()) return wrong("it is empty");
  double total = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    double number = 0;
    const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (failed != std::errc() || !(number >= 0)) return wrong("a number is expected");
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    std::size_t length = 0;
    while (length < rest.size() && ((rest[length] | 0x20) >= 'a' && (rest[length] | 0x20) <= 'z')) {
      ++length;
    }
    if (length == 0) return wrong("the unit is missing");
    const std::string_view name = rest.substr(0, length);
    const Unit* found = nullptr;
    for (const Unit& unit : units) {
      if (unit.first == name) found = &unit;
    }
    if (found == nullptr) return wrong(fmt::format("unknown unit \"{}\"", name));
    total += number * static_cast<double>(found->second);
    rest.remove_prefix(length);
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  }
  // 2^53: beyond it a double no longer counts bytes or milliseconds exactly.
  if (total > 9007199254740992.0) return wrong("it is too large");
  return static_cast<std::uint64_t>(total + 0.5);
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  return parse_parts(text, kSizes, "size", "64KiB, 1.5GiB, 10MB");
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto ms = parse_parts(text, kDurations, "duration", "300ms, 30s, 1h30m, 90d");
  if (!ms) return ms.error();
  return std::chrono::milliseconds(static_cast<std::int64_t>(*ms));
}

std::string format_size(std::uint64_t bytes) {
  for (const auto& [name, factor] : {kSizes[0], kSizes[2], kSizes[4]}) {
    if (bytes >= factor && bytes % factor == 0) return fmt::format("{}{}", bytes / factor, name);
  }
  return fmt::format("{}B", bytes);
}

std::string format_duration(std::chrono::milliseconds d) {
  const auto ms = static_cast<std::uint64_t>(d.count());
  if (ms == 0) return "0s";
  for (const auto& [name, factor] : kDurations) {
    if (ms >= factor && ms % factor == 0) return fmt::format("{}{}", ms / factor, name);
  }
  return fmt::format("{}ms", ms);
}

}  // namespace sluice
