#pragma once
// ServiceHost: the extension services of the configuration, and what they need of the system. It
// tells their events in the log.
//
// Shard-confined; the daemon's. Lifetime: start() once, reload() as often as it may be, one at a
// time, stop() within a stop; destroying it kills what is left.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "net/poller.h"
#include "runtime/task_group.h"
#include "services/reaper.h"
#include "services/service_manager.h"

namespace sluice::app {

class ServiceHost {
 public:
  struct Parts {
    Shard& shard;
    Logger& log;
    Metrics& metrics;
  };
  explicit ServiceHost(Parts parts);
  ServiceHost(const ServiceHost&) = delete;
  ServiceHost& operator=(const ServiceHost&) = delete;

  /// Starts the enabled services of the configuration. None is waited for: one that is not there is
  /// tried again, and holds up nobody.
  Result<void> start(const config::Config& config);
  /// Stops those that are not in the configuration any more, or changed, and starts the new and the
  /// changed ones. The others are not touched. What could not be started is added to failed.
  Task<void> reload(std::shared_ptr<const config::Config> config, std::vector<std::string>* failed);
  /// Stops all, the last first.
  Task<Result<void>> stop(Duration within);

  services::ServiceManager& manager() { return manager_; }
  const services::ServiceManager& manager() const { return manager_; }

 private:
  /// What the configuration says of one service: its keys, and its settings with the defaults.
  struct Wanted {
    std::vector<std::pair<std::string, std::string>> keys;
    services::ServiceSettings settings;
    friend bool operator==(const Wanted&, const Wanted&) = default;
  };
  static std::map<std::string, Wanted> wanted_by(const config::Config& config);
  Result<void> start_one(const config::Instance& instance,
                         const services::ServiceSettings& settings);
  Task<void> stop_one(std::string name);
  services::ServicePlan plan_of(const config::Instance& instance,
                                const services::ServiceSettings& settings);
  Task<void> tell_events();

  Parts parts_;
  net::Poller poller_;
  services::Reaper reaper_;
  services::ServiceManager manager_;
  std::map<std::string, Wanted> wanted_;
  TaskGroup tasks_;
};

}  // namespace sluice::app
