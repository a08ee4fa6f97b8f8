#pragma once
// Settings: the whole configuration of the daemon, read, checked and understood.
//
// Thread: start of the process.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "app/options.h"
#include "config/config.h"
#include "config/load.h"
#include "config/schema.h"
#include "services/settings.h"

namespace sluice::app {

/// Every section and kind. Built once, by main(); a Config must not outlive it.
config::Schema make_schema();

/// The file that is written where there is none: every key commented out, and words to begin with.
std::string default_file(const config::Schema& schema);

/// docs/configuration.md.
std::string reference_page(const config::Schema& schema);

/// Reads and checks a file: against the schema, and then what several tables say together (does a
/// channel's agent exist?).
config::Loaded load_settings(const config::Schema& schema, const std::string& path,
                             config::SecretSource& secrets);

/// The same for a daemon that runs. A file without any text is a problem then: somebody is writing
/// it again, and taken as it is it would mean every default.
config::Loaded reload_settings(const config::Schema& schema, const std::string& path,
                               config::SecretSource& secrets);

/// What each enabled channel is to use: its own options, with the agent filled in where it is left
/// out and there is only one.
struct ChannelPlan {
  const config::Instance* instance = nullptr;
  AccountOptions account;
};
std::vector<ChannelPlan> channel_plans(const config::Config& config);
/// The routes, in the order of the file.
std::vector<RouteRule> route_plans(const config::Config& config);
/// Each enabled service, with the common settings filled in.
struct ServiceChoice {
  const config::Instance* instance = nullptr;
  services::ServiceSettings settings;
};
std::vector<ServiceChoice> service_plans(const config::Config& config);
/// The enabled agents.
std::vector<const config::Instance*> agent_plans(const config::Config& config);

}  // namespace sluice::app
