// Durable turns per second, and how long a sender waits for the acknowledgement.

#include <fmt/core.h>

#include "bare_commit.h"
#include "measure.h"
#include "preload.h"
#include "sections.h"
#include "stores.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kFew = 64;
constexpr std::size_t kMany = 1024;
// The channel of these rows pushes: replies go through the outbox, and every part is claimed and
// settled.
constexpr bool kPush = true;

std::unique_ptr<World> durable_world(std::size_t producers, const std::string& directory,
                                     bool pull = false) {
  World::Setup setup;
  setup.conversations = producers;
  setup.depth = 1;
  setup.pull = pull;
  auto world =
      std::make_unique<World>(setup, [&](World& w) { return open_real_store(w, directory); });
  world->start_people();
  return world;
}

struct Throughput {
  double turns_per_second = 0;
  double turns_per_commit = 0;
  double transactions_per_commit = 0;
  double shard_us = 0;
  double process_us = 0;
};

Throughput measure(World& world, double seconds) {
  Metrics& metrics = world.metrics();
  const std::int64_t commits = metrics.value("sluice_store_commits_total");
  const std::int64_t transactions = metrics.value("sluice_store_transactions_total");
  const World::Sample sample = world.run(seconds);
  const auto committed = static_cast<double>(metrics.value("sluice_store_commits_total") - commits);
  const auto turns = static_cast<double>(std::max<std::uint64_t>(sample.turns, 1));
  Throughput out;
  out.turns_per_second = turns / sample.seconds;
  out.turns_per_commit = turns / std::max(committed, 1.0);
  out.transactions_per_commit =
      static_cast<double>(metrics.value("sluice_store_transactions_total") - transactions) /
      std::max(committed, 1.0);
  out.shard_us = sample.shard_cpu * 1e6 / turns;
  out.process_us = sample.process_cpu * 1e6 / turns;
  return out;
}

struct Compared {
  double turns_per_second = 0;
  double reference = 0;
  double turns_per_commit = 0;
  double shard_us = 0;
  double process_us = 0;
  double ceiling = 0;  // of the loop, were every producer's next transaction in each commit
};

/// Where stores come from: empty ones, or copies of an old one.
struct Source {
  std::string aged;  // empty: fresh
  std::string words;
  std::string make(const TempDir& parent, const std::string& name) const {
    std::string path = parent.path() + "/" + name;
    if (aged.empty()) {
      make_empty_store(path);
    } else {
      copy_folder(aged, path);
    }
    return path;
  }
};

/// The gateway and the bare loop in turn, the loop at the gateway's rows per commit.
Compared compare(const Scale& scale, const Source& source, std::size_t producers) {
  const TempDir directory(scale.directory);
  const auto world = durable_world(producers, source.make(directory, "gateway"));
  BareCommits bare(source.make(directory, "bare"), kPush);
  const Throughput first = measure(*world, scale.seconds(4));
  bare.warm_up(scale.seconds(10), first.turns_per_commit);
  std::vector<double> turns, reference, per_commit, shard, process;
  for (int round = 0; round < scale.rounds(5); ++round) {
    const Throughput now = measure(*world, scale.seconds(3));
    turns.push_back(now.turns_per_second);
    per_commit.push_back(now.turns_per_commit);
    shard.push_back(now.shard_us);
    process.push_back(now.process_us);
    const BareCommits::Sample loop = bare.run(scale.seconds(2), now.turns_per_commit);
    reference.push_back(loop.turns / loop.seconds);
  }
  // A turn of a person who waits for the answer is in one of three transactions.
  const BareCommits::Sample full = bare.run(scale.seconds(2), static_cast<double>(producers) / 3);
  return {median(turns), median(reference), median(per_commit),
          median(shard), median(process),   full.turns / full.seconds};
}

void add_rows(const Compared& c, const Source& source, std::size_t producers, double factor,
              std::vector<Row>& rows) {
  const std::string what =
      fmt::format("{} producers, 1 in flight each, {}", producers, source.words);
  rows.push_back(at_least(fmt::format("durable turns, push channel, {} ({:.3g} turns a commit)",
                                      what, c.turns_per_commit),
                          c.turns_per_second, "turns/s", c.reference, factor));
  rows.push_back(
      reported(fmt::format("bare loop with {} turns a commit, {}", producers / 3, source.words),
               c.ceiling, "turns/s"));
  rows.push_back(reported("shard CPU of a durable turn, " + what, c.shard_us, "us"));
  rows.push_back(reported("all CPU of a durable turn, " + what, c.process_us, "us"));
}

void pull_row(const Scale& scale, std::vector<Row>& rows) {
  const TempDir directory(scale.directory);
  const auto world = durable_world(kFew, directory.path() + "/pull", true);
  (void)measure(*world, scale.seconds(1));
  std::vector<double> turns;
  for (int round = 0; round < scale.rounds(5); ++round) {
    turns.push_back(measure(*world, scale.seconds(1)).turns_per_second);
  }
  rows.push_back(
      reported(fmt::format("durable turns, pull channel with readers, {} producers, fresh", kFew),
               median(turns), "turns/s"));
}

std::string count_words(const Scale& scale) {
  const Amounts amounts = Amounts::of(scale);
  return fmt::format("{} messages stored", amounts.messages);
}

}  // namespace

std::vector<Row> durable(const Scale& scale) {
  const Source fresh{"", "fresh"};
  const Source aged{aged_store(scale), count_words(scale)};
  std::vector<Row> rows;
  const Compared few = compare(scale, fresh, kFew);
  add_rows(few, fresh, kFew, 0.65, rows);
  const Compared many = compare(scale, fresh, kMany);
  add_rows(many, fresh, kMany, 0.85, rows);
  const std::pair<std::size_t, const Compared*> pairs[] = {{kFew, &few}, {kMany, &many}};
  for (const auto& [producers, before] : pairs) {
    const Compared old = compare(scale, aged, producers);
    add_rows(old, aged, producers, producers == kFew ? 0.65 : 0.85, rows);
    rows.push_back(at_least(
        fmt::format("durable turns, {} producers, {}, against fresh", producers, aged.words),
        old.turns_per_second, "turns/s", before->turns_per_second, 0.5));
  }
  pull_row(scale, rows);
  return rows;
}

}  // namespace sluice::bench
