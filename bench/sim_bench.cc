// How many seeds the simulation runs.

#include <fmt/core.h>
#include <unistd.h>

#include "daemon_process.h"
#include "sections.h"

namespace sluice::bench {

std::vector<Row> simulation(const Scale& scale) {
  std::vector<Row> rows;
  const std::string plain = scale.programs + "/sluice_sim";
  const std::string sanitized = scale.sanitized_programs + "/sluice_sim";
  double seconds = 0;
  if (::access(plain.c_str(), X_OK) == 0) {
    const std::size_t seeds = scale.count(2000, 20);
    (void)output_of({plain, fmt::format("{}", seeds)}, &seconds);
    rows.push_back(reported("seeds of the simulation, one core, release build",
                            static_cast<double>(seeds) / seconds, "seeds/s"));
  }
  if (!scale.sanitized_programs.empty() && ::access(sanitized.c_str(), X_OK) == 0) {
    const std::size_t seeds = scale.count(1000, 10);
    (void)output_of({sanitized, fmt::format("{}", seeds)}, &seconds);
    rows.push_back(below(fmt::format("{} seeds of the simulation, ASan and UBSan, one core", seeds),
                         seconds, "s", 60));
  }
  return rows;
}

}  // namespace sluice::bench
