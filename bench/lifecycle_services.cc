// Extension services by the hundred, as real processes: started, killed, repaired, stopped.

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/core.h>
#include <unistd.h>

#include "base/assert.h"
#include "measure.h"
#include "observe/metrics.h"
#include "sections.h"
#include "services/connectors.h"
#include "services/service_manager.h"
#include "silent_logger.h"

namespace sluice::bench {
namespace {

using services::ServiceInfo;
using services::ServiceManager;
using services::ServiceStatus;

constexpr std::size_t kTogether = 100;
constexpr Duration kLook = std::chrono::milliseconds(5);
constexpr Duration kPatience = std::chrono::seconds(60);

double children() {
  std::ifstream in(fmt::format("/proc/self/task/{}/children", ::gettid()));
  return static_cast<double>(
      std::distance(std::istream_iterator<int>(in), std::istream_iterator<int>()));
}

double descriptors() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  return static_cast<double>(std::distance(begin(open), end(open)));
}

struct Seen {
  std::size_t ran = 0, killed = 0, repaired = 0, stopped = 0;
  std::vector<double> repair_ms;    // until all that were killed together are back
  std::vector<double> stop_ms;      // in a backoff
  std::vector<double> open, alive;  // descriptors and children, between two rounds
};

/// The manager and what it needs, on one shard.
struct World {
  SystemClock clock;
  Shard shard{clock, 1};
  SilentLogger log;
  Metrics metrics;
  net::Poller poller{shard};
  services::Reaper reaper{poller, log};
  ServiceManager manager{
      ServiceManager::Parts{shard, log, metrics, "bench", [] { return std::string(64, 't'); }}};
  TaskGroup tasks{shard};
  Seen seen;

  void add(const std::string& name, Duration delay) {
    services::ServicePlan plan;
    plan.name = name;
    plan.settings.reconnect.delay = delay;
    plan.connector = std::make_unique<services::ProcessConnector>(
        poller, reaper,
        services::ProcessPlan{
            std::filesystem::read_symlink("/proc/self/exe"), {"mcp-service"}, {}, ""},
        services::Framing::kNewline);
    SLUICE_ASSERT(manager.add(std::move(plan)).has_value());
    SLUICE_ASSERT(manager.start(name).has_value());
  }
  std::size_t running(std::uint64_t generation) const {
    const std::vector<ServiceInfo> all = manager.list();
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const auto& one) {
      return one.status == ServiceStatus::kRunning && one.generation == generation;
    }));
  }
};

/// Until so many run in this generation; how many do after kPatience.
Task<std::size_t> until_running(World* world, std::size_t count, std::uint64_t generation) {
  const MonoTime until = world->shard.now() + kPatience;
  while (world->running(generation) < count && world->shard.now() < until)
    co_await sleep_for(world->shard, kLook);
  co_return world->running(generation);
}

Task<void> remove(World* world, std::string name) {
  const Result<void> removed = co_await world->manager.remove(std::move(name));
  world->seen.stopped += removed.has_value() ? 1 : 0;
}

Task<void> one_round(World* world, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    world->add(fmt::format("s{}", i), std::chrono::milliseconds(10));
  const std::size_t ran = co_await until_running(world, count, 1);
  world->seen.ran += ran;
  const double began = wall_seconds();
  for (const ServiceInfo& one : world->manager.list()) {
    if (one.process_id > 0 && ::kill(static_cast<pid_t>(one.process_id), SIGKILL) == 0)
      ++world->seen.killed;
  }
  const std::size_t repaired = co_await until_running(world, count, 2);
  world->seen.repaired += repaired;
  world->seen.repair_ms.push_back((wall_seconds() - began) * 1e3);
  TaskGroup stops(world->shard);
  for (std::size_t i = 0; i < count; ++i) stops.spawn("stop", remove(world, fmt::format("s{}", i)));
  co_await stops.join(world->shard.now() + kPatience);
  world->seen.open.push_back(descriptors());
  world->seen.alive.push_back(children());
}

/// Stops one that waits before it tries again.
Task<void> stop_in_backoff(World* world) {
  world->add("waiting", std::chrono::seconds(30));
  (void)co_await until_running(world, 1, 1);
  ::kill(static_cast<pid_t>(world->manager.list().front().process_id), SIGKILL);
  while (world->manager.list().front().status != ServiceStatus::kReconnecting)
    co_await sleep_for(world->shard, kLook);
  const double began = wall_seconds();
  co_await remove(world, "waiting");
  world->seen.stop_ms.push_back((wall_seconds() - began) * 1e3);
}

Task<void> all_rounds(World* world, std::size_t rounds, std::size_t together, std::size_t stops) {
  for (std::size_t i = 0; i < rounds; ++i) co_await one_round(world, together);
  for (std::size_t i = 0; i < stops; ++i) co_await stop_in_backoff(world);
  world->shard.stop();
}

}  // namespace

std::vector<Row> supervision(const Scale& scale) {
  const std::size_t rounds = scale.count(10, 2);
  const std::size_t together = scale.count(kTogether, 5);
  World world;
  world.tasks.spawn("rounds", all_rounds(&world, rounds, together, scale.count(20, 2)));
  world.shard.run();
  const Seen& seen = world.seen;
  const double all = static_cast<double>(rounds * together);
  const auto missing = [all](std::size_t count) { return all - static_cast<double>(count); };
  Row longest = below("stop of one that waits before it tries again, longest",
                      quantile(seen.stop_ms, 1), "ms", 50);
  return {none(fmt::format("of {} services, not started", all), missing(seen.ran)),
          none("of as many kills, not noticed and repaired",
               missing(std::min(seen.killed, seen.repaired))),
          none("of as many stops, not done",
               missing(seen.stopped - std::min(seen.stopped, seen.stop_ms.size()))),
          reported(fmt::format("from the kill of {} together until all run again", together),
                   median(seen.repair_ms), "ms"),
          unchanged("descriptors at the end (reference: after the first of " +
                        std::to_string(rounds) + " rounds)",
                    seen.open.back(), seen.open.front()),
          unchanged("child processes, the same", seen.alive.back(), seen.alive.front()),
          longest};
}

}  // namespace sluice::bench
