// Chat pages: what an open one costs while nothing happens, against a bare server of Beast's, and
// what has to be loaded to open one. And what the package costs, as scripts/package measured it.

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include <fmt/core.h>

#include "agents_setup.h"
#include "http_load.h"
#include "sections.h"
#include "socket_load.h"

namespace sluice::bench {
namespace {

constexpr double kKiB = 1024;
constexpr double kSettled = 3;  // seconds

std::string chat(std::size_t n) { return fmt::format("page-{}", n); }

/// Until all is answered, and the start is over.
void rest_until_idle(int pid) {
  rest(kStartIsOver);
  for (double used = 1; used > 0.01;) {
    const double before = proc_cpu_seconds(pid);
    rest(0.25);
    used = proc_cpu_seconds(pid) - before;
  }
}

/// A message in each conversation, answered: a page is opened on something.
void fill(const DaemonProcess& daemon, std::size_t chats, double seconds) {
  const std::string authorization = daemon.authorization();
  std::size_t next = 0;
  HttpLoad load(daemon.port(), 16, [&](std::size_t, std::uint64_t) {
    const std::size_t n = next++ % chats;
    const std::string body = fmt::format("{{\"id\":\"m{}\",\"text\":\"hello\"}}", next);
    return fmt::format(
        "POST /v1/conversations/{}/messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}Content-Type: "
        "application/json\r\nContent-Length: {}\r\n\r\n{}",
        chat(n), daemon.port(), authorization, body.size(), body);
  });
  while (next < chats) (void)load.run(seconds);
}

/// path gives each socket's; the process's memory grows by so much for each.
template <class Path>
double kib_for_each(int pid, std::uint16_t port, std::size_t count, const std::string& headers,
                    Path path) {
  {
    // What is needed once, and not for each, is there by then.
    SocketLoad few;
    for (std::size_t i = 0; i < 8; ++i) few.open(port, path(i), headers);
    few.rest(0.1);
  }
  SocketLoad sockets;
  const std::uint64_t before = proc_status_bytes(pid, "VmRSS:");
  for (std::size_t i = 0; i < count; ++i) {
    sockets.open(port, path(i), headers);
    if (i % 256 == 0) sockets.rest(0.001);
  }
  sockets.rest(kSettled);
  const std::uint64_t after = proc_status_bytes(pid, "VmRSS:");
  return static_cast<double>(after - std::min(before, after)) / kKiB / static_cast<double>(count);
}

void idle_pages(const Scale& scale, std::vector<Row>& rows) {
  const std::size_t pages = scale.count(10'000, 100);
  // They are all one person's here.
  const std::string config = "[core]\npending_per_person = 100000\n" + DaemonProcess::kEcho +
                             "streams_max = 20000\nstreams_per_person = 20000\n";
  std::vector<double> ours, bare;
  for (int round = 0; round < scale.rounds(3); ++round) {
    const TempDir directory(scale.directory);
    const DaemonProcess daemon(scale.programs + "/sluice", directory.path(), config);
    fill(daemon, pages, scale.seconds(1));
    rest_until_idle(daemon.pid());
    ours.push_back(
        kib_for_each(daemon.pid(), daemon.port(), pages, daemon.authorization(), [](std::size_t i) {
          return "/v1/conversations/" + chat(i) + "/socket?html=1&after=latest";
        }));
    const Helper beast({"beast-sockets"});
    bare.push_back(kib_for_each(beast.pid(), beast.port(), pages, "",
                                [](std::size_t) { return std::string("/"); }));
  }
  Row row = below(
      fmt::format("memory for each of {} open chat pages, idle (reference: bare Beast)", pages),
      median(ours), "KiB", 14);
  row.reference = median(bare);
  rows.push_back(row);
}

std::string fetched(const DaemonProcess& daemon, const std::string& path,
                    const std::string& encoding) {
  HttpLoad load(daemon.port(), 1, [&](std::size_t, std::uint64_t) {
    return fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}Accept-Encoding: {}\r\n\r\n",
                       path, daemon.port(), daemon.authorization(), encoding);
  });
  (void)load.run(0.001);
  return load.last_answer();
}

/// What the text names as a file of the page: "/main.js", "./view.js".
std::set<std::string> files_named_in(const std::string& text) {
  static const std::regex kFile(R"re("\.?(/[a-z_-]+\.(js|css|svg))")re");
  std::set<std::string> files;
  for (std::sregex_iterator it(text.begin(), text.end(), kFile), end; it != end; ++it) {
    files.insert((*it)[1]);
  }
  return files;
}

void page_weight(const Scale& scale, std::vector<Row>& rows) {
  const TempDir directory(scale.directory);
  const DaemonProcess daemon(scale.programs + "/sluice", directory.path());
  const std::set<std::string> first = files_named_in(fetched(daemon, "/", "identity"));
  double bytes = static_cast<double>(fetched(daemon, "/", "gzip").size());
  std::set<std::string> later;
  for (const std::string& file : first) {
    bytes += static_cast<double>(fetched(daemon, file, "gzip").size());
    for (const std::string& other : files_named_in(fetched(daemon, file, "identity"))) {
      if (!first.contains(other)) later.insert(other);
    }
  }
  for (const std::string& file : later) {
    bytes += static_cast<double>(fetched(daemon, file, "gzip").size());
  }
  rows.push_back(below(fmt::format("weight of the chat page, first load, compressed, heads "
                                   "included, {} requests",
                                   1 + first.size() + later.size()),
                       bytes / kKiB, "KiB", 100));
  rows.push_back(below("of these, files that only a second round of requests can know",
                       static_cast<double>(later.size()), "", 0));
}

}  // namespace

std::vector<Row> package(const Scale& scale) {
  // Written by scripts/package --test, which needs the network and a root tree.
  std::ifstream in(scale.directory + "/../package.json");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return text.empty() ? std::vector<Row>() : rows_from_json(text);
}

std::vector<Row> pages(const Scale& scale) {
  if (!has_daemon(scale)) return {};
  std::vector<Row> rows;
  page_weight(scale, rows);
  idle_pages(scale, rows);
  return rows;
}

}  // namespace sluice::bench
