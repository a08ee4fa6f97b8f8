#include "app/reload_plan.h"

#include <algorithm>
#include <map>
#include <utility>

namespace sluice::app {
namespace {

using config::Change;
using Keys = std::vector<std::string>;

/// What changed below [group.NAME], by name: keys without the table, "" for the table as a whole.
std::map<std::string, Keys> changes_in(std::string_view group, const std::vector<Change>& changes) {
  std::map<std::string, Keys> out;
  for (const Change& change : changes) {
    std::string_view key = change.key;
    if (!key.starts_with(group) || key.size() <= group.size() || key[group.size()] != '.') continue;
    key.remove_prefix(group.size() + 1);
    const std::size_t dot = std::min(key.find('.'), key.size());
    out[std::string(key.substr(0, dot))].emplace_back(key.substr(std::min(dot + 1, key.size())));
  }
  return out;
}

/// The keys that the core reads of every channel: they change under a running one.
std::set<std::string> account_keys() {
  std::set<std::string> out;
  const auto spec = config::make_section<AccountOptions>("", "");
  for (const auto& option : spec->options) out.insert(option->key);
  for (const auto& nested : spec->sections) out.insert(nested.section->name);
  return out;
}

bool all_among(const std::set<std::string>& known, const Keys& keys) {
  return std::all_of(keys.begin(), keys.end(), [&](const std::string& key) {
    return known.contains(key.substr(0, key.find('.')));
  });
}

/// The order of routes is in no key.
bool other_order(const config::Config& before, const config::Config& after) {
  const auto names = [](const config::Config& config) {
    Keys all;
    for (const config::Instance& route : config.instances("routes")) all.push_back(route.name);
    return all;
  };
  return names(before) != names(after);
}

void plan_keys(ReloadPlan& plan, const config::Config& started, const config::Config& before,
               const config::Config& after, const std::vector<Change>& changes) {
  bool routes = false;
  for (const Change& change : changes) {
    routes = routes || change.key.starts_with("routes.");
    if (!change.needs_restart) plan.changed.push_back(change.key);
  }
  if (!routes && other_order(before, after)) plan.changed.emplace_back("routes");
  for (const Change& change : diff(started, after)) {
    if (change.needs_restart) plan.needs_restart.push_back(change.key);
  }
}

void plan_agents(ReloadPlan& plan, const config::Config& before, const config::Config& after,
                 const std::vector<Change>& changes) {
  const auto changed = changes_in("agents", changes);
  std::set<std::string> gone;
  for (const config::Instance* agent : agent_plans(before)) gone.insert(agent->name);
  for (const config::Instance* agent : agent_plans(after)) {
    const bool there = gone.erase(agent->name) > 0;
    if (!there || changed.contains(agent->name)) plan.agents.push_back(agent);
  }
  plan.agents_gone.assign(gone.begin(), gone.end());
}

void plan_channels(ReloadPlan& plan, const config::Config& after,
                   const std::vector<Change>& changes, std::set<std::string> running) {
  const std::set<std::string> of_account = account_keys();
  const auto changed = changes_in("channels", changes);
  for (ChannelPlan& channel : channel_plans(after)) {
    const std::string& name = channel.instance->name;
    const bool runs = running.erase(name) > 0;
    const auto keys = changed.find(name);
    if (runs && (keys == changed.end() || all_among(of_account, keys->second))) {
      // Also if nothing of its own has changed: its agent may be the only one no more.
      plan.accounts.push_back(std::move(channel));
      continue;
    }
    if (runs) plan.channels_gone.push_back(name);
    plan.channels.push_back(std::move(channel));
  }
  plan.channels_gone.insert(plan.channels_gone.end(), running.begin(), running.end());
}

}  // namespace

ReloadPlan plan_reload(const config::Config& started, const config::Config& before,
                       const config::Config& after, std::set<std::string> running) {
  ReloadPlan plan;
  const std::vector<Change> changes = diff(before, after);
  plan_keys(plan, started, before, after, changes);
  plan_agents(plan, before, after, changes);
  plan_channels(plan, after, changes, std::move(running));
  return plan;
}

}  // namespace sluice::app
