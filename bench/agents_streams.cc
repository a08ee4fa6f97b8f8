// Streams on their way through the daemon, against a relay of Beast's that hands on the same.

#include <algorithm>

#include <fmt/core.h>

#include "agents_setup.h"
#include "sections.h"

namespace sluice::bench {
namespace {

constexpr double kStall = 0.050;  // seconds
constexpr double kKiB = 1024;

/// One way from the model to a reader.
struct Way {
  Way(int process, StreamLoad& stream_load) : pid(process), load(stream_load) {}
  const int pid;
  StreamLoad& load;

  std::vector<double> cpu;      // microseconds for each delta
  std::vector<double> stalls;   // in each round
  std::vector<double> longest;  // milliseconds
  std::vector<double> memory;   // bytes for each stream

  void run(std::size_t streams, std::size_t deltas, std::uint64_t every_us,
           const std::string& users) {
    const std::uint64_t rest = proc_status_bytes(pid, "VmRSS:");
    double from = 0;
    double to = 0;
    std::uint64_t full = rest;
    const StreamLoad::Sample sample = load.run(
        streams, deltas, every_us, users, [&] { from = proc_cpu_seconds(pid); },
        [&] {
          to = proc_cpu_seconds(pid);
          full = proc_status_bytes(pid, "VmRSS:");
        });
    if (sample.late.empty()) return;
    cpu.push_back((to - from) * 1e6 / static_cast<double>(sample.deltas));
    longest.push_back(*std::max_element(sample.late.begin(), sample.late.end()) * 1e3);
    stalls.push_back(static_cast<double>(std::count_if(sample.late.begin(), sample.late.end(),
                                                       [](double s) { return s > kStall; })));
    memory.push_back(static_cast<double>(full - std::min(full, rest)) /
                     static_cast<double>(streams));
  }
};

void one_reader(const Scale& scale, Way ours, Way bare, std::vector<Row>& rows) {
  const std::size_t deltas = scale.count(4'000, 1'500);
  for (int round = 0; round < scale.rounds(7); ++round) {
    ours.run(1, deltas, 1'000, fmt::format("one-{}", round));
    bare.run(1, deltas, 1'000, "one");
  }
  rows.push_back(
      at_most("CPU for each streamed delta, one reader, 1000 deltas a second (reference: "
              "a bare Beast relay)",
              median(ours.cpu), "us", median(bare.cpu), 2));
}

void many_readers(const Scale& scale, Way ours, Way bare, std::vector<Row>& rows) {
  const std::size_t streams = scale.count(1'000, 20);
  const std::size_t deltas = scale.count(300, 60);
  // What is needed once, and not for each, is there by then.
  for (const Way* way : {&ours, &bare}) {
    (void)way->load.run(8, 20, 1'000, "warm-up", [] {}, [] {});
  }
  for (int round = 0; round < scale.rounds(3); ++round) {
    ours.run(streams, deltas, 50'000, fmt::format("many-{}", round));
    bare.run(streams, deltas, 50'000, "many");
  }
  const std::string what = fmt::format("{} streams of 20 deltas a second", streams);
  Row stalls = reported(what + ": deltas over 50 ms late (reference: a bare Beast relay)",
                        median(ours.stalls), "");
  stalls.reference = median(bare.stalls);
  stalls.goal = "<= reference";
  stalls.reached = stalls.value <= *stalls.reference;
  rows.push_back(stalls);
  Row longest = reported(what + ": the latest delta (the same)", median(ours.longest), "ms");
  longest.reference = median(bare.longest);
  rows.push_back(longest);
  Row cpu = reported(what + ": CPU for each delta (the same)", median(ours.cpu), "us");
  cpu.reference = median(bare.cpu);
  rows.push_back(cpu);
  // Later rounds find memory that earlier ones have left.
  Row memory = below(what + ": memory for each",
                     ours.memory.empty() ? 0 : ours.memory.front() / kKiB, "KiB", 64);
  memory.reference = bare.memory.empty() ? 0 : bare.memory.front() / kKiB;
  rows.push_back(memory);
}

}  // namespace

std::vector<Row> streams(const Scale& scale) {
  if (!has_daemon(scale)) return {};
  std::vector<Row> rows;
  const ModelWorld world(scale);
  const Helper relay({"beast-relay", std::to_string(world.model_port())});
  StreamLoad through(world.daemon().port(), kCompletions, world.daemon().authorization());
  StreamLoad relayed(relay.port(), kCompletions, "");
  rest(kStartIsOver);
  many_readers(scale, {world.daemon().pid(), through}, {relay.pid(), relayed}, rows);
  one_reader(scale, {world.daemon().pid(), through}, {relay.pid(), relayed}, rows);
  return rows;
}

}  // namespace sluice::bench
