// Reload: the new configuration is read and checked whole, everything that could fail is made
// beside what runs (agents, channels, listeners, TLS), and only then is it put in place. What did
// not change is not touched.

#include <utility>

#include <fmt/format.h>

#include "app/daemon.h"
#include "app/reload_plan.h"

namespace sluice::app {

using admin::Hooks;

/// One reload, and what came of it.
struct Daemon::Reload {
  explicit Reload(Loop& loop) : done(loop) {}
  Event done;
  Hooks::Reload outcome;
};

/// What is made of a configuration before it is put in place.
struct Daemon::NextConfig {
  std::shared_ptr<const config::Config> config;
  ReloadPlan plan;
  std::vector<std::unique_ptr<Agent>> agents;
  std::vector<std::unique_ptr<Channel>> channels;
  Routes routes;
  Tls tls;
  Listening listening;
  std::optional<auth::Origins> origins;
};

void Daemon::serve_reloads() { tasks_.spawn("daemon_reloads", reloads()); }

void Daemon::ask_for_reload() {
  if (next_reload_ == nullptr) next_reload_ = std::make_shared<Reload>(parts_.shard);
  reload_asked_.set();
}

Task<Hooks::Reload> Daemon::reload() {
  ask_for_reload();
  const std::shared_ptr<Reload> mine = next_reload_;
  co_await mine->done.wait();
  co_return mine->outcome;
}

Task<void> Daemon::reloads() {
  for (;;) {
    co_await reload_asked_.wait();
    reload_asked_.reset();
    reload_ = std::exchange(next_reload_, nullptr);
    reload_->outcome = co_await reload_once();
    reload_->done.set();
    reload_ = nullptr;
  }
}

Task<void> Daemon::reload_over(MonoTime until) {
  const std::shared_ptr<Reload> running = reload_;
  if (running != nullptr) co_await running->done.wait_until(until);
}

Task<Hooks::Reload> Daemon::reload_once() {
  Hooks::Reload out;
  const bool stopping = parts_.coordinator.is_shutting_down();
  if (!stopping) parts_.announcer.reloading();
  Result<NextConfig> next =
      stopping ? Result<NextConfig>(Error(ErrorKind::kConflict, "the daemon is stopping"))
               : prepare(out.problems);
  if (next) {
    out.applied = true;
    out.changed = next->plan.changed;
    out.needs_restart = next->plan.needs_restart;
    apply(*next);
    co_await services_.reload(config_, &out.failed);
    co_await replace_channels(&*next, &out.failed);
    for (const std::string& name : next->plan.agents_gone) gateway_->remove_agent(name);
    config_read_at_ = parts_.clock.wall();
    parts_.log.info("reloaded", {{"changed", fmt::format("{}", fmt::join(out.changed, " "))}});
  } else if (out.problems.empty()) {
    out.problems.push_back(next.error().context());
  }
  for (const std::string& problem : out.problems) {
    parts_.log.error("reload_refused", {{"problem", problem}});
  }
  for (const std::string& failure : out.failed) {
    parts_.log.error("reload_failed_in_part", {{"problem", failure}});
  }
  if (!out.needs_restart.empty()) {
    parts_.log.warn("needs_restart",
                    {{"keys", fmt::format("{}", fmt::join(out.needs_restart, " "))}});
  }
  last_reload_ = out;
  last_reload_at_ = parts_.clock.wall();
  // Not after "stopping".
  if (!parts_.coordinator.is_shutting_down()) parts_.announcer.reloaded();
  co_return out;
}

Result<Daemon::NextConfig> Daemon::prepare(std::vector<std::string>& problems) {
  config::Loaded loaded = parts_.load();
  if (!loaded.config) {
    for (const config::Diagnostic& problem : loaded.problems) {
      problems.push_back(problem.to_string());
    }
    return Error(ErrorKind::kInvalidArgument, "the configuration is not valid");
  }
  for (const config::Diagnostic& problem : loaded.problems) {
    parts_.log.warn("config_warning", {{"problem", problem.to_string()}});
  }
  NextConfig next;
  next.config = std::make_shared<const config::Config>(std::move(*loaded.config));
  const std::vector<std::string> running = gateway_->channel_names();
  next.plan = plan_reload(*parts_.config, *config_, *next.config, {running.begin(), running.end()});
  if (auto made = prepare_agents(next); !made) return made.error();
  if (auto made = prepare_channels(next); !made) return made.error();
  Result<Routes> routes = Routes::make(route_plans(*next.config));
  if (!routes) return routes.error();
  next.routes = std::move(*routes);
  // Last: it is the only one that has to be taken back.
  if (auto made = prepare_listeners(next); !made) return made.error();
  return next;
}

/// As a diagnostic of the loader would say it.
Error Daemon::at_table(const config::Instance& table, std::string_view group,
                       const Error& error) const {
  config::Diagnostic told;
  told.file = parts_.config_path;
  told.at = table.at;
  told.message = fmt::format("[{}.{}] {}", group, table.name, error.context());
  return Error(error.kind(), told.to_string());
}

Result<void> Daemon::prepare_agents(NextConfig& next) {
  Surroundings around = surroundings();
  for (const config::Instance* agent : next.plan.agents) {
    auto made = agent_kind(agent->kind).make(*agent, around);
    if (!made) return at_table(*agent, "agents", made.error());
    next.agents.push_back(std::move(*made));
  }
  return {};
}

Result<void> Daemon::prepare_channels(NextConfig& next) {
  Surroundings around = surroundings();
  for (const ChannelPlan& plan : next.plan.channels) {
    auto made = channel_kind(plan.instance->kind).make(*plan.instance, plan.account, around);
    if (!made) return at_table(*plan.instance, "channels", made.error());
    next.channels.push_back(std::move(*made));
  }
  return {};
}

Result<void> Daemon::prepare_listeners(NextConfig& next) {
  const auto& options = next.config->section<ServerOptions>("server");
  // Files may have changed although no key has.
  Result<Tls> tls = read_tls(options);
  if (!tls) return tls.error();
  next.tls = std::move(*tls);
  Result<Listening> listening = open_listeners(options.listen, next.tls);
  if (!listening) return listening.error();
  next.listening = std::move(*listening);
  Result<auth::Origins> origins = make_origins(next.listening, options);
  if (!origins) {
    close_listeners(next.listening, listening_);
    return origins.error();
  }
  next.origins.emplace(std::move(*origins));
  return {};
}

/// In one step, but for channels that have to stop and start.
void Daemon::apply(NextConfig& next) {
  config_ = next.config;
  server_->set_tls(next.tls);
  front_->set_origins(std::move(*next.origins));
  use_listeners(std::move(next.listening));
  parts_.log.set_level(config_->section<LogOptions>("log").level);
  parts_.coordinator.set_options(shutdown_options(config_->section<ProcessOptions>("")));
  // Agents first: accounts and routes may name new ones.
  for (std::unique_ptr<Agent>& agent : next.agents) gateway_->set_agent(std::move(agent));
  gateway_->set_routes(std::move(next.routes));
  for (const ChannelPlan& plan : next.plan.accounts) {
    gateway_->set_account(plan.instance->name, plan.account);
  }
}

/// All are stopped before any is started: the same credentials may have another account's name now.
Task<void> Daemon::replace_channels(NextConfig* next, std::vector<std::string>* failed) {
  TaskGroup stopping(parts_.shard);
  for (const std::string& name : next->plan.channels_gone) {
    stopping.spawn("channel_stops", stop_channel(name));
  }
  co_await stopping.join(MonoTime::max());
  TaskGroup starting(parts_.shard);
  for (std::unique_ptr<Channel>& channel : next->channels) {
    starting.spawn("channel_starts", start_channel(std::move(channel), failed));
  }
  co_await starting.join(MonoTime::max());
}

Task<void> Daemon::stop_channel(std::string name) {
  const Result<void> gone = co_await gateway_->unregister(std::move(name));
  (void)gone;  // what went wrong is in the log, and it is gone all the same
}

Task<void> Daemon::start_channel(std::unique_ptr<Channel> channel,
                                 std::vector<std::string>* failed) {
  const std::string name = channel->info().name;
  Result<void> there = Error(ErrorKind::kConflict, "the daemon is stopping");
  if (!parts_.coordinator.is_shutting_down()) {
    there = co_await gateway_->register_channel(std::move(channel));
  }
  if (!there) failed->push_back(there.error().within("[channels." + name + "]").context());
}

}  // namespace sluice::app
