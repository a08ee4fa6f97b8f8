// Restarts under load: short connections, connections that wait in the listener's queue, and kept
// ones; beside servers of others that restart as often.

#include <csignal>
#include <functional>
#include <optional>

#include <fmt/core.h>

#include "base/assert.h"
#include "lifecycle_setup.h"
#include "measure.h"
#include "restart_peers.h"
#include "sections.h"
#include "stored_messages.h"

namespace sluice::bench {
namespace {

constexpr double kBetween = 0.3;      // seconds between two restarts of a peer
constexpr double kAllAnswered = 120;  // seconds

struct Run {
  LoadReport load;
  bool restarted = false;  // as often as asked
  double p50() const { return quantile(load.milliseconds, 0.5); }
  double p99() const { return quantile(load.milliseconds, 0.99); }
  double longest() const { return quantile(load.milliseconds, 1); }
};

Run restarted_under(ShortLoad::Plan plan, std::uint64_t connections,
                    const std::function<bool()>& restarts) {
  ShortLoad load(std::move(plan));
  Run run;
  run.restarted = restarts();
  run.load = load.finish(connections);
  if (run.load.failed() > 0) {
    fmt::print(stderr, "{} of {}; {}\n", run.load.failures(), load.made(), run.load.first_wrong);
  }
  return run;
}

std::optional<Run> peer_under(std::unique_ptr<RestartPeer> peer, std::size_t times,
                              std::uint64_t connections) {
  if (peer == nullptr) return std::nullopt;
  return restarted_under(health_load(peer->port()), connections, [&] {
    bool all = true;
    for (std::size_t i = 0; i < times; ++i) {
      rest(kBetween);
      all = peer->restart() && all;
    }
    return all;
  });
}

Row failures(const std::string& of, const Run& run) {
  Row row = none(fmt::format("failed of {} {}", run.load.answered + run.load.failed(), of),
                 static_cast<double>(run.load.failed()));
  row.reached = row.reached && run.restarted;
  return row;
}

/// Each quantile of our run beside the other's, the 99th first.
std::vector<Row> waits(const std::string& beside, const Run& ours, const Run* other) {
  std::vector<Row> rows = {reported("p99 of these" + beside, ours.p99(), "ms"),
                           reported("p50 of these", ours.p50(), "ms"),
                           reported("longest of these", ours.longest(), "ms")};
  if (other == nullptr) return rows;
  rows[0].reference = other->p99();
  rows[1].reference = other->p50();
  rows[2].reference = other->longest();
  return rows;
}

void health_through_restarts(const Scale& scale, std::size_t times, std::uint64_t connections,
                             const std::optional<Run>& nginx, std::vector<Row>& rows) {
  const TempDir directory(scale.directory);
  RestartedDaemon daemon(scale.programs + "/sluice", directory.path(), kLifecycleConfig);
  const Run run = restarted_under(health_load(daemon.port()), connections,
                                  [&] { return restart_often(daemon, times); });
  rows.push_back(failures(
      fmt::format("short connections to /health/live, 128 at a time, until {} restarts were done",
                  times),
      run));
  if (nginx) rows.back().reference = static_cast<double>(nginx->load.failed());
  std::vector<Row> more =
      waits(" (reference: nginx, upgraded as often)", run, nginx ? &*nginx : nullptr);
  more[0].goal = "<= 1 x reference";
  more[0].reached = nginx && run.p99() <= nginx->p99();
  if (!nginx) more[0].reference_text = "nginx is not installed";
  rows.insert(rows.end(), more.begin(), more.end());
}

/// Beside ours, for comparison only.
void add_haproxy(const std::optional<Run>& run, std::size_t times, std::vector<Row>& rows) {
  if (run) {
    const std::string of = fmt::format(
        "short connections to HAProxy, reloaded {} times, its sockets handed over", times);
    rows.push_back(failures(of, *run));
    rows.push_back(reported("p99 of these", run->p99(), "ms"));
    return;
  }
  Row missing = reported("short connections to HAProxy, reloaded", 0, "");
  missing.goal = "HAProxy is installed";
  missing.reached = false;
  rows.push_back(missing);
}

void post_through_restarts(const Scale& scale, std::size_t times, std::uint64_t connections,
                           std::vector<Row>& rows) {
  const TempDir directory(scale.directory);
  RestartedDaemon daemon(scale.programs + "/sluice", directory.path(), kLifecycleConfig);
  // What the same load takes while nothing happens.
  const Run quiet = restarted_under(post_load(daemon, [](const std::string&) {}), connections / 10,
                                    [] { return true; });
  std::vector<std::string> accepted;
  const Run run = restarted_under(
      post_load(daemon, [&](std::string text) { accepted.push_back(std::move(text)); }),
      connections, [&] { return restart_often(daemon, times); });
  rows.push_back(failures(
      fmt::format("short connections that post a message each, 128 at a time, until {} restarts "
                  "were done",
                  times),
      run));
  for (Row& row : waits(" (reference: without a restart)", run, &quiet)) rows.push_back(row);
  const auto found = texts_of_people(daemon.data(), kAllAnswered);
  std::size_t once = 0;
  for (const std::string& text : accepted) {
    const auto at = found.find(text);
    once += at != found.end() && at->second == 1 ? 1 : 0;
  }
  rows.push_back(none(
      fmt::format("of {} messages accepted meanwhile, not found exactly once", accepted.size()),
      static_cast<double>(accepted.size() - once)));
}

}  // namespace

std::vector<Row> connections(const Scale& scale) {
  adopt_orphans();
  const std::size_t times = scale.count(20, 2);
  const std::uint64_t least = scale.count(100'000, 2'000);
  std::vector<Row> rows;
  std::optional<Run> nginx, haproxy;
  {
    const TempDir directory(scale.directory);
    nginx = peer_under(make_nginx(directory.path()), times, least);
    haproxy = peer_under(make_haproxy(directory.path()), times, least);
  }
  health_through_restarts(scale, times, least, nginx, rows);
  post_through_restarts(scale, times, least, rows);
  add_haproxy(haproxy, times, rows);
  const std::optional<Run> control = peer_under(std::make_unique<ReusePortPeer>(), times, least);
  Row seen = reported(fmt::format("the control: failed with a second listener (SO_REUSEPORT), {} "
                                  "times",
                                  times),
                      static_cast<double>(control->load.failed()), "");
  seen.goal = ">= 1: losses are seen";
  seen.reached = seen.value >= 1;
  rows.push_back(seen);
  return rows;
}

namespace {

/// A load that asks once each, when all of it waits in the queue of somebody who is stopped.
LoadReport queued(std::uint16_t port, std::size_t clients, int stopped,
                  const std::function<void()>& go_on) {
  ::kill(stopped, SIGSTOP);
  ShortLoad::Plan plan = health_load(port);
  plan.at_once = clients;
  plan.at_most = clients;
  ShortLoad load(std::move(plan));
  const double until = wall_seconds() + ShortLoad::kPatience;
  while (load.asked() < clients && wall_seconds() < until) rest(0.001);
  go_on();
  return load.finish(clients);
}

}  // namespace

std::vector<Row> queue(const Scale& scale) {
  adopt_orphans();
  const std::size_t clients = scale.count(4'000, 200);
  ReusePortPeer second;
  const LoadReport control =
      queued(second.port(), clients, second.pid(), [&] { (void)second.restart(); });
  const TempDir directory(scale.directory);
  RestartedDaemon daemon(scale.programs + "/sluice", directory.path(), kLifecycleConfig);
  RestartedDaemon::Restart restart;
  const LoadReport load = queued(daemon.port(), clients, daemon.pid(), [&] {
    daemon.ask();
    ::kill(daemon.pid(), SIGCONT);
    restart = daemon.wait();
  });
  Row row = none(fmt::format("of {} clients that had asked before anybody accepted, lost in a "
                             "restart (reference: with a second listener, SO_REUSEPORT)",
                             clients),
                 static_cast<double>(clients - load.answered));
  row.reference = static_cast<double>(clients - control.answered);
  row.reached = row.reached && restart.failed.empty() && *row.reference > 0;
  return {row, reported("of these, the longest wait", quantile(load.milliseconds, 1), "ms")};
}

std::vector<Row> kept(const Scale& scale) {
  adopt_orphans();
  const std::size_t times = scale.count(10, 1);
  const TempDir directory(scale.directory);
  RestartedDaemon daemon(scale.programs + "/sluice", directory.path(), kLifecycleConfig);
  ShortLoad::Plan plan = health_load(daemon.port());
  plan.at_once = 64;
  plan.keeps = true;
  const Run run = restarted_under(std::move(plan), scale.count(10'000, 1'000),
                                  [&] { return restart_often(daemon, times); });
  Row row = none(fmt::format("errors in {} requests over 64 kept connections, {} restarts",
                             run.load.answered + run.load.failed(), times),
                 static_cast<double>(run.load.failed()));
  row.reached = row.reached && run.restarted;
  return {row, reported("p99 of these", run.p99(), "ms"),
          reported("longest of these", run.longest(), "ms")};
}

}  // namespace sluice::bench
