// CPU of the core alone: everything on, nothing on disk.

#include <fmt/core.h>

#include "bare_pipeline.h"
#include "measure.h"
#include "null_store.h"
#include "sections.h"
#include "world.h"

namespace sluice::bench {
namespace {

// The gateway of seed 001, as published, measured on the machine where this was planned; it is not
// built here. Unordered, and with none of what ours has on.
constexpr double kPeerMicroseconds = 3.6;

double microseconds_per_turn(const World::Sample& sample) {
  return sample.shard_cpu * 1e6 / static_cast<double>(std::max<std::uint64_t>(sample.turns, 1));
}

std::unique_ptr<World> full_world(std::size_t conversations, std::size_t depth) {
  World::Setup setup;
  setup.conversations = conversations;
  setup.depth = depth;
  // All that is in flight fits in memory, as in the bare run.
  setup.core.inbox_capacity = std::max<std::uint32_t>(
      setup.core.inbox_capacity, static_cast<std::uint32_t>(2 * conversations * depth));
  auto world = std::make_unique<World>(
      setup, [](World& w) { return std::make_unique<NullStore>(w.shard()); });
  world->start_people();
  return world;
}

Row against_peer(std::string name, double value, double factor) {
  Row row = reported(std::move(name), value, "us CPU per turn");
  row.reference_text =
      fmt::format("{} (published peer, earlier, not built here)", kPeerMicroseconds);
  row.goal = fmt::format("<= {:.2f} us ({:g} x the peer)", factor * kPeerMicroseconds, factor);
  row.reached = value <= factor * kPeerMicroseconds;
  return row;
}

}  // namespace

std::vector<Row> pipeline(const Scale& scale) {
  const double seconds = scale.seconds(0.7);
  const std::size_t many = scale.count(4096, 256);
  const auto few = full_world(64, 4);
  const auto crowd = full_world(many, 4);
  BarePipeline bare(64, 4);
  BarePipeline bare_crowd(many, 4);
  (void)few->run(seconds);
  (void)crowd->run(seconds);
  (void)bare.run(seconds);
  (void)bare_crowd.run(seconds);
  std::vector<double> few_us, crowd_us, bare_us, bare_crowd_us;
  for (int round = 0; round < scale.rounds(7); ++round) {
    few_us.push_back(microseconds_per_turn(few->run(seconds)));
    bare_us.push_back(microseconds_per_turn(bare.run(seconds)));
    crowd_us.push_back(microseconds_per_turn(crowd->run(seconds)));
    bare_crowd_us.push_back(microseconds_per_turn(bare_crowd.run(seconds)));
  }
  const std::string what = "pipeline, everything on, store stubbed, 64 conversations x 4 in flight";
  const std::string what_crowd =
      fmt::format("pipeline, everything on, store stubbed, {} x 4 in flight", many);
  return {against_peer(what, median(few_us), 0.7),
          at_most(what + ", against the bare run", median(few_us), "us CPU per turn",
                  median(bare_us), 3),
          against_peer(what_crowd, median(crowd_us), 1), [&] {
            Row row = reported(what_crowd + ", against the bare run", median(crowd_us),
                               "us CPU per turn");
            row.reference = median(bare_crowd_us);
            return row;
          }()};
}

}  // namespace sluice::bench
