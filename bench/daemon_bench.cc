// The real daemon as a process: its memory and wake-ups at rest, its start, what it writes for a
// turn, and its memory when it has grown old and works on.

#include <algorithm>
#include <fstream>

#include <fmt/core.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/random.h"
#include "daemon_process.h"
#include "http_load.h"
#include "measure.h"
#include "preload.h"
#include "sections.h"

namespace sluice::bench {
namespace {

constexpr double kMiB = 1 << 20;

double resident_mib(int pid) {
  return static_cast<double>(proc_status_bytes(pid, "VmRSS:")) / kMiB;
}

std::string post(const DaemonProcess& daemon, const std::string& authorization,
                 const std::string& chat, Random& random) {
  const std::string body = fmt::format(
      "{{\"id\":\"{:016x}\",\"text\":\"What somebody might say, about as long as people write.\"}}",
      random.next());
  return fmt::format(
      "POST /v1/conversations/{}/messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}Content-Type: "
      "application/json\r\nContent-Length: {}\r\n\r\n{}",
      chat, daemon.port(), authorization, body.size(), body);
}

void start_and_rest(const Scale& scale, const std::string& program, std::vector<Row>& rows) {
  std::vector<double> ready, bare;
  for (int round = 0; round < scale.rounds(9); ++round) {
    const TempDir directory(scale.directory);
    const DaemonProcess daemon(program, directory.path());
    ready.push_back(daemon.milliseconds_to_ready());
    bare.push_back(bare_process_milliseconds());
  }
  Row row = reported("start to ready, empty store", median(ready), "ms");
  row.reference = median(bare);
  row.goal = "<= reference (a process that does nothing) + 50 ms";
  row.reached = row.value <= *row.reference + 50;
  rows.push_back(row);

  const TempDir directory(scale.directory);
  const DaemonProcess daemon(program, directory.path());
  rest(scale.seconds(5));
  const std::uint64_t switches = proc_context_switches(daemon.pid());
  const double seconds = scale.seconds(20);
  rest(seconds);
  const auto wakeups =
      static_cast<double>(proc_context_switches(daemon.pid()) - switches) / seconds;
  Row memory = below("memory of the idle daemon, empty store (VmRSS)", resident_mib(daemon.pid()),
                     "MiB", 12);
  memory.reference_text = "34 MB (smallest peer, measured earlier, not run here)";
  rows.push_back(memory);
  rows.push_back(reported("of it not backed by files (RssAnon)",
                          static_cast<double>(proc_status_bytes(daemon.pid(), "RssAnon:")) / kMiB,
                          "MiB"));
  rows.push_back(below("wake-ups of the idle daemon, all threads", wakeups, "a second", 2));
}

void bytes_per_turn(const Scale& scale, const std::string& program, std::vector<Row>& rows) {
  const TempDir directory(scale.directory);
  const DaemonProcess daemon(program, directory.path());
  Random random(5);
  const std::string authorization = daemon.authorization();
  HttpLoad load(daemon.port(), 1, [&](std::size_t, std::uint64_t) {
    return post(daemon, authorization, "main", random);
  });
  (void)load.run(scale.seconds(3), 1);
  const std::uint64_t before = proc_io(daemon.pid(), "write_bytes:");
  const std::uint64_t turns = load.run(scale.seconds(30), 1);
  rest(scale.seconds(0.5));
  const std::uint64_t after = proc_io(daemon.pid(), "write_bytes:");
  rows.push_back(reported(
      "bytes written for a turn at one turn a second, pull channel (write_bytes)",
      static_cast<double>(after - before) / static_cast<double>(std::max<std::uint64_t>(turns, 1)),
      "bytes"));
}

/// Milliseconds to read so many bytes of the file, as a program that only reads would.
double reading_milliseconds(const std::string& path, std::uint64_t bytes) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> buffer(1 << 20);
  const double began = wall_seconds();
  while (bytes > 0 && in.read(buffer.data(), static_cast<std::streamsize>(
                                                 std::min<std::uint64_t>(bytes, buffer.size())))) {
    bytes -= static_cast<std::uint64_t>(in.gcount());
  }
  return (wall_seconds() - began) * 1e3;
}

/// Milliseconds for a page of the owner's list, anywhere in it.
double page_of_list_milliseconds(const DaemonProcess& daemon, const Amounts& amounts,
                                 double seconds) {
  Random random(7);
  const std::string authorization = daemon.authorization();
  HttpLoad load(daemon.port(), 1, [&](std::size_t, std::uint64_t) {
    return fmt::format("GET /v1/conversations?before={} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n",
                       1 + random.below(2 * amounts.conversations), daemon.port(), authorization);
  });
  const double began = wall_seconds();
  const std::uint64_t pages = load.run(seconds);
  return (wall_seconds() - began) * 1e3 / static_cast<double>(pages);
}

void start_of_old_store(const Scale& scale, const std::string& program, std::vector<Row>& rows) {
  const TempDir directory(scale.directory);
  copy_folder(aged_store(scale), directory.path() + "/data");
  const Amounts amounts = Amounts::of(scale);
  std::vector<double> ready, reading, listing;
  for (int round = 0; round < scale.rounds(5); ++round) {
    const DaemonProcess daemon(program, directory.path());
    ready.push_back(daemon.milliseconds_to_ready());
    const std::uint64_t read = proc_io(daemon.pid(), "rchar:");
    reading.push_back(reading_milliseconds(directory.path() + "/data/sluice.db", read));
    listing.push_back(page_of_list_milliseconds(daemon, amounts, scale.seconds(2)));
  }
  Row row = reported(fmt::format("start to ready, {} keys, {} conversations, warm page cache",
                                 amounts.messages, amounts.conversations),
                     median(ready), "ms");
  row.reference = median(reading);
  row.goal = "<= reference (reading as many bytes) + 1500 ms";
  row.reached = row.value <= *row.reference + 1500;
  rows.push_back(row);
  rows.push_back(below(fmt::format("a page of 50 of one person's list, anywhere among {} "
                                   "conversations, warm page cache",
                                   amounts.conversations),
                       median(listing), "ms", 5));
}

}  // namespace

std::vector<Row> daemon(const Scale& scale) {
  const std::string program = scale.programs + "/sluice";
  std::vector<Row> rows;
  if (::access(program.c_str(), X_OK) != 0) return rows;
  start_and_rest(scale, program, rows);
  bytes_per_turn(scale, program, rows);
  start_of_old_store(scale, program, rows);
  return rows;
}

std::vector<Row> memory(const Scale& scale) {
  const std::string program = scale.programs + "/sluice";
  if (::access(program.c_str(), X_OK) != 0) return {};
  constexpr double kPerSecond = 1000;
  constexpr std::size_t kConnections = 64;
  const TempDir directory(scale.directory);
  copy_folder(aged_store(scale), directory.path() + "/data");
  const DaemonProcess daemon(program, directory.path());
  const Amounts amounts = Amounts::of(scale);
  Random random(9);
  // One person for each connection: what a single one may have waiting and running is bounded.
  std::vector<std::string> people;
  for (std::size_t i = 0; i < kConnections; ++i)
    people.push_back(daemon.authorization_of_new(fmt::format("p{}", i)));
  HttpLoad load(daemon.port(), kConnections, [&](std::size_t i, std::uint64_t) {
    return post(daemon, people[i], fmt::format("old-{}", random.below(amounts.conversations)),
                random);
  });
  const double minute = scale.seconds(60);
  const int minutes = scale.smoke ? 2 : 10;
  double most = 0;
  double early = 0;
  double last = 0;
  std::uint64_t accepted = 0;
  for (int i = 0; i < minutes; ++i) {
    accepted += load.run(minute, kPerSecond);
    last = resident_mib(daemon.pid());
    most = std::max(most, last);
    if (i == minutes / 5) early = last;
  }
  const std::string what =
      fmt::format("{} conversations, {} messages stored, {:.0f} accepted a second for {:.0f} s",
                  amounts.conversations, amounts.messages,
                  static_cast<double>(accepted) / (minutes * minute), minutes * minute);
  return {below("memory of the daemon, " + what + ", most", most, "MiB", 400),
          at_most("memory of the daemon, the same, at the end (reference: after a fifth)", last,
                  "MiB", early, 1.05)};
}

}  // namespace sluice::bench
