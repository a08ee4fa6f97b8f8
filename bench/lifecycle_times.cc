// How long a restart takes, and how much of that is a pause for what comes in; with an empty store
// and with a large one.

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/handover_link.h"
#include "base/assert.h"
#include "lifecycle_setup.h"
#include "measure.h"
#include "preload.h"
#include "sections.h"
#include "store/sqlite.h"
#include "stored_messages.h"

namespace sluice::bench {
namespace {

using app::HandoverLink;
using services::Descriptor;

constexpr double kBeyondStart = 100;  // ms
constexpr double kPause = 50;         // ms
constexpr std::uint64_t kLog = 64u << 20;
constexpr double kLogMost = 60;  // seconds to make it so large

Task<void> move_descriptors(HandoverLink* from, HandoverLink* to, std::size_t times,
                            std::vector<double>* milliseconds, Shard* shard) {
  const Descriptor lock(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Descriptor control(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (std::size_t i = 0; i < times; ++i) {
    const double began = wall_seconds();
    from->send(HandoverLink::Type::kCommit, "good\nlock\ncontrol\n127.0.0.1:0\n",
               {lock.get(), control.get(), listener.get()});
    const Result<HandoverLink::Frame> frame = co_await to->receive(MonoTime::max());
    milliseconds->push_back((wall_seconds() - began) * 1e3);
    SLUICE_ASSERT(frame && frame->fds.size() == 3);
  }
  shard->stop();
}

std::vector<double> descriptor_milliseconds(std::size_t times) {
  SystemClock clock;
  Shard shard(clock, 1);
  int ends[2];
  SLUICE_ASSERT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  auto from = HandoverLink::make(shard, Descriptor(ends[0]));
  auto to = HandoverLink::make(shard, Descriptor(ends[1]));
  SLUICE_ASSERT(from && to);
  std::vector<double> out;
  TaskGroup tasks(shard);
  tasks.spawn("move", move_descriptors(from->get(), to->get(), times, &out, &shard));
  shard.run();
  return out;
}

struct Times {
  std::vector<double> command, pause;
  bool all = true;
  void add(const RestartedDaemon::Restart& restart) {
    all = all && restart.failed.empty();
    command.push_back(restart.command_ms);
    pause.push_back(restart.pause_ms);
  }
};

void add_rows(const Times& taken, const std::string& with, double start,
              const std::string& start_of, std::vector<Row>& rows) {
  Row command = reported(fmt::format("command to successor accepting, {}", with),
                         median(taken.command), "ms");
  command.reference = start;
  command.goal = fmt::format("<= reference ({}) + {:g} ms", start_of, kBeyondStart);
  command.reached = taken.all && command.value <= *command.reference + kBeyondStart;
  rows.push_back(command);
  rows.push_back(
      below(fmt::format("pause of intake, {}", with), median(taken.pause), "ms", kPause));
  rows.push_back(reported(fmt::format("the same, longest of {}", taken.pause.size()),
                          quantile(taken.pause, 1), "ms"));
}

std::uint64_t size_of(const std::string& path) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(path, missing);
  return missing ? 0 : size;
}

/// Somebody reads the store as it is now: meanwhile its log only grows.
class LongReader {
 public:
  explicit LongReader(const std::string& data) {
    auto db = sqlite::Database::open(data + "/sluice.db", sqlite::Database::Mode::kQuery);
    SLUICE_ASSERT(db.has_value());
    db_ = std::move(*db);
    SLUICE_ASSERT(db_.exec("BEGIN; SELECT count(*) FROM meta").has_value());
  }

 private:
  sqlite::Database db_;
};

void large_store(const Scale& scale, std::vector<Row>& rows) {
  const TempDir directory(scale.directory);
  copy_folder(aged_store(scale), directory.path() + "/data");
  RestartedDaemon daemon(scale.programs + "/sluice", directory.path(), kLifecycleConfig);
  const Amounts amounts = Amounts::of(scale);
  const std::uint64_t enough = scale.smoke ? 1u << 20 : kLog;
  const std::string log = daemon.data() + "/sluice.db-wal";
  Times taken;
  std::uint64_t least = UINT64_MAX;
  for (int round = 0; round < scale.rounds(3); ++round) {
    daemon.wait_until_alone();
    const LongReader reader(daemon.data());
    ShortLoad load(post_load(daemon, [](const std::string&) {}));
    const double until = wall_seconds() + kLogMost;
    while (size_of(log) < enough && wall_seconds() < until) rest(0.01);
    (void)load.finish(0);
    (void)texts_of_people(daemon.data(), kLogMost);
    least = std::min(least, size_of(log));
    taken.add(daemon.restart());
  }
  add_rows(taken,
           fmt::format("{} conversations, {} messages stored, a log of {} MiB",
                       amounts.conversations, amounts.messages, least >> 20),
           daemon.milliseconds_to_ready(), "start to ready of this store in the ordinary way",
           rows);
}

}  // namespace

std::vector<Row> times(const Scale& scale) {
  adopt_orphans();
  std::vector<Row> rows;
  {
    const TempDir directory(scale.directory);
    RestartedDaemon daemon(scale.programs + "/sluice", directory.path(), kLifecycleConfig);
    Times taken;
    for (int round = 0; round < scale.rounds(9); ++round) taken.add(daemon.restart());
    std::vector<double> bare;
    for (int i = 0; i < 9; ++i) bare.push_back(bare_process_milliseconds());
    add_rows(taken, "empty store", median(bare), "a process that does nothing", rows);
  }
  const std::vector<double> moves = descriptor_milliseconds(scale.count(1'000, 10));
  rows.push_back(below("the descriptors' way to the successor, 99 % of 1000, in one process",
                       quantile(moves, 0.99), "ms", 1));
  large_store(scale, rows);
  return rows;
}

}  // namespace sluice::bench
