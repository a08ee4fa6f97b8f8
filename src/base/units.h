#pragma once
// Sizes and durations as people write them: "64KiB", "1.5 GiB", "300ms", "24h", "30d". A number
// without a unit is refused: "timeout = 30" has meant seconds and milliseconds in too many
// programs.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice {

/// Units: B, KB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024). Bare 0 is allowed.
Result<std::uint64_t> parse_size(std::string_view text);
/// Units: ms, s, m, h, d; parts may follow each other: "1h30m". Bare 0 is allowed.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// The shortest exact form: "64KiB", "1500ms", "90s" -> "90s", "24h".
std::string format_size(std::uint64_t bytes);
std::string format_duration(std::chrono::milliseconds d);

}  // namespace sluice
