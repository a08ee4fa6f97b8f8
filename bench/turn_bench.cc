// One turn by itself: commits and fsyncs. And one quiet person beside a loud one.

#include <fmt/core.h>

#include "base/assert.h"
#include "measure.h"
#include "null_store.h"
#include "sections.h"
#include "stores.h"
#include "sync_counter.h"

namespace sluice::bench {
namespace {

/// Says one thing and waits for the answer; then lets everything settle.
Task<void> one_turn(World* world, std::uint64_t number) {
  const Result<std::vector<Accepted>> accepted =
      co_await world->accept(world->people().message(0, number));
  SLUICE_ASSERT(accepted.has_value());
  world->channel().follow(accepted->front().lane, "0");
  while (world->people().turns() <= number) co_await sleep_for(world->shard(), milliseconds(1));
  co_await sleep_for(world->shard(), milliseconds(15));
}

void lone_turn(const Scale& scale, bool pull, double most, std::vector<Row>& rows) {
  const TempDir directory(scale.directory);
  SyncCounter counter;
  World::Setup setup;
  setup.conversations = setup.depth = 1;
  setup.pull = pull;
  World world(setup, [&](World& w) { return open_real_store(w, directory.path() + "/store"); });
  // The first turns also make the conversation, and a pulled one's reader comes after the first.
  world.run_task(one_turn(&world, 0));
  world.run_task(one_turn(&world, 1));
  std::vector<double> commits, syncs;
  for (std::uint64_t i = 0; i < scale.count(20, 3); ++i) {
    const std::int64_t before = world.metrics().value("sluice_store_commits_total");
    const std::uint64_t syncs_before = counter.syncs();
    world.run_task(one_turn(&world, 2 + i));
    commits.push_back(
        static_cast<double>(world.metrics().value("sluice_store_commits_total") - before));
    syncs.push_back(static_cast<double>(counter.syncs() - syncs_before));
  }
  const std::string_view kind = pull ? "pull" : "push";
  rows.push_back(below(fmt::format("commits of one lone turn, {} channel, median", kind),
                       median(commits), "commits", most));
  rows.push_back(below(fmt::format("fsyncs of one lone turn, {} channel, median", kind),
                       median(syncs), "fsyncs", most));
}

// ---- the quiet person

constexpr std::size_t kLoudMessages = 320;

/// All chats but the last belong to one loud person.
InboundMessage loud_message(World& world, std::size_t chat) {
  InboundMessage message = world.people().message(chat, 0);
  message.sender = "loud";
  return message;
}

Task<void> accept_loud(World* world, std::size_t chat) {
  const Result<std::vector<Accepted>> accepted = co_await world->accept(loud_message(*world, chat));
  SLUICE_ASSERT(accepted.has_value());
}

/// From the quiet person's message to the answer, in milliseconds.
Task<void> quiet_turn(World* world, std::size_t loud, double* took) {
  TaskGroup tasks(world->shard());
  for (std::size_t i = 0; i < loud; ++i) tasks.spawn("loud", accept_loud(world, i));
  (void)co_await tasks.join(MonoTime::max());
  const double began = wall_seconds();
  const Result<std::vector<Accepted>> accepted =
      co_await world->accept(world->people().message(kLoudMessages, 0));
  SLUICE_ASSERT(accepted.has_value());
  while (world->people().answered_in(kLoudMessages) == 0) {
    co_await sleep_for(world->shard(), std::chrono::microseconds(200));
  }
  *took = (wall_seconds() - began) * 1e3;
}

double quiet_milliseconds(std::size_t loud) {
  World::Setup setup;
  setup.conversations = kLoudMessages + 1;
  setup.depth = 1;
  setup.echo.delay = milliseconds(200);
  World world(setup, [](World& w) { return std::make_unique<NullStore>(w.shard()); });
  double took = 0;
  world.run_task(quiet_turn(&world, loud, &took));
  return took;
}

}  // namespace

std::vector<Row> turn(const Scale& scale) {
  std::vector<Row> rows;
  lone_turn(scale, true, 2, rows);
  lone_turn(scale, false, 3, rows);
  std::vector<double> alone, beside;
  for (int round = 0; round < scale.rounds(5); ++round) {
    alone.push_back(quiet_milliseconds(0));
    beside.push_back(quiet_milliseconds(kLoudMessages));
  }
  rows.push_back(at_most(
      fmt::format("a quiet person's turn of 200 ms behind another's {} in other chats, 32 slots",
                  kLoudMessages),
      median(beside), "ms", median(alone), 1.2));
  return rows;
}

}  // namespace sluice::bench
