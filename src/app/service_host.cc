#include "app/service_host.h"

#include <fmt/format.h>

#include "app/settings.h"
#include "app/version.h"
#include "auth/secret_text.h"
#include "services/connectors.h"
#include "services/options.h"

namespace sluice::app {

using services::ServiceEvent;

namespace {

constexpr std::string_view kRegistry = "service_registry";
constexpr std::string_view kCallbacks = "service_callbacks";

/// As a successor finds it: not if it is to listen elsewhere.
std::string place_of(std::string_view section, std::uint16_t port) {
  return fmt::format("{} {}", section, port);
}

std::unique_ptr<services::Connector> peer_connector(net::Poller& poller, std::string_view kind,
                                                    std::string address, std::uint16_t port,
                                                    std::string path, services::Framing framing) {
  if (kind == "tcp") {
    return std::make_unique<services::TcpConnector>(poller, std::move(address), port, framing);
  }
  return std::make_unique<services::UnixConnector>(poller, std::move(path), framing);
}

}  // namespace

ServiceHost::ServiceHost(Parts parts)
    : parts_(std::move(parts)),
      poller_(parts_.shard),
      reaper_(poller_, parts_.log),
      manager_(
          {parts_.shard, parts_.log, parts_.metrics, std::string(kVersion), &auth::random_secret}),
      registry_({parts_.shard, parts_.log, parts_.metrics, manager_,
                 [this](const services::Registration& one, services::Framing framing) {
                   return peer_connector(poller_, one.kind, one.address, one.port, one.path,
                                         framing);
                 },
                 parts_.keep}),
      registry_port_(poller_, parts_.log,
                     [this](std::string method, boost::json::value params) {
                       return registry_.serve(std::move(method), std::move(params));
                     }),
      callback_port_(poller_, parts_.log,
                     [this](std::string method, boost::json::value params) {
                       return manager_.callbacks().serve({}, std::move(method), std::move(params));
                     }),
      tasks_(parts_.shard) {
  tasks_.spawn("service_events", tell_events());
}

services::ServicePlan ServiceHost::plan_of(const config::Instance& instance,
                                           const services::ServiceSettings& settings) {
  const auto& options = instance.get<services::ServiceOptions>();
  const services::Framing framing = services::framing_of(options, instance.kind);
  services::ServicePlan plan{instance.name, settings, nullptr, false, {}};
  // People's lines on standard output are a common fault of servers that speak in lines.
  plan.settings.passes_over_noise =
      instance.kind == "process" && framing == services::Framing::kNewline;
  if (instance.kind == "process") {
    const auto& program = instance.get<services::ProgramOptions>();
    services::ProcessPlan process{program.command, program.args,
                                  services::environment_of(program.env), program.cwd};
    const std::string lock =
        program.exclusive ? parts_.data + "/service-" + instance.name + ".lock" : std::string();
    plan.connector = std::make_unique<services::ProcessConnector>(
        poller_, reaper_, std::move(process), framing, lock);
  } else if (instance.kind == "tcp") {
    const auto& tcp = instance.get<services::TcpOptions>();
    plan.connector = peer_connector(poller_, "tcp", tcp.address, tcp.port, {}, framing);
  } else {
    const auto& socket = instance.get<services::UnixOptions>();
    plan.connector = peer_connector(poller_, "unix", {}, 0, socket.path, framing);
  }
  return plan;
}

std::map<std::string, ServiceHost::Wanted> ServiceHost::wanted_by(const config::Config& config) {
  std::map<std::string, Wanted> out;
  for (const ServiceChoice& choice : service_plans(config)) {
    const bool program = choice.instance->kind == "process";
    Wanted& wanted = out[choice.instance->name];
    wanted.settings = choice.settings;
    wanted.exclusive = program && choice.instance->get<services::ProgramOptions>().exclusive;
  }
  constexpr std::string_view kGroup = "services.";
  for (auto& setting : config.settings()) {
    const std::string_view key = setting.first;
    if (!key.starts_with(kGroup)) continue;
    const std::string_view rest = key.substr(kGroup.size());
    const auto found = out.find(std::string(rest.substr(0, rest.find('.'))));
    if (found != out.end()) found->second.keys.push_back(std::move(setting));
  }
  return out;
}

Result<void> ServiceHost::start_one(const config::Instance& instance,
                                    const services::ServiceSettings& settings) {
  const Result<void> added = manager_.add(plan_of(instance, settings));
  return added ? manager_.start(instance.name) : added;
}

Result<void> ServiceHost::start(const config::Config& config,
                                const services::Registry::Marks& marks) {
  for (const ServiceChoice& choice : service_plans(config)) {
    const Result<void> started = start_one(*choice.instance, choice.settings);
    if (!started) return started.error().within("services." + choice.instance->name);
  }
  wanted_ = wanted_by(config);
  registry_.configure(config.section<services::RegistryOptions>(kRegistry),
                      config.section<services::ServiceDefaults>("service_defaults"));
  for (const std::string& mark : registry_.load(marks)) {
    // Written by another version, or the configuration has taken the name.
    parts_.log.warn("service_registration_unusable", {{"mark", mark}});
  }
  return {};
}

Result<void> ServiceHost::listen_on(services::RpcServer* server, std::string_view section,
                                    std::uint16_t port, Sockets* inherited) {
  if (server->port() == port) return {};
  server->release();
  if (port == 0) return {};
  const auto found = inherited->find(place_of(section, port));
  const bool given = found != inherited->end() && found->second.is_open();
  const Result<void> listening =
      given ? server->adopt(std::move(found->second)) : server->listen(port);
  if (!listening) return listening.error().within(fmt::format("[{}]", section));
  return {};
}

Result<void> ServiceHost::listen(const config::Config& config, Sockets* inherited) {
  const auto& registry = config.section<services::RegistryOptions>(kRegistry);
  const auto& callbacks = config.section<services::CallbackPortOptions>(kCallbacks);
  const std::uint16_t open = registry.token.empty() ? 0 : registry.port;
  const Result<void> listening = listen_on(&registry_port_, kRegistry, open, inherited);
  if (!listening) return listening;
  return listen_on(&callback_port_, kCallbacks, callbacks.port, inherited);
}

void ServiceHost::leave(Sockets* out) {
  const std::uint16_t registry = registry_port_.port();
  if (registry != 0) out->emplace(place_of(kRegistry, registry), registry_port_.release());
  const std::uint16_t callbacks = callback_port_.port();
  if (callbacks != 0) out->emplace(place_of(kCallbacks, callbacks), callback_port_.release());
  for (const auto& [name, wanted] : wanted_) {
    if (wanted.exclusive) tasks_.spawn("service_leaves", stop_for_good(name));
  }
}

Task<void> ServiceHost::stop_for_good(std::string name) {
  const Result<void> stopped = co_await manager_.stop(std::move(name));
  (void)stopped;  // or it was stopped already
}

Task<void> ServiceHost::stop_one(std::string name) {
  const Result<void> gone = co_await manager_.remove(std::move(name));
  (void)gone;  // it was known: nothing can go wrong
}

Task<void> ServiceHost::reload(std::shared_ptr<const config::Config> config,
                               std::vector<std::string>* failed) {
  std::map<std::string, Wanted> next = wanted_by(*config);
  TaskGroup stopping(parts_.shard);
  for (const auto& [name, now] : wanted_) {
    const auto found = next.find(name);
    if (found != next.end() && found->second == now) continue;
    stopping.spawn("service_stops", stop_one(name));
  }
  co_await stopping.join(MonoTime::max());
  for (const ServiceChoice& choice : service_plans(*config)) {
    const std::string& name = choice.instance->name;
    const auto before = wanted_.find(name);
    if (before != wanted_.end() && before->second == next.at(name)) continue;
    co_await registry_.yield_name(name);
    const Result<void> started = start_one(*choice.instance, choice.settings);
    if (!started) failed->push_back(started.error().within("[services." + name + "]").context());
  }
  wanted_ = std::move(next);
  registry_.configure(config->section<services::RegistryOptions>(kRegistry),
                      config->section<services::ServiceDefaults>("service_defaults"));
  Sockets none;
  const Result<void> listening = listen(*config, &none);
  if (!listening) failed->push_back(listening.error().context());
}

Task<Result<void>> ServiceHost::stop(Duration within) {
  registry_port_.release();
  callback_port_.release();
  co_await manager_.stop_all(parts_.shard.now() + within);
  co_return Result<void>();
}

Task<void> ServiceHost::tell_events() {
  services::ServiceEvents::Subscriber events(parts_.shard, manager_.events());
  for (;;) {
    const ServiceEvent event = co_await events.next();
    const ServiceEvent::What what = event.what;
    if (what == ServiceEvent::What::kLagged) {
      parts_.log.warn("service_events_lost", {{"events", event.lost}});
    } else if (what == ServiceEvent::What::kStatusChanged) {
      parts_.log.info("service_status", {{"service", event.service},
                                         {"from", to_string(event.from)},
                                         {"to", to_string(event.to)},
                                         {"generation", event.generation}});
    } else if (what == ServiceEvent::What::kReconnecting) {
      parts_.log.info("service_reconnecting", {{"service", event.service},
                                               {"attempt", event.attempt},
                                               {"attempts_most", event.attempts_most}});
    } else if (what == ServiceEvent::What::kHeartbeat) {
      parts_.log.debug("service_heartbeat", {{"service", event.service}});
    } else if (what == ServiceEvent::What::kError || what == ServiceEvent::What::kReconnectFailed ||
               what == ServiceEvent::What::kHeartbeatTimeout) {
      parts_.log.warn(
          "service_trouble",
          {{"service", event.service}, {"what", to_string(what)}, {"error", event.error}});
    }
  }
}

}  // namespace sluice::app
