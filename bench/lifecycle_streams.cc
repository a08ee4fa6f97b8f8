// What goes on for longer than a restart: pages that follow, streams that are seen on them, and
// turns that are at work.

#include <algorithm>

#include <fmt/core.h>

#include "follow_load.h"
#include "lifecycle_setup.h"
#include "measure.h"
#include "sections.h"
#include "stored_messages.h"

namespace sluice::bench {
namespace {

constexpr double kPatience = 60;  // seconds
constexpr double kUnderWay = 1;   // seconds before the restart
constexpr double kBucket = 1;     // seconds
constexpr double kPause = 50;     // ms
constexpr int kWords = 40;        // of a stream, a tenth of a second each

std::string words() {
  std::string out;
  for (int i = 0; i < kWords; ++i) out += fmt::format("{}word{}", i == 0 ? "" : " ", i);
  return out;
}

/// One message in each of the conversations PREFIX0, PREFIX1 …
void post_each(const RestartedDaemon& daemon, const std::string& prefix, std::size_t count,
               const std::string& text) {
  ShortLoad::Plan plan;
  plan.port = daemon.port();
  plan.at_once = 1;
  plan.at_most = count;
  plan.status = "HTTP/1.1 202";
  plan.make = [&, n = std::size_t{0}](std::size_t) mutable {
    const std::string body = fmt::format(R"({{"id":"1","text":"{}"}})", text);
    return fmt::format(
        "POST /v1/conversations/{}{}/messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}Content-Type: "
        "application/json\r\nContent-Length: {}\r\n\r\n{}",
        prefix, n++, daemon.port(), daemon.authorization(), body.size(), body);
  };
  const LoadReport load = ShortLoad(std::move(plan)).finish(count);
  if (load.failed() > 0) fmt::print(stderr, "{}; {}\n", load.failures(), load.first_wrong);
}

/// The fullest second of these moments, as a multiple of an even spread.
double fullest_second(const std::vector<double>& moments) {
  const auto [first, last] = std::minmax_element(moments.begin(), moments.end());
  const double span = *last - *first;
  std::vector<double> buckets(static_cast<std::size_t>(span / kBucket) + 1);
  for (const double at : moments) ++buckets[static_cast<std::size_t>((at - *first) / kBucket)];
  const double even = static_cast<double>(moments.size()) * kBucket / std::max(span, kBucket);
  return *std::max_element(buckets.begin(), buckets.end()) / even;
}

struct Told {
  std::size_t rightly = 0;  // 1012 and when to come back
  std::size_t back_once = 0;
  std::vector<double> back;
};

Told told(const FollowLoad& load) {
  Told out;
  for (const FollowLoad::Page& page : load.pages()) {
    out.rightly += page.code == FollowLoad::kRestarting && page.retry_ms >= 0 ? 1 : 0;
    out.back_once += page.came_back_at.size() == 1 ? 1 : 0;
    if (!page.came_back_at.empty()) out.back.push_back(page.came_back_at.front());
  }
  return out;
}

}  // namespace

std::vector<Row> followers(const Scale& scale) {
  adopt_orphans();
  const std::size_t pages = scale.count(2'000, 60);
  const std::size_t streams = scale.count(100, 10);
  const TempDir directory(scale.directory);
  RestartedDaemon daemon(scale.programs + "/sluice", directory.path(), kLifecycleConfig);
  FollowLoad load(daemon.port(), daemon.authorization());
  const auto all = [&](auto&& is) {
    return std::all_of(load.pages().begin(), load.pages().end(), is);
  };
  for (std::size_t i = 0; i < pages; ++i) load.open(fmt::format("f{}", i));
  (void)load.run_until([&] { return all([](const auto& page) { return page.open; }); }, kPatience);
  post_each(daemon, "f", streams, "!stream " + words());
  (void)load.run_until([until = wall_seconds() + kUnderWay] { return wall_seconds() > until; },
                       kPatience);
  daemon.ask();
  const bool came_back = load.run_until(
      [&] { return all([](const auto& page) { return !page.came_back_at.empty(); }); }, kPatience);
  const RestartedDaemon::Restart restart = daemon.wait();
  (void)load.run_until(
      [&] {
        return std::all_of(load.pages().begin(),
                           load.pages().begin() + static_cast<std::ptrdiff_t>(streams),
                           [](const auto& page) { return !page.answers.empty(); });
      },
      kPatience);
  // What came twice would have come by now.
  (void)load.run_until([until = wall_seconds() + 0.2] { return wall_seconds() > until; }, 1);
  const Told heard = told(load);
  std::size_t whole = 0;
  const std::string expected = words();
  for (std::size_t i = 0; i < streams; ++i) {
    const FollowLoad::Page& page = load.pages()[i];
    whole += page.answers == std::vector<std::string>{expected} && !page.missed ? 1 : 0;
  }
  Row rightly = none(fmt::format("of {} WebSockets, {} with a stream under way, not told 1012 and "
                                 "when to come back, or not back once",
                                 pages, streams),
                     static_cast<double>(2 * pages - heard.rightly - heard.back_once));
  rightly.reached = rightly.reached && came_back && restart.failed.empty();
  Row spread = below("their fullest second while they come back, as a multiple of the mean",
                     heard.back.empty() ? 0 : fullest_second(heard.back), "x", 1.5);
  // A few spread as they happen to.
  if (scale.smoke) spread.goal.clear(), spread.reached = true;
  return {rightly, spread,
          none(fmt::format("of {} streams, lost or repeated something", streams),
               static_cast<double>(streams - whole)),
          below("pause of intake in this restart", restart.pause_ms, "ms", kPause)};
}

std::vector<Row> slow_turns(const Scale& scale) {
  adopt_orphans();
  const std::size_t turns = scale.count(50, 10);
  const TempDir directory(scale.directory);
  RestartedDaemon daemon(scale.programs + "/sluice", directory.path(), kLifecycleConfig);
  post_each(daemon, "slow", turns, "!slow 5s done");
  const RestartedDaemon::Restart restart = daemon.restart();
  (void)texts_of_people(daemon.data(), kPatience);
  const std::size_t once = answered_at_once(daemon.data());
  Row row = none(fmt::format("of {} turns at work in the restart, not answered once by the agent "
                             "that had begun them",
                             turns),
                 static_cast<double>(turns - once));
  row.reached = row.reached && restart.failed.empty();
  return {row};
}

}  // namespace sluice::bench
