#include "app/settings.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/kinds.h"
#include "config/file.h"
#include "config/parse.h"
#include "config/read_option.h"
#include "config/reference.h"
#include "services/options.h"

namespace sluice::app {
namespace {

bool enabled(const config::Instance& instance) { return instance.get<InstanceOptions>().enabled; }

const AccountOptions& account_of(const config::Instance& channel) {
  return channel.get<AccountOptions>();
}

/// The one enabled agent, or nothing if there are several or none.
std::string only_agent(const config::Config& config) {
  const auto agents = agent_plans(config);
  return agents.size() == 1 ? agents.front()->name : std::string();
}

void check_agents(const config::Config& config, config::Problems& problems) {
  std::vector<std::string> names;
  for (const config::Instance* agent : agent_plans(config)) names.push_back(agent->name);
  for (const config::Instance& channel : config.instances("channels")) {
    if (!enabled(channel)) continue;
    const std::string& wanted = account_of(channel).agent;
    if (wanted.empty() && names.size() == 1) continue;
    if (std::find(names.begin(), names.end(), wanted) != names.end()) continue;
    const std::string key = "channels." + channel.name + ".agent";
    if (wanted.empty()) {
      problems.error(channel.at, key,
                     fmt::format("[channels.{}] needs \"agent\": there is not exactly one agent",
                                 channel.name));
    } else {
      problems.error(
          channel.at, key,
          fmt::format("[channels.{}] agent: there is no enabled agent \"{}\"{}", channel.name,
                      config::printable(wanted), config::suggestion(wanted, names)));
    }
  }
}

/// Agents that ask other agents: these must be there, and ask nobody themselves.
void check_asked(const config::Config& config, config::Problems& problems) {
  const std::vector<const config::Instance*> agents = agent_plans(config);
  std::vector<std::string> askable;
  for (const config::Instance* agent : agents) {
    if (agent_kind(agent->kind).asks == nullptr) askable.push_back(agent->name);
  }
  for (const config::Instance* agent : agents) {
    const AgentKind& kind = agent_kind(agent->kind);
    if (kind.asks == nullptr) continue;
    for (const std::string& wanted : kind.asks(*agent)) {
      if (std::find(askable.begin(), askable.end(), wanted) != askable.end()) continue;
      problems.error(
          agent->at, "agents." + agent->name + ".agents",
          fmt::format("[agents.{}] agents: there is no enabled agent \"{}\" that it could ask{}",
                      agent->name, config::printable(wanted), config::suggestion(wanted, askable)));
    }
  }
}

/// Agents that answer later come back to our own listener.
void check_called_back(const config::Config& config, config::Problems& problems) {
  if (!config.section<ServerOptions>("server").listen.empty()) return;
  for (const config::Instance* agent : agent_plans(config)) {
    const AgentKind& kind = agent_kind(agent->kind);
    if (kind.is_called_back == nullptr || !kind.is_called_back(*agent)) continue;
    problems.error(agent->at, "agents." + agent->name + ".callbacks",
                   fmt::format("[agents.{}] callbacks: nothing listens (server.listen is empty)",
                               agent->name));
  }
}

/// What accounts and routes name must be there.
void check_names(const config::Config& config, config::Problems& problems) {
  std::vector<std::string> agents;
  for (const config::Instance* agent : agent_plans(config)) agents.push_back(agent->name);
  std::vector<std::string> accounts;
  for (const ChannelPlan& plan : channel_plans(config)) accounts.push_back(plan.instance->name);
  const auto check = [&problems](const config::Instance& table, const std::string& path,
                                 std::string_view key, const std::string& wanted,
                                 const std::vector<std::string>& there, std::string_view what) {
    if (wanted.empty() || std::find(there.begin(), there.end(), wanted) != there.end()) return;
    problems.error(table.at, fmt::format("{}.{}", path, key),
                   fmt::format("[{}] {}: there is no enabled {} \"{}\"{}", path, key, what,
                               config::printable(wanted), config::suggestion(wanted, there)));
  };
  for (const ChannelPlan& plan : channel_plans(config)) {
    const std::string path = "channels." + plan.instance->name;
    check(*plan.instance, path, "summary_agent", plan.account.summary_agent, agents, "agent");
    for (const std::string& one : plan.account.choose_agents)
      check(*plan.instance, path, "choose_agents", one, agents, "agent");
  }
  for (const config::Instance& route : config.instances("routes")) {
    const std::string path = "routes." + route.name;
    check(route, path, "agent", route.get<RouteRule>().agent, agents, "agent");
    for (const std::string& one : route.get<RouteRule>().account) {
      if (!one.ends_with('*')) check(route, path, "account", one, accounts, "channel");
    }
  }
}

void check_services(const config::Config& config, config::Problems& problems) {
  for (const ServiceChoice& choice : service_plans(config)) {
    const std::string wrong = services::check_settings(choice.settings);
    if (wrong.empty()) continue;
    const std::string path = "services." + choice.instance->name;
    problems.error(choice.instance->at, path,
                   fmt::format("[{}] with [service_defaults]: {}", path, wrong));
  }
}

/// Who is asked by callbacks must be there.
void check_callbacks(const config::Config& config, config::Problems& problems) {
  std::vector<std::string> agents;
  for (const config::Instance* agent : agent_plans(config)) agents.push_back(agent->name);
  std::vector<std::string> services;
  for (const ServiceChoice& one : service_plans(config)) services.push_back(one.instance->name);
  const auto check = [&](config::Position at, const std::string& path,
                         const services::CallbackRules& rules) {
    const auto missing = [](const std::vector<std::string>& all, const std::string& name) {
      return std::find(all.begin(), all.end(), name) == all.end();
    };
    if (!rules.agent.empty() && missing(agents, rules.agent)) {
      problems.error(
          at, path + ".agent",
          fmt::format("[{}] agent: there is no enabled agent \"{}\"{}", path,
                      config::printable(rules.agent), config::suggestion(rules.agent, agents)));
    }
    for (const std::string& name : rules.services) {
      if (!missing(services, name)) continue;
      problems.error(at, path + ".services",
                     fmt::format("[{}] services: there is no enabled service \"{}\"{}", path,
                                 config::printable(name), config::suggestion(name, services)));
    }
  };
  for (const ServiceChoice& one : service_plans(config)) {
    check(one.instance->at, "services." + one.instance->name + ".callbacks",
          one.settings.callbacks);
  }
  check({}, "service_registry.callbacks",
        config.section<services::RegistryOptions>("service_registry").callbacks);
}

/// What agents call must be there.
void check_called(const config::Config& config, config::Problems& problems) {
  std::vector<std::string> names;
  for (const ServiceChoice& choice : service_plans(config)) names.push_back(choice.instance->name);
  for (const config::Instance* agent : agent_plans(config)) {
    const AgentKind& kind = agent_kind(agent->kind);
    if (kind.service == nullptr) continue;
    const std::string wanted = kind.service(*agent);
    if (std::find(names.begin(), names.end(), wanted) != names.end()) continue;
    problems.error(
        agent->at, "agents." + agent->name + ".service",
        fmt::format("[agents.{}] service: there is no enabled service \"{}\"{}", agent->name,
                    config::printable(wanted), config::suggestion(wanted, names)));
  }
}

config::Loaded checked(config::Loaded loaded, const std::string& path) {
  if (!loaded.config) return loaded;
  config::Problems problems(path);
  check_agents(*loaded.config, problems);
  check_asked(*loaded.config, problems);
  check_called_back(*loaded.config, problems);
  check_names(*loaded.config, problems);
  check_services(*loaded.config, problems);
  check_called(*loaded.config, problems);
  check_callbacks(*loaded.config, problems);
  if (problems.errors() > 0) loaded.config.reset();
  for (config::Diagnostic& problem : problems.take()) loaded.problems.push_back(std::move(problem));
  return loaded;
}

}  // namespace

config::Schema make_schema() {
  config::Schema schema;
  schema.section<ProcessOptions>("", "What concerns the process.");
  schema.section<GoodbyeOptions>("shutdown", "Who is told of the end of a stop.");
  schema.section<ServerOptions>("server", "Where requests come in.");
  schema.section<LimitOptions>("limits", "Bounds of the HTTP listener.");
  schema.section<StoreSettings>("store", "Where everything is kept.");
  schema.section<media::LibraryOptions>(
      "media", "Images that people send. They are kept as long as texts are: [store] retention.");
  schema.section<LogOptions>("log", "What the daemon tells about itself; never a message's text.");
  schema.section<CoreOptions>("core", "Turns, conversations, delivery, and their bounds.");
  schema.section<services::ServiceDefaults>(
      "service_defaults", "What holds for every extension service that says nothing else.");
  schema.section<services::RegistryOptions>(
      "service_registry",
      "Where extension services register themselves at run time (docs/services.md).");
  schema.section<services::CallbackPortOptions>(
      "service_callbacks", "Where services ask back that do not use their own connections for it.");
  config::Kinds channels;
  channels.common<InstanceOptions>().common<AccountOptions>();
  for (const ChannelKind& kind : channel_kinds()) kind.declare(channels);
  channels.builtin("http", "http").builtin("cli", "cli");
  schema.instances(
      "channels",
      "Accounts that messages come from. Where there is only one agent, \"agent\" may be left out.",
      std::move(channels));
  config::Kinds agents;
  agents.common<InstanceOptions>();
  for (const AgentKind& kind : agent_kinds()) kind.declare(agents);
  agents.builtin("echo", "echo");
  schema.instances("agents", "What answers.", std::move(agents));
  config::Kinds services = services::service_kinds();
  services.common<InstanceOptions>();
  schema.instances("services", "Extension services: what offers tools (docs/services.md).",
                   std::move(services));
  config::Kinds routes;
  routes.add<RouteRule>("route",
                        "The first table whose conditions all hold says who answers a message; "
                        "`sluice route --explain` tells.");
  schema.instances("routes", "Which agent answers what, in the order of the file.",
                   std::move(routes));
  return schema;
}

std::string default_file(const config::Schema& schema) { return config::reference_toml(schema); }

std::string reference_page(const config::Schema& schema) {
  return "# Configuration\n\n"
         "Generated by `sluice check-config --reference`; do not edit.\n\n"
         "One TOML file. `sluice run` without one writes it, with every key commented out, to\n"
         "`$XDG_CONFIG_HOME/sluice/sluice.toml` (`~/.config` where that is not set) and runs.\n"
         "`sluice check-config FILE` tells everything that is wrong with a file, with line and "
         "column.\n\n"
         "Durations are texts with a unit: `\"300ms\"`, `\"30s\"`, `\"24h\"`, `\"7d\"`; sizes too: "
         "`\"64KiB\"`, `\"10MB\"`.\n"
         "A secret is `{ env = \"NAME\" }` or `{ file = \"/path\" }`, a file that only its owner "
         "can read.\n"
         "Relative paths are taken from the folder of the file.\n\n" +
         config::reference_markdown(schema);
}

config::Loaded load_settings(const config::Schema& schema, const std::string& path,
                             config::SecretSource& secrets) {
  return checked(config::load_file(schema, path, secrets), path);
}

config::Loaded reload_settings(const config::Schema& schema, const std::string& path,
                               config::SecretSource& secrets) {
  const Result<std::string> text = config::read_file(path, config::kMaxBytes);
  if (text && text->find_first_not_of(" \t\r\n") != std::string::npos) {
    return checked(config::load(schema, *text, path, secrets), path);
  }
  config::Problems problems(path);
  problems.error({}, "", text ? "the file is empty" : text.error().context());
  return {std::nullopt, problems.take()};
}

std::vector<ChannelPlan> channel_plans(const config::Config& config) {
  std::vector<ChannelPlan> plans;
  for (const config::Instance& channel : config.instances("channels")) {
    if (!enabled(channel)) continue;
    ChannelPlan plan{&channel, account_of(channel)};
    if (plan.account.agent.empty()) plan.account.agent = only_agent(config);
    plans.push_back(std::move(plan));
  }
  return plans;
}

std::vector<RouteRule> route_plans(const config::Config& config) {
  std::vector<RouteRule> rules;
  for (const config::Instance& route : config.instances("routes")) {
    rules.push_back(route.get<RouteRule>());
    rules.back().name = route.name;
  }
  return rules;
}

std::vector<ServiceChoice> service_plans(const config::Config& config) {
  const auto& defaults = config.section<services::ServiceDefaults>("service_defaults");
  std::vector<ServiceChoice> out;
  for (const config::Instance& service : config.instances("services")) {
    if (!enabled(service)) continue;
    out.push_back(
        {&service, services::settings_of(service.get<services::ServiceOptions>(), defaults)});
  }
  return out;
}

std::vector<const config::Instance*> agent_plans(const config::Config& config) {
  std::vector<const config::Instance*> out;
  for (const config::Instance& agent : config.instances("agents")) {
    if (enabled(agent)) out.push_back(&agent);
  }
  return out;
}

}  // namespace sluice::app
