// Many messages that wait: what each costs in memory, and how soon work goes on after a SIGKILL.

#include <fmt/core.h>

#include "base/assert.h"
#include "measure.h"
#include "null_store.h"
#include "preload.h"
#include "sections.h"
#include "stores.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kChats = 1000;
constexpr double kPatience = 120;  // seconds for the first answer

Task<void> accept_all(World* world, std::uint64_t from, std::uint64_t to) {
  for (std::uint64_t i = from; i < to; ++i) {
    const Result<std::vector<Accepted>> accepted =
        co_await world->accept(world->people().message(i % kChats, i));
    SLUICE_ASSERT(accepted.has_value());
  }
}

/// From opening the store to the first answer that is sent, in milliseconds.
double first_answer_milliseconds(const std::string& directory) {
  World::Setup setup;
  setup.conversations = setup.depth = 1;
  double answered_at = 0;
  World* running = nullptr;
  setup.on_send = [&](const SendRequest&) {
    if (answered_at != 0) return;
    answered_at = wall_seconds();
    if (running != nullptr) running->shard().stop();
  };
  const double began = wall_seconds();
  World world(setup, [&](World& w) {
    running = &w;
    return open_real_store(w, directory);
  });
  while (answered_at == 0) {
    (void)world.run(0.05);
    SLUICE_ASSERT(wall_seconds() - began < kPatience);
  }
  return (answered_at - began) * 1e3;
}

}  // namespace

std::vector<Row> waiting(const Scale& scale) {
  const std::size_t first = scale.count(10'000, 2'000);
  const std::size_t more = scale.count(100'000, 2'000);
  World::Setup setup;
  setup.conversations = kChats;
  setup.depth = 1;
  setup.echo.delay = std::chrono::hours(1);
  World world(setup, [](World& w) { return std::make_unique<NullStore>(w.shard()); });
  world.run_task(accept_all(&world, 0, first));
  const std::uint64_t before = heap_bytes();
  world.run_task(accept_all(&world, first, first + more));
  const auto grown = static_cast<double>(heap_bytes()) - static_cast<double>(before);
  Row row = below(fmt::format("memory of a waiting message, {} waiting in {} chats", more, kChats),
                  grown / static_cast<double>(more), "bytes", 32);
  row.reference_text = "1530 (the gateway of the seed, measured earlier, not run here)";
  return {row};
}

std::vector<Row> recovery(const Scale& scale) {
  const std::size_t pending = scale.count(100'000, 200);
  const std::string aged = aged_store(scale);
  std::vector<double> took;
  for (int round = 0; round < scale.rounds(3); ++round) {
    const TempDir directory(scale.directory);
    const std::string store = directory.path() + "/store";
    copy_folder(aged, store);
    leave_pending(store, pending);
    took.push_back(first_answer_milliseconds(store));
  }
  const Amounts amounts = Amounts::of(scale);
  return {
      below(fmt::format("first answer sent after SIGKILL, {} conversations, {} messages stored, "
                        "{} pending, warm page cache, in one process",
                        amounts.conversations, amounts.messages, pending),
            median(took), "ms", 2000)};
}

}  // namespace sluice::bench
