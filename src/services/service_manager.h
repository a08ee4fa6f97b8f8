#pragma once
// Module services: extension services, which offer tools: processes that we start, or peers that we
// connect to. The manager knows all of them by name; what each is doing is its Service's business
// (service.h). It may include base, runtime, observe, net and config.
//
// Shard-confined. Owned by app/; destroying it kills what it started. Connectors are given to it,
// so that it knows no sockets (connectors.h).
//
// Limits: kServicesMost services; those of a Service.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/service.h"

namespace sluice::services {

class ServiceManager {
 public:
  static constexpr std::size_t kServicesMost = 1024;

  struct Parts {
    Loop& loop;
    Logger& log;
    Metrics& metrics;
    std::string version;                     // ours, as services are told
    std::function<std::string()> new_token;  // Callbacks::Parts
  };
  explicit ServiceManager(Parts parts);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  /// Makes it known, stopped. kConflict: there is one of that name; kOverloaded.
  Result<void> add(ServicePlan plan);
  /// Starts one that is stopped, and lets one that was given up try again. kNotFound; kConflict: it
  /// is on its way or running.
  Result<void> start(std::string_view name);
  /// Returns when it has stopped. kNotFound; kConflict: it is not started.
  Task<Result<void>> stop(std::string name);
  /// Stops it if need be, and forgets it. kNotFound.
  Task<Result<void>> remove(std::string name);
  /// Begins all stops, the last started first, and waits for them together; what has not ended by
  /// the deadline is killed. Nothing is started any more.
  Task<void> stop_all(MonoTime deadline);

  /// Service::heartbeat. kNotFound.
  Result<void> heartbeat(std::string_view name);

  /// Service::call_tool. kNotFound: there is no such service.
  Task<Service::Answer> call(std::string name, std::string tool, boost::json::value arguments,
                             Duration timeout, std::optional<CallOrigin> origin = {});

  /// How many are started.
  std::size_t count() const;
  /// By name; with a capability only those that have it.
  std::vector<ServiceInfo> list(std::string_view capability = {}) const;
  Result<ServiceInfo> find(std::string_view name) const;
  Result<std::vector<LogRing::Line>> log_of(std::string_view name) const;
  /// Those that should be running and are not, or are past their time.
  std::vector<std::string> health_check() const;
  /// Of those, the ones without which we are not ready.
  std::vector<std::string> critical_ill() const;
  ServiceEvents& events() { return events_; }
  Callbacks& callbacks() { return callbacks_; }

 private:
  struct Entry {
    std::shared_ptr<Service> service;
    std::uint64_t started = 0;  // the number of its start
  };
  Result<Entry*> entry(std::string_view name);
  std::string who_has(const std::vector<std::string>& among, const std::string& tool) const;
  void abandon_all();

  Parts parts_;
  ServiceEvents events_;
  Callbacks callbacks_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::uint64_t starts_ = 0;
  bool stopping_ = false;
  TaskGroup tasks_;
};

}  // namespace sluice::services
