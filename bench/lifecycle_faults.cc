// Successors that are no good, of every kind, while clients come and go.

#include <csignal>
#include <filesystem>
#include <fstream>

#include <fmt/core.h>

#include "lifecycle_setup.h"
#include "measure.h"
#include "sections.h"

namespace sluice::bench {
namespace {

namespace fs = std::filesystem;

/// In place of the program that the daemon was started from.
void replace(const fs::path& program, const std::string& script) {
  const fs::path next = program.string() + ".next";
  std::ofstream(next) << script;
  fs::permissions(next, fs::perms::owner_all);
  fs::rename(next, program);
}

struct Bad {
  const char* what;
  const char* script;
};

constexpr Bad kBad[] = {
    {"ends at once", "#!/bin/sh\nexit 1\n"},
    {"is no program", "\177nonsense"},
    {"says nothing", "#!/bin/sh\nexec sleep 60\n"},
    {"garbles", "#!/bin/sh\nprintf 'nonsense, and more of it' >&3\nexec sleep 60\n"},
};

/// False if anything but "nothing has changed" came of it.
bool try_bad_ones(RestartedDaemon& daemon, const fs::path& program, const std::string& good) {
  bool held = true;
  for (const Bad& bad : kBad) {
    replace(program, bad.script);
    daemon.ask();
    const bool failed = !daemon.wait().failed.empty();
    if (!failed) fmt::print(stderr, "a successor that {} took over\n", bad.what);
    held = held && failed;
  }
  fs::copy_file(good, program.string() + ".next");
  fs::rename(program.string() + ".next", program);
  const fs::path config = fs::path(daemon.data()).parent_path() / "sluice.toml";
  fs::copy_file(config, config.string() + ".good");
  std::ofstream(config, std::ios::app) << "nonsense = 1\n";
  daemon.ask();
  held = !daemon.wait().failed.empty() && held;
  fs::rename(config.string() + ".good", config);
  return held;
}

}  // namespace

std::vector<Row> bad_successors(const Scale& scale) {
  adopt_orphans();
  const TempDir directory(scale.directory);
  const std::string good = scale.programs + "/sluice";
  const fs::path program = directory.path() + "/sluice";
  fs::copy_file(good, program);
  RestartedDaemon daemon(program, directory.path(), kLifecycleConfig);
  ShortLoad load(health_load(daemon.port()));
  const bool held = try_bad_ones(daemon, program, good);
  const std::uint64_t before = load.made();
  const bool after = daemon.restart().failed.empty();
  const LoadReport first = load.finish(before);

  // A successor that dies later is replaced; what it had accepted itself dies with it.
  daemon.wait_until_alone();
  ShortLoad more(health_load(daemon.port()));
  daemon.ask();
  const bool took_over = daemon.wait().failed.empty();
  ::kill(daemon.pid(), SIGKILL);
  const bool replaced = daemon.wait_until_replaced();
  const LoadReport second = more.finish(0);
  Row failed = none(fmt::format("failed of {} short connections, while successors exit, hang, "
                                "garble, can't be started, or can't read their configuration",
                                first.answered + first.failed()),
                    static_cast<double>(first.failed()));
  failed.reached = failed.reached && held && after;
  Row refused = none(fmt::format("refused of {} while one that had taken over is killed ({})",
                                 second.answered + second.failed(), second.failures()),
                     static_cast<double>(second.refused));
  refused.reached = refused.reached && took_over && replaced;
  return {failed, refused};
}

}  // namespace sluice::bench
