#include "app/init_plan.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "agents/anthropic/anthropic_agent.h"
#include "agents/openai/openai_agent.h"
#include "app/kinds.h"
#include "app/settings.h"
#include "config/load.h"
#include "net/url.h"

namespace sluice::app {
namespace {

const ModelOptions& model_options(const config::Instance& agent) {
  if (agent.kind == "openai") return agent.get<OpenAiOptions>();
  return agent.get<AnthropicOptions>();
}

const config::Instance* find_agent(const config::Config& config, std::string_view name) {
  for (const config::Instance& agent : config.instances("agents")) {
    if (agent.name == name) return &agent;
  }
  return nullptr;
}

/// The agent that answers in the browser and at the terminal now.
std::string current_agent(const config::Config& config) {
  for (const ChannelPlan& plan : channel_plans(config)) {
    if (plan.instance->name == "http" || plan.instance->name == "cli") return plan.account.agent;
  }
  return {};
}

bool may_change(const config::Config& before, const config::Instance& agent,
                const WantedAgent& wanted) {
  if (agent.kind != wanted.kind) return false;
  if (wanted.kind == "echo") return true;
  const ModelOptions& options = model_options(agent);
  if (options.base_url == wanted.base_url) return true;
  const bool key_would_move =
      wanted.key.from == KeySource::From::kNowhere && !options.api_key.empty();
  return agent.name == current_agent(before) && !key_would_move;
}

std::string name_for(const config::Config& before, const WantedAgent& wanted) {
  const std::string current = current_agent(before);
  const config::Instance* answering = find_agent(before, current);
  const bool same_api = answering != nullptr && may_change(before, *answering, wanted) &&
                        wanted.kind != "echo" &&
                        model_options(*answering).base_url == wanted.base_url;
  if (same_api) return current;
  const bool local = wanted.kind == "openai" && is_on_this_machine(wanted.base_url);
  const std::string base = local ? "local" : wanted.kind;
  std::string name = base;
  for (std::size_t n = 2; n <= config::kMaxInstances + 1; ++n) {
    const config::Instance* there = find_agent(before, name);
    if (there == nullptr || may_change(before, *there, wanted)) break;
    name = fmt::format("{}_{}", base, n);
  }
  return name;
}

std::string key_value(const InitPlan& plan, const KeySource& key) {
  if (key.from == KeySource::From::kEnvironment) {
    return fmt::format("{{ env = {} }}", toml_string(key.name));
  }
  const std::string& file = key.from == KeySource::From::kTyped ? plan.key_file : key.name;
  return fmt::format("{{ file = {} }}", toml_string(file));
}

void plan_agent(const config::Config& before, const WantedAgent& wanted, InitPlan& plan) {
  const std::string table = "agents." + plan.agent;
  const config::Instance* there = find_agent(before, plan.agent);
  if (there != nullptr && !there->get<InstanceOptions>().enabled) {
    plan.edits.push_back({table, "enabled", "true"});
  }
  if (wanted.kind == "echo") {
    if (there == nullptr) plan.edits.push_back({table, "kind", toml_string("echo")});
    return;
  }
  const ModelOptions* options = there == nullptr ? nullptr : &model_options(*there);
  if (options == nullptr) plan.edits.push_back({table, "kind", toml_string(wanted.kind)});
  if (options == nullptr || options->base_url != wanted.base_url) {
    plan.edits.push_back({table, "base_url", toml_string(wanted.base_url)});
  }
  if (options == nullptr || options->model != wanted.model) {
    plan.edits.push_back({table, "model", toml_string(wanted.model)});
  }
  if (wanted.key.from != KeySource::From::kNowhere) {
    plan.edits.push_back({table, "api_key", key_value(plan, wanted.key)});
  }
}

void plan_channels(const config::Config& before, InitPlan& plan) {
  std::size_t agents = 0;
  bool counted = false;
  for (const config::Instance* agent : agent_plans(before)) {
    ++agents;
    counted = counted || agent->name == plan.agent;
  }
  if (!counted) ++agents;
  for (const ChannelPlan& channel : channel_plans(before)) {
    const config::Instance& instance = *channel.instance;
    const bool ours = instance.name == "http" || instance.name == "cli";
    const std::string& written = instance.get<AccountOptions>().agent;
    const std::string& wanted = ours ? plan.agent : channel.account.agent;
    if (written == wanted || (written.empty() && agents == 1)) continue;
    plan.edits.push_back({"channels." + instance.name, "agent", toml_string(wanted)});
  }
}

}  // namespace

bool is_on_this_machine(std::string_view base_url) {
  const auto url = net::Url::parse(base_url);
  return url && (url->host == "localhost" || url->host == "::1" || url->host.starts_with("127."));
}

InitPlan plan_init(const config::Config& before, const WantedAgent& wanted) {
  InitPlan plan;
  plan.agent = name_for(before, wanted);
  if (wanted.key.from == KeySource::From::kTyped) plan.key_file = plan.agent + ".key";
  plan_agent(before, wanted, plan);
  plan_channels(before, plan);
  return plan;
}

}  // namespace sluice::app
