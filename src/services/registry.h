#pragma once
// Registry: services that register themselves at run time, by JSON-RPC (docs/services.md): where
// they listen is connected to, and nothing is ever started for them. Whoever registers knows the
// token of the configuration. Registrations are on disk before they are answered, so that a restart
// and a crash forget none; one whose service was given up and says nothing is forgotten.
//
// Shard-confined. Owned by app/; what Parts name outlives it. A request goes on when whoever asked
// is gone.
//
// Limits: kMost registrations; kWritesPerSecond, kWritesBurst requests of those who know the token;
// kForgottenAfter.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/value.hpp>

#include "base/token_bucket.h"
#include "config/secret.h"
#include "runtime/task_group.h"
#include "services/registration.h"
#include "services/service_manager.h"

namespace sluice::services {

class Registry {
 public:
  static constexpr std::size_t kMost = 256;
  static constexpr std::uint32_t kWritesPerSecond = 10;
  static constexpr std::uint32_t kWritesBurst = 100;
  static constexpr Duration kForgottenAfter = std::chrono::hours(1);
  /// Marks of the store that are registrations begin so.
  static constexpr std::string_view kMark = "service:";

  using Answer = Connection::Answer;
  using Marks = std::vector<std::pair<std::string, std::string>>;

  struct Parts {
    Loop& loop;
    Logger& log;
    Metrics& metrics;
    ServiceManager& manager;
    std::function<std::unique_ptr<Connector>(const Registration&, Framing)> connect;
    /// Puts a mark of the store on disk; an empty value removes it.
    std::function<Task<Result<void>>(std::string mark, std::string value)> keep;
  };
  explicit Registry(Parts parts);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// What holds from now on; an empty token lets nobody in. Services that are there are begun anew
  /// if it says otherwise than before how they are treated.
  void configure(const RegistryOptions& options, const ServiceDefaults& defaults);
  /// Starts what is on disk. Returns the marks that are not what we wrote.
  std::vector<std::string> load(const Marks& marks);

  /// service.register, service.update, service.unregister, service.heartbeat. kUnsupported: another
  /// method; kPermissionDenied: not the token; kNotFound, kConflict, kInvalidArgument, kOverloaded,
  /// kRateLimited, and the store's.
  Task<Answer> serve(std::string method, boost::json::value params);
  /// The configuration wants that name now: the registration of it goes. Returns when its service
  /// has stopped.
  Task<void> yield_name(std::string name);
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string id;
    Registration registration;
    bool busy = false;  // being written, stopped or forgotten
  };
  struct Request;
  using Entries = std::map<std::string, Entry, std::less<>>;

  Task<void> answer(std::shared_ptr<Request> request);
  Task<Answer> add(boost::json::object params);
  Task<Answer> update(boost::json::object params);
  Task<Answer> remove(std::string id);
  Answer beat(const std::string& id);
  Result<boost::json::object> let_in(boost::json::value params);
  Result<Entries::iterator> find(const std::string& id);
  ServiceSettings settings_for(const Registration& registration) const;
  ServicePlan plan_of(const Registration& registration) const;
  /// Its service is there and started, or nothing has changed.
  Result<void> start(const Registration& registration);
  Task<Result<void>> keep(std::string name);
  Task<Result<void>> replace(std::string name, Registration with);
  Task<void> remove_service(std::string name);
  Task<void> refresh(std::string name);
  Task<void> forget(std::string name);
  Task<void> tidy();

  Parts parts_;
  RegistryOptions options_;
  ServiceDefaults defaults_;
  Entries entries_;  // by name
  TokenBucket writes_;
  Counter& refused_;
  TaskGroup tasks_;
};

}  // namespace sluice::services
