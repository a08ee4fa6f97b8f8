// What a stop costs those who do not stop, and how soon it sees that nothing is under way: our
// coordinator beside the seed's algorithm, in this process.

#include <algorithm>
#include <optional>
#include <thread>

#include <fmt/core.h>

#include "lifecycle/coordinator.h"
#include "measure.h"
#include "runtime/shard.h"
#include "runtime/task_group.h"
#include "sections.h"
#include "seed_in_flight.h"
#include "silent_logger.h"

namespace sluice::bench {
namespace {

using lifecycle::InFlight;
using lifecycle::ShutdownCoordinator;
using lifecycle::Work;

struct Stop : lifecycle::ShutdownSteps {
  void stop_background() override { seen_at = wall_seconds(); }
  double seen_at = 0;
};

Task<void> hold(Loop* loop, lifecycle::Guard guard, double seconds, double* released_at) {
  co_await sleep_for(*loop, std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6)));
  *released_at = wall_seconds();
  guard.release();
}

Task<void> stop_when_done(ShutdownCoordinator* coordinator, Stop* steps, Shard* shard) {
  (void)co_await coordinator->run(steps);
  shard->stop();
}

/// Milliseconds from the last guard's release to the next phase of the stop.
double ours_to_drain(double held_for) {
  SystemClock clock;
  Shard shard(clock, 1);
  SilentLogger log;
  InFlight in_flight(shard);
  ShutdownCoordinator coordinator(shard, log, in_flight);
  Stop steps;
  double released_at = 0;
  {
    TaskGroup tasks(shard);
    coordinator.ready();
    tasks.spawn("stop", stop_when_done(&coordinator, &steps, &shard));
    tasks.spawn("work", hold(&shard, in_flight.hold(Work::kRequest), held_for, &released_at));
    coordinator.initiate();
    shard.run();
  }
  return (steps.seen_at - released_at) * 1e3;
}

double seed_to_drain(double held_for) {
  SeedInFlight in_flight;
  double released_at = 0;
  std::thread work([&, guard = std::optional(in_flight.acquire())]() mutable {
    rest(held_for);
    released_at = wall_seconds();
    guard.reset();
  });
  rest(held_for / 10);  // it holds by then
  in_flight.drain();
  const double seen_at = wall_seconds();
  work.join();
  return (seen_at - released_at) * 1e3;
}

constexpr std::size_t kBatch = 1000;

/// Nanoseconds of CPU for each of so many requests, whose ids were made beforehand, as a request's
/// is; f is given each of them.
template <class F>
double each(std::size_t batches, F&& f) {
  double used = 0;
  std::vector<std::string> ids(kBatch);
  for (std::size_t b = 0; b < batches; ++b) {
    for (std::size_t i = 0; i < kBatch; ++i) ids[i] = fmt::format("{:032x}", b * kBatch + i);
    const double before = thread_cpu_seconds();
    for (std::string& id : ids) f(std::move(id));
    used += thread_cpu_seconds() - before;
  }
  return used * 1e9 / static_cast<double>(batches * kBatch);
}

/// As if the compiler could not see what becomes of it.
template <class T>
void use(T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

/// Within a round of the shard, as requests are.
Task<void> take_and_release(Shard* shard, std::size_t batches, double* nanoseconds) {
  co_await yield(*shard);
  InFlight in_flight(*shard);
  *nanoseconds = each(batches, [&](std::string&& id) {
    const auto guard = in_flight.acquire(Work::kRequest, std::move(id));
    use(guard);
  });
  shard->stop();
}

double ours_each(std::size_t batches) {
  SystemClock clock;
  Shard shard(clock, 1);
  TaskGroup tasks(shard);
  double nanoseconds = 0;
  tasks.spawn("guards", take_and_release(&shard, batches, &nanoseconds));
  shard.run();
  return nanoseconds;
}

double seed_each(std::size_t batches) {
  SeedInFlight in_flight;
  return each(batches, [&](std::string&& id) {
    const std::string mine = std::move(id);  // the request's own: the count does not know it
    const auto guard = in_flight.acquire();
    use(mine);
    use(guard);
  });
}

}  // namespace

std::vector<Row> guards(const Scale& scale) {
  std::vector<double> ours, seed;
  for (std::size_t i = 0; i < scale.count(60, 2); ++i) {
    // Released at any moment between two looks of the seed's.
    const double held_for = 0.02 + 0.0017 * static_cast<double>(i);
    ours.push_back(ours_to_drain(held_for));
    seed.push_back(seed_to_drain(held_for));
  }
  Row longest =
      below("last guard released to drain seen, longest (reference: the seed's algorithm)",
            quantile(ours, 1), "ms", 1);
  longest.reference = quantile(seed, 1);
  Row middle = reported("the same, median", median(ours), "ms");
  middle.reference = median(seed);

  ours.clear();
  seed.clear();
  const std::size_t batches = scale.count(1'000, 10);
  for (int round = 0; round < scale.rounds(9); ++round) {
    ours.push_back(ours_each(batches));
    seed.push_back(seed_each(batches));
  }
  return {longest, middle,
          at_most("acquire and release, with request id and start (reference: the seed's "
                  "algorithm, without)",
                  median(ours), "ns", median(seed), 1)};
}

}  // namespace sluice::bench
