#include "report.h"

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <boost/json.hpp>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::bench {
namespace json = boost::json;
namespace {

constexpr int kBrokenOff = 130;  // exit code

/// Four digits that matter are more than these figures hold.
double rounded(double v) {
  if (v == 0 || !std::isfinite(v)) return 0;
  const double scale = std::pow(10, 4 - std::ceil(std::log10(std::abs(v))));
  return std::round(v * scale) / scale;
}

std::string number(double v) {
  if (std::abs(v) >= 1000) return fmt::format("{:.0f}", v);
  return fmt::format("{:.4g}", v);
}

json::value row_to_json(const Row& row) {
  json::object o;
  o["name"] = row.name;
  o["value"] = rounded(row.value);
  o["unit"] = row.unit;
  if (row.reference) {
    o["reference"] = rounded(*row.reference);
  } else if (!row.reference_text.empty()) {
    o["reference"] = row.reference_text;
  } else {
    o["reference"] = nullptr;
  }
  o["goal"] = row.goal.empty() ? json::value(nullptr) : json::value(row.goal);
  o["reached"] = row.reached;
  return o;
}

Row row_from_json(const json::value& value) {
  const json::object& o = value.as_object();
  Row row;
  row.name = o.at("name").as_string();
  row.value = o.at("value").to_number<double>();
  row.unit = o.at("unit").as_string();
  const json::value& reference = o.at("reference");
  if (reference.is_number()) row.reference = reference.to_number<double>();
  if (reference.is_string()) row.reference_text = reference.as_string();
  if (o.at("goal").is_string()) row.goal = o.at("goal").as_string();
  row.reached = o.at("reached").as_bool();
  return row;
}

json::array rows_to_json(const std::vector<Row>& rows) {
  json::array all;
  for (const Row& row : rows) all.push_back(row_to_json(row));
  return all;
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string read_all(int fd) {
  std::string all;
  char chunk[4096];
  for (ssize_t n = 0; (n = ::read(fd, chunk, sizeof chunk)) > 0;) {
    all.append(chunk, static_cast<std::size_t>(n));
  }
  return all;
}

/// What a section has left behind, if it died or was broken off: daemons that have outlived their
/// parents come to us.
void end_orphans() {
  for (pid_t left = 0; (left = ::waitpid(-1, nullptr, WNOHANG)) >= 0;) {
    if (left > 0) continue;
    std::ifstream children(fmt::format("/proc/self/task/{}/children", ::gettid()));
    for (pid_t child = 0; children >> child;) ::kill(child, SIGKILL);
    ::usleep(1000);
  }
}

bool run_section(const Section& section, const Scale& scale, std::vector<Row>& rows) {
  int fds[2];
  // Not for what the section starts: a daemon that outlives it would hold the pipe open.
  if (::pipe2(fds, O_CLOEXEC) != 0) return false;
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);
    ::close(fds[0]);
    write_all(fds[1], json::serialize(rows_to_json(section.run(scale))));
    std::fflush(stdout);
    ::_exit(0);
  }
  ::close(fds[1]);
  const std::string text = read_all(fds[0]);
  ::close(fds[0]);
  int status = -1;
  const bool ended = child > 0 && ::waitpid(child, &status, 0) == child;
  end_orphans();
  if (ended && WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) std::exit(kBrokenOff);
  if (!ended || status != 0) return false;
  const json::value parsed = json::parse(text);
  for (const json::value& value : parsed.as_array()) {
    rows.push_back(row_from_json(value));
    fmt::print("{}", table({rows.back()}));
  }
  return true;
}

Row with_factor(std::string name, double value, std::string unit, double reference, double factor,
                bool most) {
  Row row{.name = std::move(name),
          .value = value,
          .unit = std::move(unit),
          .reference = reference,
          .reference_text = {},
          .goal = {},
          .reached = false};
  row.goal = fmt::format("{} {:g} x reference", most ? "<=" : ">=", factor);
  row.reached = most ? value <= factor * reference : value >= factor * reference;
  return row;
}

}  // namespace

Row at_most(std::string name, double value, std::string unit, double reference, double factor) {
  return with_factor(std::move(name), value, std::move(unit), reference, factor, true);
}

Row at_least(std::string name, double value, std::string unit, double reference, double factor) {
  return with_factor(std::move(name), value, std::move(unit), reference, factor, false);
}

Row below(std::string name, double value, std::string unit, double most) {
  Row row = reported(std::move(name), value, std::move(unit));
  row.goal = fmt::format("<= {:g}{}{}", most, row.unit.empty() ? "" : " ", row.unit);
  row.reached = value <= most;
  return row;
}

Row none(std::string name, double count) { return below(std::move(name), count, "", 0); }

Row unchanged(std::string name, double value, double reference) {
  Row row = reported(std::move(name), value, "");
  row.reference = reference;
  row.goal = "== reference";
  row.reached = value == reference;
  return row;
}

Row reported(std::string name, double value, std::string unit) {
  Row row;
  row.name = std::move(name);
  row.value = value;
  row.unit = std::move(unit);
  return row;
}

bool run_sections(const std::vector<Section>& sections, const Scale& scale,
                  std::vector<Row>& rows) {
  bool all = true;
  // Somebody has to be there for what the sections started when they are broken off.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  std::signal(SIGINT, SIG_IGN);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    fmt::print("[{}/{}] {}\n", i + 1, sections.size(), sections[i].name);
    if (run_section(sections[i], scale, rows)) continue;
    fmt::print("  FAILED: {} ended without its rows\n", sections[i].name);
    all = false;
  }
  return all;
}

std::string to_json(const std::vector<Row>& rows) {
  json::object o;
  o["rows"] = rows_to_json(rows);
  return json::serialize(o);
}

std::vector<Row> rows_from_json(std::string_view text) {
  std::vector<Row> rows;
  const json::value parsed = json::parse(text);
  for (const json::value& value : parsed.at("rows").as_array())
    rows.push_back(row_from_json(value));
  return rows;
}

std::string table(const std::vector<Row>& rows) {
  std::string out;
  for (const Row& row : rows) {
    std::string reference = row.reference_text;
    if (row.reference) {
      reference = number(*row.reference);
      if (*row.reference != 0) reference += fmt::format(" ({:.2f} x)", row.value / *row.reference);
    }
    const std::string_view verdict = row.goal.empty() ? "" : row.reached ? "reached" : "MISSED";
    out += fmt::format(
        "  {}\n      {}{}{}{}{}{}{}\n", row.name, number(row.value), row.unit.empty() ? "" : " ",
        row.unit, reference.empty() ? "" : "; reference " + reference,
        row.goal.empty() ? "" : "; goal " + row.goal, verdict.empty() ? "" : ": ", verdict);
  }
  return out;
}

}  // namespace sluice::bench
