#include "ctl/render.h"

#include <algorithm>
#include <chrono>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "ctl/console.h"
#include "ctl/fields.h"

namespace sluice::ctl {

namespace json = boost::json;

namespace {

constexpr std::size_t kCellColumns = 60;  // longer cells are cut, with an ellipsis

/// Code points: near enough to columns for what stands in tables.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string cell(std::string_view text) {
  std::string line = safe_line(text);
  if (line.empty()) return "-";
  if (columns(line) <= kCellColumns) return line;
  std::size_t seen = 0;
  std::size_t at = 0;
  while (at < line.size() && seen < kCellColumns - 1) {
    ++at;
    while (at < line.size() && (static_cast<unsigned char>(line[at]) & 0xC0) == 0x80) ++at;
    ++seen;
  }
  return line.substr(0, at) + "…";
}

std::string number(const json::value& value, std::string_view name) {
  return field_of(value, name).is_null() ? "-" : fmt::format("{}", number_of(value, name));
}

std::string time_of(const json::value& value, std::string_view name) {
  return time_text(number_of(value, name));
}

void add(std::string& page, std::string_view label, std::string_view text) {
  page += fmt::format("{:<14} {}\n", label, text);
}

void add_text(std::string& page, std::string_view text) {
  std::string block = safe_text(text);
  while (!block.empty() && block.back() == '\n') block.pop_back();
  std::size_t start = 0;
  while (start <= block.size()) {
    const std::size_t end = std::min(block.find('\n', start), block.size());
    page.append("    ").append(block, start, end - start).append("\n");
    start = end + 1;
  }
}

std::string outcome_of(const json::value& message) {
  return flag_of(message, "pending") ? "pending" : text_of(message, "outcome");
}

std::string more(const json::value& page, std::string_view command) {
  const std::int64_t next = number_of(page, "next");
  return next == 0 ? "" : fmt::format("more: {} --before {}\n", command, next);
}

}  // namespace

std::string table(const std::vector<std::string>& head,
                  const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells{head};
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    auto& shown = cells.emplace_back();
    for (const std::string& text : row) shown.push_back(cell(text));
  }
  for (const auto& row : cells) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  }
  std::string out;
  for (const auto& row : cells) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - columns(row[i]) + 2, ' ');
    }
    out += line + "\n";
  }
  return out;
}

std::string time_text(std::int64_t unix_ms) {
  using namespace std::chrono;
  if (unix_ms == 0) return "-";
  const auto point = floor<seconds>(sys_time<milliseconds>{milliseconds(unix_ms)});
  const auto day = floor<days>(point);
  const year_month_day date{day};
  const hh_mm_ss clock{point - day};
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string took_text(std::int64_t ms) {
  if (ms < 1'000) return fmt::format("{}ms", ms);
  if (ms < 60'000) return fmt::format("{}.{}s", ms / 1'000, ms % 1'000 / 100);
  const std::int64_t minutes = ms / 60'000;
  if (minutes < 60) return fmt::format("{}m {}s", minutes, ms / 1'000 % 60);
  if (minutes < 48 * 60) return fmt::format("{}h {}m", minutes / 60, minutes % 60);
  return fmt::format("{}d {}h", minutes / 1'440, minutes / 60 % 24);
}

std::string size_text(std::int64_t bytes) {
  if (bytes < 1'024) return fmt::format("{} B", bytes);
  double size = static_cast<double>(bytes) / 1'024;
  for (const char* unit : {"KiB", "MiB"}) {
    if (size < 1'024) return fmt::format("{:.1f} {}", size, unit);
    size /= 1'024;
  }
  return fmt::format("{:.1f} GiB", size);
}

namespace {

std::string config_lines(const json::value& config) {
  std::string page;
  if (config.is_null()) return page;
  add(page, "config",
      fmt::format("{}, read {}", safe_line(text_of(config, "path")),
                  time_text(number_of(config, "read_at"))));
  for (const json::value& key : list_of(config, "needs_restart")) {
    if (key.is_string()) add(page, "needs restart", safe_line(key.get_string()));
  }
  const std::int64_t refused_at = number_of(config, "refused_at");
  if (refused_at != 0) add(page, "reload refused", time_text(refused_at));
  for (const json::value& problem : list_of(config, "problems")) {
    if (problem.is_string()) add(page, "", safe_line(problem.get_string()));
  }
  return page;
}

}  // namespace

std::string status_page(const json::value& status) {
  std::string page;
  const std::int64_t up = number_of(status, "now") - number_of(status, "started_at");
  add(page, "version", safe_line(text_of(status, "version")));
  add(page, "up", took_text(std::max<std::int64_t>(0, up)));
  add(page, "data", safe_line(text_of(status, "data_directory")));
  add(page, "generation", number(status, "generation"));
  add(page, "phase",
      safe_line(text_of(status, "phase")) + (flag_of(status, "drained") ? ", drained" : ""));
  add(page, "accepting", flag_of(status, "accepting") ? "yes" : "no");
  page += config_lines(field_of(status, "config"));
  if (flag_of(status, "disk_low")) add(page, "disk", "nearly full: intake is closed");
  if (flag_of(status, "storage_failed")) add(page, "store", "a write has failed");
  if (text_of(status, "clock") != "good") add(page, "clock", safe_line(text_of(status, "clock")));
  add(page, "pending",
      fmt::format("{} ({})", number_of(status, "pending"),
                  size_text(number_of(status, "pending_bytes"))));
  if (number_of(status, "asking") > 0) add(page, "asking", number(status, "asking"));
  if (number_of(status, "parked") > 0) add(page, "parked", number(status, "parked"));
  add(page, "outbox", number(status, "outbox"));
  add(page, "lanes", number(status, "lanes"));
  add(page, "conversations", number(status, "conversations"));
  std::vector<std::vector<std::string>> rows;
  for (const json::value& account : list_of(status, "accounts")) {
    rows.push_back({text_of(account, "name"), text_of(account, "kind"),
                    flag_of(account, "registered") ? text_of(account, "state") : "not configured",
                    number(account, "pending"), number(account, "outbox"),
                    text_of(account, "reason")});
  }
  if (!rows.empty()) {
    page += "\n" + table({"ACCOUNT", "KIND", "STATE", "PENDING", "OUTBOX", "REASON"}, rows);
  }
  rows.clear();
  for (const json::value& agent : list_of(status, "agents")) {
    rows.push_back({text_of(agent, "name"), text_of(agent, "kind"),
                    fmt::format("{}/{}", number_of(agent, "running"), number_of(agent, "max")),
                    text_of(agent, "health")});
  }
  if (!rows.empty()) page += "\n" + table({"AGENT", "KIND", "RUNNING", "HEALTH"}, rows);
  if (!list_of(status, "services").empty()) page += "\n" + services_page(status);
  rows.clear();
  for (const json::value& turn : list_of(status, "running")) {
    rows.push_back({number(turn, "turn"), number(turn, "conversation"), text_of(turn, "account"),
                    text_of(turn, "agent"), number(turn, "attempt"),
                    took_text(number_of(turn, "running_ms"))});
  }
  if (!rows.empty()) {
    page +=
        "\n" + table({"TURN", "CONVERSATION", "ACCOUNT", "AGENT", "ATTEMPT", "RUNNING FOR"}, rows);
  }
  rows.clear();
  for (const json::value& one : list_of(status, "in_flight")) {
    rows.push_back({text_of(one, "work"), text_of(one, "request_id"), number(one, "conversation"),
                    took_text(number_of(one, "age_ms"))});
  }
  if (!rows.empty()) {
    page += "\n" + table({"IN FLIGHT", "REQUEST", "CONVERSATION", "SINCE"}, rows);
  }
  return page;
}

std::string route_line(const json::value& route) {
  const std::string model = text_of(route, "model");
  if (!flag_of(route, "let_in")) return "nobody: access or mention gates keep it out\n";
  return safe_line(text_of(route, "agent")) +
         (model.empty() ? "\n" : ", model " + safe_line(model) + "\n");
}

std::string route_page(const json::value& route) {
  std::vector<std::vector<std::string>> rows;
  for (const json::value& one : list_of(route, "routes")) {
    rows.push_back({text_of(one, "route"),
                    flag_of(one, "taken")     ? "taken"
                    : flag_of(one, "matches") ? "would match too"
                                              : "no",
                    text_of(one, "why")});
  }
  std::string page;
  if (!rows.empty()) page = table({"ROUTE", "MATCHES", "WHY"}, rows) + "\n";
  add(page, "account's agent", safe_line(text_of(route, "account_agent")));
  const std::string agent = text_of(route, "chosen_agent");
  const std::string model = text_of(route, "chosen_model");
  if (!agent.empty()) add(page, "chosen by /agent", safe_line(agent));
  if (!model.empty()) add(page, "chosen by /model", safe_line(model));
  add(page, "answers", route_line(route).substr(0, route_line(route).size() - 1));
  return page;
}

std::string reload_page(const json::value& reload) {
  std::string page;
  const auto lines = [&](std::string_view name, std::string_view words) {
    for (const json::value& one : list_of(reload, name)) {
      if (one.is_string()) page += fmt::format("{}{}\n", words, safe_line(one.get_string()));
    }
  };
  // As a compiler would, so that editors find the place.
  lines("problems", "");
  if (!flag_of(reload, "applied")) return page + "nothing was changed\n";
  lines("changed", "changed: ");
  lines("failed", "failed: ");
  lines("needs_restart", "needs a restart: ");
  return page.empty() ? "nothing has changed\n" : page;
}

std::string doctor_page(const json::value& doctor) {
  std::string page;
  for (const json::value& check : list_of(doctor, "checks")) {
    page += fmt::format("{:<8} {:<20} {}\n", safe_line(text_of(check, "state")),
                        safe_line(text_of(check, "name")), safe_line(text_of(check, "detail")));
    const std::string hint = safe_line(text_of(check, "hint"));
    if (!hint.empty()) page += fmt::format("{:29} {}\n", "", hint);
  }
  return page;
}

std::string messages_page(const json::value& found) {
  std::vector<std::vector<std::string>> rows;
  for (const json::value& message : list_of(found, "messages")) {
    rows.push_back({number(message, "id"), time_of(message, "accepted_at"), outcome_of(message),
                    text_of(message, "account"), text_of(message, "chat"),
                    text_of(message, "reason")});
  }
  if (rows.empty()) return "no messages\n";
  return table({"ID", "ACCEPTED", "OUTCOME", "ACCOUNT", "CHAT", "REASON"}, rows) +
         more(found, "sluice messages");
}

std::string message_page(const json::value& message) {
  std::string page;
  const json::value& place = field_of(message, "conversation");
  add(page, "message", number(message, "id"));
  add(page, "conversation",
      fmt::format("{} ({} {})", number_of(place, "id"), safe_line(text_of(place, "account")),
                  safe_line(text_of(place, "chat"))));
  if (!text_of(message, "sender").empty())
    add(page, "sender", safe_line(text_of(message, "sender")));
  add(page, "outcome", safe_line(outcome_of(message)));
  if (!text_of(message, "reason").empty())
    add(page, "reason", safe_line(text_of(message, "reason")));
  if (number_of(message, "turn") != 0) {
    const std::int64_t attempts = number_of(message, "attempts");
    add(page, "turn",
        fmt::format("{}, {} attempt{}", number_of(message, "turn"), attempts,
                    attempts == 1 ? "" : "s"));
  }
  add(page, "accepted", time_of(message, "accepted_at"));
  if (!field_of(message, "started_at").is_null()) {
    add(page, "started",
        fmt::format("{} (waited {})", time_of(message, "started_at"),
                    took_text(number_of(message, "waited_ms"))));
  }
  if (!field_of(message, "ended_at").is_null()) {
    add(page, "ended",
        fmt::format("{} (ran {})", time_of(message, "ended_at"),
                    took_text(number_of(message, "ran_ms"))));
  }
  if (list_of(message, "lines").empty() && !text_of(message, "text").empty()) {
    page += "\n";
    add_text(page, text_of(message, "text"));
  }
  for (const json::value& line : list_of(message, "lines")) {
    page += fmt::format("\n{}  {}{}\n", time_of(line, "at"), safe_line(text_of(line, "kind")),
                        flag_of(line, "cut") ? " (cut off)" : "");
    add_text(page, text_of(line, "text"));
  }
  std::vector<std::vector<std::string>> rows;
  for (const json::value& part : list_of(message, "parts")) {
    const std::string outcome = text_of(part, "outcome");
    rows.push_back({number(part, "id"), text_of(part, "kind"),
                    outcome.empty() ? "waiting" : outcome, time_of(part, "committed_at"),
                    time_of(part, "claimed_at"), time_of(part, "settled_at"), number(part, "tries"),
                    text_of(part, "reason")});
  }
  if (!rows.empty()) {
    page += "\n" +
            table({"PART", "KIND", "OUTCOME", "COMMITTED", "CLAIMED", "SETTLED", "TRIES", "REASON"},
                  rows);
  }
  return page;
}

std::string dead_page(const json::value& dead) {
  std::vector<std::vector<std::string>> rows;
  for (const json::value& letter : list_of(dead, "dead")) {
    rows.push_back({number(letter, "id"), text_of(letter, "what"), time_of(letter, "at"),
                    number(letter, "conversation"), text_of(letter, "reason")});
  }
  if (rows.empty()) return "no dead letters\n";
  return table({"ID", "WHAT", "DIED", "CONVERSATION", "REASON"}, rows) +
         more(dead, "sluice dead list");
}

std::string dead_letter_page(const json::value& letter) {
  std::string page;
  add(page, text_of(letter, "what") == "part" ? "part" : "message", number(letter, "id"));
  add(page, "conversation", number(letter, "conversation"));
  if (!text_of(letter, "sender").empty()) add(page, "sender", safe_line(text_of(letter, "sender")));
  add(page, "died", time_of(letter, "at"));
  add(page, "reason", safe_line(text_of(letter, "reason")));
  page += "\n";
  add_text(page, text_of(letter, "text"));
  return page;
}

std::string tokens_page(const json::value& tokens) {
  std::vector<std::vector<std::string>> rows;
  for (const json::value& token : list_of(tokens, "tokens")) {
    std::string scopes;
    for (const json::value& scope : list_of(token, "scopes")) {
      if (scope.is_string())
        scopes += (scopes.empty() ? "" : " ") + std::string(scope.get_string());
    }
    rows.push_back({text_of(token, "id"), text_of(token, "name"), scopes,
                    time_of(token, "created_at"), time_of(token, "last_used_at")});
  }
  if (rows.empty()) return "no tokens\n";
  return table({"ID", "NAME", "SCOPES", "ADDED", "LAST USED"}, rows);
}

}  // namespace sluice::ctl
