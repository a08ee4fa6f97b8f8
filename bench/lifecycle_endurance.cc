// Hundreds of restarts, one after another: nothing grows.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/core.h>
#include <unistd.h>

#include "lifecycle_setup.h"
#include "measure.h"
#include "sections.h"

namespace sluice::bench {
namespace {

namespace fs = std::filesystem;

constexpr double kMiB = 1 << 20;

double entries_of(const fs::path& folder) {
  std::error_code ignored;
  return static_cast<double>(
      std::distance(fs::directory_iterator(folder, ignored), fs::directory_iterator()));
}

/// The processes below us that have ended and that nobody has asked for.
double zombies() {
  double count = 0;
  std::ifstream in(fmt::format("/proc/self/task/{}/children", ::gettid()));
  for (int pid = 0; in >> pid;) {
    std::ifstream stat(fmt::format("/proc/{}/stat", pid));
    const std::string text{std::istreambuf_iterator<char>(stat), {}};
    count += text.find(") Z ") != std::string::npos ? 1 : 0;
  }
  return count;
}

struct Looks {
  std::vector<double> descriptors, resident, dead, files, threads;
};

void look(const RestartedDaemon& daemon, Looks& out) {
  const std::string process = fmt::format("/proc/{}", daemon.pid());
  out.descriptors.push_back(entries_of(process + "/fd"));
  out.threads.push_back(entries_of(process + "/task"));
  out.resident.push_back(static_cast<double>(proc_status_bytes(daemon.pid(), "VmRSS:")) / kMiB);
  out.dead.push_back(zombies());
  out.files.push_back(entries_of(daemon.data()) +
                      entries_of(fs::path(daemon.data()).parent_path()));
}

double median_of(const std::vector<double>& all, bool late) {
  const std::size_t part = std::max<std::size_t>(1, all.size() / 10);
  return late ? median({all.end() - static_cast<std::ptrdiff_t>(part), all.end()})
              : median({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(part)});
}

Row constant(const std::string& what, const std::vector<double>& all, const std::string& after) {
  return unchanged(fmt::format("{} after {} (reference: after the first)", what, after),
                   median_of(all, true), median_of(all, false));
}

}  // namespace

std::vector<Row> endurance(const Scale& scale) {
  adopt_orphans();
  const std::size_t times = scale.count(500, 5);
  const TempDir directory(scale.directory);
  RestartedDaemon daemon(scale.programs + "/sluice", directory.path(), kLifecycleConfig);
  Looks looks;
  std::size_t done = 0;
  while (done < times && restart_often(daemon, 1)) {
    ++done;
    daemon.wait_until_alone();
    look(daemon, looks);
  }
  const std::string after = fmt::format("{} restarts in a row", done);
  if (done == 0) return {none("restarts that came to nothing", 1)};
  Row memory =
      at_most(fmt::format("memory after {} (VmRSS; reference: after the first)", after),
              median_of(looks.resident, true), "MiB", median_of(looks.resident, false), 1.05);
  return {none(fmt::format("of {} restarts in a row, came to nothing", times),
               static_cast<double>(times - done)),
          constant("descriptors", looks.descriptors, after),
          constant("threads", looks.threads, after),
          constant("zombies", looks.dead, after),
          constant("files", looks.files, after),
          memory};
}

}  // namespace sluice::bench
