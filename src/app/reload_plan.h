#pragma once
// ReloadPlan: what another configuration changes about a daemon that runs, before anything is made
// or touched.
//
// Thread: values. It points into the configuration that it was made for.

#include <set>
#include <string>
#include <vector>

#include "app/settings.h"
#include "config/config.h"

namespace sluice::app {

struct ReloadPlan {
  std::vector<const config::Instance*> agents;  // to be made: new ones, or in the place of others
  std::vector<std::string> agents_gone;
  std::vector<ChannelPlan> accounts;  // channels that run on, with these options of the account
  std::vector<ChannelPlan> channels;  // to be made
  std::vector<std::string> channels_gone;  // to be stopped, also those that are made again
  std::vector<std::string> changed;        // keys, for people
  std::vector<std::string> needs_restart;  // keys that are not as the process started with them
};

/// started: what the process began with; before: the last one that was applied; running: the
/// channels that do, because one may have failed to start.
ReloadPlan plan_reload(const config::Config& started, const config::Config& before,
                       const config::Config& after, std::set<std::string> running);

}  // namespace sluice::app
