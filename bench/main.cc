// sluice_bench SUITE [--smoke] [--json FILE] [--dir DIR] [--programs DIR] [--sanitized DIR]
// [--only SECTION]: runs the suite's sections and prints their rows. Exit code 1 if a section did
// not give its rows, 0 otherwise, whatever the figures are. Suites: core, agents, lifecycle.
//
// sluice_bench mock-model | beast-relay PORT | beast-sockets | reuseport-server PORT | mcp-service:
// what mock_model.h, beast_peers.h, restart_peers.h and mcp_service.h serve, which the sections
// start as processes of their own.

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>
#include <sys/resource.h>

#include "beast_peers.h"
#include "mcp_service.h"
#include "mock_model.h"
#include "report.h"
#include "restart_peers.h"
#include "sections.h"

namespace sluice::bench {
namespace {

std::vector<Section> core_suite() {
  // What needs a quiet machine first; the old store is made by the first that asks.
  return {{"pipeline", pipeline}, {"http", http},       {"turn", turn},
          {"durable", durable},   {"latency", latency}, {"waiting", waiting},
          {"recovery", recovery}, {"daemon", daemon},   {"simulation", simulation},
          {"memory", memory}};
}

std::vector<Section> agents_suite() {
  return {
      {"first_token", first_token}, {"streams", streams}, {"pages", pages}, {"package", package}};
}

std::vector<Section> lifecycle_suite() {
  return {{"guards", guards},
          {"times", times},
          {"connections", connections},
          {"queue", queue},
          {"kept", kept},
          {"followers", followers},
          {"slow_turns", slow_turns},
          {"bad_successors", bad_successors},
          {"supervision", supervision},
          {"endurance", endurance}};
}

std::vector<Section> suite_of(const std::string& name) {
  if (name == "core") return core_suite();
  if (name == "agents") return agents_suite();
  if (name == "lifecycle") return lifecycle_suite();
  return {};
}

/// Whoever has thousands of connections needs a descriptor for each.
void raise_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

int usage() {
  fmt::print(stderr,
             "usage: sluice_bench core|agents|lifecycle [--smoke] [--json FILE] [--dir DIR] "
             "[--programs DIR] [--sanitized DIR] [--only SECTION]\n");
  return 2;
}

struct Arguments {
  std::string suite;
  std::string json;
  std::string only;
  Scale scale;
};

bool parse(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--smoke") {
      out.scale.smoke = true;
      continue;
    }
    std::string* value = arg == "--json"        ? &out.json
                         : arg == "--dir"       ? &out.scale.directory
                         : arg == "--programs"  ? &out.scale.programs
                         : arg == "--sanitized" ? &out.scale.sanitized_programs
                         : arg == "--only"      ? &out.only
                                                : nullptr;
    if (value != nullptr) {
      if (++i == argc) return false;
      *value = argv[i];
    } else if (arg.starts_with("-") || !out.suite.empty()) {
      return false;
    } else {
      out.suite = arg;
    }
  }
  return !suite_of(out.suite).empty();
}

int run(Arguments arguments) {
  if (arguments.scale.directory.empty()) arguments.scale.directory = "build/bench-data";
  std::vector<Section> sections;
  for (Section& section : suite_of(arguments.suite)) {
    if (arguments.only.empty() || section.name == arguments.only) sections.push_back(section);
  }
  if (sections.empty()) return usage();
  std::vector<Row> rows;
  const bool complete = run_sections(sections, arguments.scale, rows);
  if (!arguments.json.empty()) {
    std::ofstream out(arguments.json);
    out << to_json(rows) << "\n";
    if (!out.flush()) return 1;
  }
  int missed = 0;
  for (const Row& row : rows) missed += row.reached ? 0 : 1;
  fmt::print("{} rows, {} goals missed{}\n", rows.size(), missed,
             arguments.scale.smoke ? " (a smoke run: its figures mean nothing)" : "");
  return complete ? 0 : 1;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "mock-model") return sluice::bench::mock_model();
  if (role == "mcp-service") return sluice::bench::mcp_service();
  if (role == "beast-sockets") return sluice::bench::beast_sockets();
  if (argc == 3) {
    const auto port = static_cast<std::uint16_t>(std::atoi(argv[2]));
    if (role == "beast-relay") return sluice::bench::beast_relay(port);
    if (role == "reuseport-server") return sluice::bench::reuseport_server(port);
  }
  sluice::bench::raise_descriptors();
  sluice::bench::Arguments arguments;
  if (!sluice::bench::parse(argc, argv, arguments)) return sluice::bench::usage();
  return sluice::bench::run(std::move(arguments));
}
