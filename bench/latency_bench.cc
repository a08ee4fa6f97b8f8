// How long a sender waits for the acknowledgement while the gateway is half busy, and the longest
// stall of five minutes.

#include <algorithm>
#include <cmath>
#include <deque>

#include <fmt/core.h>

#include "base/assert.h"
#include "measure.h"
#include "preload.h"
#include "sections.h"
#include "stores.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kConversations = 4096;
constexpr std::size_t kProducersAtPeak = 1024;
// What is under way at once; beyond it the arrivals wait, and their waiting counts.
constexpr std::size_t kInFlightMax = 20'000;

/// Arrivals at random moments, whether or not earlier ones were answered. Latency counts from the
/// moment at which the message was due.
class Arrivals {
 public:
  Arrivals(World& world, double per_second)
      : world_(world), per_second_(per_second), tasks_(world.shard()) {}

  struct Sample {
    std::vector<double> milliseconds;
    double longest = 0;
  };
  Sample run(double seconds) {
    sample_ = Sample{};
    world_.run_task(arrive(seconds));
    return std::move(sample_);
  }

 private:
  Task<void> arrive(double seconds) {
    Shard& shard = world_.shard();
    MonoTime due = shard.now();
    const MonoTime end = due + Duration(static_cast<std::int64_t>(seconds * 1e9));
    while (due < end) {
      const double uniform =
          (static_cast<double>(shard.random().below(1 << 30)) + 1) / static_cast<double>(1 << 30);
      due = due + Duration(static_cast<std::int64_t>(-std::log(uniform) / per_second_ * 1e9));
      if (due > shard.now()) co_await sleep_until(shard, due);
      while (waiting_ >= kInFlightMax) co_await yield(shard);
      const std::size_t person = shard.random().below(kConversations);
      std::deque<MonoTime>& due_of = due_[person];
      due_of.push_back(due);
      ++waiting_;
      if (due_of.size() == 1) tasks_.spawn("arrival", send(person));
    }
    const MonoTime patience = shard.now() + Duration(std::chrono::seconds(60));
    const std::size_t left = co_await tasks_.join(patience);
    SLUICE_ASSERT(left == 0);
    // Turns end and parts settle before the next run begins, or the store is opened again.
    while (world_.people().turns() < total_ || world_.gateway().core().counters.outbox.value() > 0)
      co_await sleep_for(shard, milliseconds(1));
  }
  /// A person says one thing after the other: what was refused would be overtaken otherwise.
  Task<void> send(std::size_t person) {
    for (std::deque<MonoTime>& due_of = due_[person]; !due_of.empty(); due_of.pop_front()) {
      co_await one(world_.people().message(person, said_[person]++), due_of.front());
      --waiting_;
    }
  }
  Task<void> one(InboundMessage message, MonoTime due) {
    Result<std::vector<Accepted>> accepted = co_await world_.accept(message);
    // Told to come again, a sender does, and its wait goes on.
    while (!accepted && accepted.error().retry().allowed()) {
      if (refused_++ == 0) fmt::print(stderr, "told to wait: {}\n", accepted.error().to_string());
      co_await sleep_for(world_.shard(), accepted.error().retry().delay);
      accepted = co_await world_.accept(message);
    }
    if (!accepted) fmt::print(stderr, "refused: {}\n", accepted.error().to_string());
    SLUICE_ASSERT(accepted.has_value() && accepted->front().verdict == EventVerdict::kNew);
    ++total_;
    const double ms = static_cast<double>((world_.shard().now() - due).count()) / 1e6;
    sample_.milliseconds.push_back(ms);
    sample_.longest = std::max(sample_.longest, ms);
  }

  World& world_;
  const double per_second_;
  std::vector<std::uint64_t> said_ = std::vector<std::uint64_t>(kConversations);
  std::vector<std::deque<MonoTime>> due_ = std::vector<std::deque<MonoTime>>(kConversations);
  std::size_t waiting_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t total_ = 0;
  Sample sample_;
  TaskGroup tasks_;
};

World::Setup open_setup() {
  World::Setup setup;
  setup.conversations = kConversations;
  setup.depth = 1;
  // The reference keeps nothing that could be read again, so bodies stay in memory in both.
  setup.core.inbox_capacity = 2 * kInFlightMax;
  return setup;
}

std::unique_ptr<World> real_world(const std::string& directory) {
  return std::make_unique<World>(open_setup(),
                                 [&](World& w) { return open_real_store(w, directory); });
}

double peak_of(const Scale& scale, const std::string& directory) {
  World::Setup setup;
  setup.conversations = kProducersAtPeak;
  setup.depth = 1;
  World world(setup, [&](World& w) { return open_real_store(w, directory); });
  world.start_people();
  (void)world.run(scale.seconds(1));
  std::vector<double> turns;
  for (int round = 0; round < scale.rounds(3); ++round) {
    const World::Sample sample = world.run(scale.seconds(2));
    turns.push_back(static_cast<double>(sample.turns) / sample.seconds);
  }
  return std::max(median(turns), 100.0);
}

struct Latency {
  std::vector<double> p50, p99;
  double longest = 0;
  void add(const Arrivals::Sample& sample) {
    p50.push_back(quantile(sample.milliseconds, 0.5));
    p99.push_back(quantile(sample.milliseconds, 0.99));
    longest = std::max(longest, sample.longest);
  }
};

struct Pair {
  Latency ours;
  Latency reference;
};

Pair in_turn(const Scale& scale, const std::string& store, double rate) {
  const TempDir directory(scale.directory);
  const auto ours = real_world(store);
  World plain(open_setup(), [&](World& w) {
    return std::make_unique<FileStore>(w.shard(), directory.path() + "/plain");
  });
  Arrivals to_ours(*ours, rate);
  Arrivals to_plain(plain, rate);
  (void)to_ours.run(scale.seconds(2));
  (void)to_plain.run(scale.seconds(1));
  Pair pair;
  for (int round = 0; round < scale.rounds(5); ++round) {
    pair.ours.add(to_ours.run(scale.seconds(3)));
    pair.reference.add(to_plain.run(scale.seconds(3)));
  }
  return pair;
}

void add_rows(const Pair& pair, const std::string& what, double p99_factor, bool with_p50,
              std::vector<Row>& rows) {
  const double p50 = median(pair.ours.p50);
  const double p50_reference = median(pair.reference.p50);
  if (with_p50) {
    rows.push_back(at_most("accept latency p50, " + what, p50, "ms", p50_reference, 1.4));
  } else {
    Row row = reported("accept latency p50, " + what, p50, "ms");
    row.reference = p50_reference;
    rows.push_back(row);
  }
  rows.push_back(at_most("accept latency p99, " + what, median(pair.ours.p99), "ms",
                         median(pair.reference.p99), p99_factor));
}

Row stalls(const Scale& scale, const std::string& store, double rate, const std::string& what) {
  const TempDir directory(scale.directory);
  // A longer reference could only have found a longer stall, so its minute is on the strict side.
  const double ours_seconds = scale.seconds(300);
  const double reference_seconds = scale.seconds(60);
  Arrivals::Sample reference;
  {
    World plain(open_setup(), [&](World& w) {
      return std::make_unique<FileStore>(w.shard(), directory.path() + "/plain");
    });
    reference = Arrivals(plain, rate).run(reference_seconds);
  }
  const auto ours = real_world(store);
  const Arrivals::Sample sample = Arrivals(*ours, rate).run(ours_seconds);
  return at_most(fmt::format("longest wait for an acknowledgement in {:.0f} s, {} (reference: in "
                             "{:.0f} s)",
                             ours_seconds, what, reference_seconds),
                 sample.longest, "ms", reference.longest, 3);
}

}  // namespace

std::vector<Row> latency(const Scale& scale) {
  const TempDir directory(scale.directory);
  const std::string fresh = directory.path() + "/fresh";
  const std::string aged = directory.path() + "/aged";
  copy_folder(aged_store(scale), aged);
  const double rate = peak_of(scale, directory.path() + "/peak") / 2;
  const std::string at = fmt::format("{:.0f} arrivals/s in {} chats", rate, kConversations);
  std::vector<Row> rows;
  add_rows(in_turn(scale, fresh, rate), at + ", fresh", 2, true, rows);
  const std::string old = fmt::format("{}, {} messages stored", at, Amounts::of(scale).messages);
  add_rows(in_turn(scale, aged, rate), old, 4, false, rows);
  rows.push_back(stalls(scale, aged, rate, old));
  return rows;
}

}  // namespace sluice::bench
