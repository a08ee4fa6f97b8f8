// Operations that tell how the daemon is.

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "admin/operations.h"
#include "admin/rows.h"

namespace sluice::admin {

namespace json = boost::json;

namespace {

Check store_check(const GatewayStatus& status) {
  if (status.storage_failed) {
    return {"store", Check::State::kFailed, "a write or fsync has failed",
            "look at the disk, then start the daemon again: it recovers from what is on disk"};
  }
  return {"store", Check::State::kOk, fmt::format("generation {}", status.generation), ""};
}

Check intake_check(const GatewayStatus& status) {
  if (status.accepting) return {"intake", Check::State::kOk, "open", ""};
  if (status.disk_low) {
    return {"intake", Check::State::kFailed, "closed: the disk is nearly full",
            "free space in the data directory's file system; intake opens by itself"};
  }
  return {"intake", Check::State::kWarning, "closed: the daemon is stopping", ""};
}

Check clock_check(const GatewayStatus& status) {
  if (status.clock == "good") return {"clock", Check::State::kOk, "plausible", ""};
  return {"clock", Check::State::kWarning, status.clock + ": nothing expires until it is settled",
          "set the system's clock, or if it is right: sluice clock accept"};
}

Check account_check(const GatewayStatus::AccountStatus& account) {
  Check check{"account " + account.name, Check::State::kOk,
              std::string(sluice::to_string(account.state)), ""};
  if (!account.reason.empty()) check.detail += ": " + account.reason;
  if (account.state != AccountState::kActive) {
    check.state = Check::State::kWarning;
    check.hint = "when that is settled: sluice resume " + account.name;
  } else if (!account.registered && account.pending + account.outbox > 0) {
    check.state = Check::State::kWarning;
    check.detail = fmt::format("not configured, with {} messages and {} parts waiting",
                               account.pending, account.outbox);
    check.hint = "configure a channel of that name; what waits will go on";
  }
  return check;
}

Check service_check(const services::ServiceInfo& service, const std::vector<std::string>& ill) {
  Check check{"service " + service.name, Check::State::kOk,
              std::string(services::to_string(service.status)), ""};
  if (std::find(ill.begin(), ill.end(), service.name) == ill.end()) return check;
  check.state = service.critical ? Check::State::kFailed : Check::State::kWarning;
  if (!service.last_error.empty()) check.detail += ": " + service.last_error;
  check.hint = "see: sluice services logs " + service.name;
  if (service.status == services::ServiceStatus::kError) {
    check.hint += "; when that is settled: sluice services start " + service.name;
  }
  return check;
}

}  // namespace

void Operations::add_health() {
  add("status", "GET status", {}, "What the daemon is doing: accounts, agents, running turns.",
      &Operations::status);
  add("doctor", "GET doctor",
      {Param::flag("deep", "read the whole store: about a second a gigabyte")},
      "What may be wrong, and what to do about it.", &Operations::doctor);
  add("metrics", "GET metrics", {}, "Prometheus text format.", &Operations::metrics);
  add("operations", "GET operations", {}, "This list.", &Operations::operations);
  add("clock.accept", "POST clock/accept", {},
      "The system's clock is right: expiry goes on from it.", &Operations::accept_clock);
  add("link", "POST link", {}, "A link that signs a browser in as the owner, once.",
      &Operations::sign_in_link)
      .local_only = true;
}

Operations::Answered Operations::sign_in_link(Arguments) {
  if (!parts_.hooks.sign_in_link)
    co_return Error(ErrorKind::kUnsupported, "this daemon has no page to sign in to");
  const std::string url = parts_.hooks.sign_in_link();
  if (url.empty())
    co_return Error(ErrorKind::kUnsupported, "this daemon has no HTTP listener to sign in at");
  co_return json_answer({{"url", url}});
}

Operations::Answered Operations::status(Arguments) {
  json::object object{{"version", parts_.version},
                      {"data_directory", parts_.data_directory},
                      {"started_at", time_json(parts_.started_at)},
                      {"now", time_json(parts_.loop.wall())}};
  for (auto& [name, value] : status_json(parts_.gateway.status())) object[name] = std::move(value);
  if (parts_.services != nullptr) {
    json::array services;
    for (const services::ServiceInfo& one : parts_.services->list()) {
      services.push_back(service_json(one, false));
    }
    object["services"] = std::move(services);
  }
  if (parts_.hooks.life) {
    for (auto& [name, value] : life_json(parts_.hooks.life())) object[name] = std::move(value);
  }
  co_return json_answer(std::move(object));
}

Operations::Answered Operations::doctor(Arguments arguments) {
  const GatewayStatus status = parts_.gateway.status();
  std::vector<Check> checks{store_check(status), intake_check(status), clock_check(status)};
  if (parts_.hooks.checks) {
    for (Check& check : co_await parts_.hooks.checks(arguments.flag("deep"))) {
      checks.push_back(std::move(check));
    }
  }
  for (const auto& account : status.accounts) checks.push_back(account_check(account));
  for (const auto& agent : status.agents) {
    const bool well = agent.health == "ok";
    checks.push_back({"agent " + agent.name, well ? Check::State::kOk : Check::State::kWarning,
                      agent.health, well ? "" : "its turns are retried, then become dead letters"});
  }
  if (parts_.services != nullptr) {
    const std::vector<std::string> ill = parts_.services->health_check();
    for (const services::ServiceInfo& service : parts_.services->list()) {
      checks.push_back(service_check(service, ill));
    }
  }
  bool failed = false;
  json::array list;
  for (const Check& check : checks) {
    failed = failed || check.state == Check::State::kFailed;
    list.push_back(check_json(check));
  }
  co_return json_answer({{"ok", !failed}, {"checks", std::move(list)}});
}

Operations::Answered Operations::metrics(Arguments) {
  Answer answer;
  answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  answer.body = parts_.metrics.serialise();
  co_return answer;
}

Operations::Answered Operations::operations(Arguments) {
  json::array list;
  for (const Operation& operation : list_) list.push_back(operation_json(operation));
  co_return json_answer({{"operations", std::move(list)}});
}

Operations::Answered Operations::accept_clock(Arguments) {
  const Result<void> done = co_await parts_.gateway.accept_clock();
  if (!done) co_return done.error();
  co_return json_answer({{"now", time_json(parts_.loop.wall())}});
}

}  // namespace sluice::admin
