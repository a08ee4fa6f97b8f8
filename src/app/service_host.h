#pragma once
// ServiceHost: the extension services of the configuration and those that register themselves, and
// what they need of the system. It tells their events in the log.
//
// Shard-confined; the daemon's. Lifetime: start() and listen() once, reload() as often as it may
// be, one at a time, leave() for a successor or stop() within a stop; destroying it kills what is
// left.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "net/poller.h"
#include "runtime/task_group.h"
#include "services/reaper.h"
#include "services/registry.h"
#include "services/rpc_server.h"
#include "services/service_manager.h"

namespace sluice::app {

class ServiceHost {
 public:
  struct Parts {
    Shard& shard;
    Logger& log;
    Metrics& metrics;
    std::string data;  // where the locks of exclusive services lie
    /// Registry::Parts::keep
    std::function<Task<Result<void>>(std::string mark, std::string value)> keep;
  };
  /// Sockets that are listened on, by what they are for.
  using Sockets = std::map<std::string, services::Descriptor>;

  explicit ServiceHost(Parts parts);
  ServiceHost(const ServiceHost&) = delete;
  ServiceHost& operator=(const ServiceHost&) = delete;

  /// Starts the enabled services of the configuration, and those that the marks of the store say
  /// have registered. None is waited for: one that is not there is tried again, and holds up
  /// nobody.
  Result<void> start(const config::Config& config, const services::Registry::Marks& marks);
  /// Opens the ports for services, or takes them over from among `inherited`. kConflict.
  Result<void> listen(const config::Config& config, Sockets* inherited);
  /// For a successor: takes no more requests on the ports, which are added to `out`, and begins to
  /// stop exclusive services. The others serve the calls that stay with this process.
  void leave(Sockets* out);
  /// Stops those that are not in the configuration any more, or changed, and starts the new and the
  /// changed ones. The others are not touched. What could not be started is added to failed.
  Task<void> reload(std::shared_ptr<const config::Config> config, std::vector<std::string>* failed);
  /// Stops all, the last first; nothing registers any more.
  Task<Result<void>> stop(Duration within);

  services::ServiceManager& manager() { return manager_; }
  const services::ServiceManager& manager() const { return manager_; }

 private:
  /// What the configuration says of one service: its keys, and its settings with the defaults.
  struct Wanted {
    std::vector<std::pair<std::string, std::string>> keys;
    services::ServiceSettings settings;
    bool exclusive = false;
    friend bool operator==(const Wanted&, const Wanted&) = default;
  };
  static std::map<std::string, Wanted> wanted_by(const config::Config& config);
  Result<void> start_one(const config::Instance& instance,
                         const services::ServiceSettings& settings);
  Task<void> stop_one(std::string name);
  services::ServicePlan plan_of(const config::Instance& instance,
                                const services::ServiceSettings& settings);
  Task<void> tell_events();
  static Result<void> listen_on(services::RpcServer* server, std::string_view section,
                                std::uint16_t port, Sockets* inherited);
  Task<void> stop_for_good(std::string name);

  Parts parts_;
  net::Poller poller_;
  services::Reaper reaper_;
  services::ServiceManager manager_;
  services::Registry registry_;
  services::RpcServer registry_port_;
  services::RpcServer callback_port_;
  std::map<std::string, Wanted> wanted_;
  TaskGroup tasks_;
};

}  // namespace sluice::app
