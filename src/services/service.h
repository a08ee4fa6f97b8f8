#pragma once
// Service: the one owner of one extension service: its status, its connection, its attempts and
// its timers. run() is the whole life from a start to a stop; everything else asks or tells it.
//
//   starting ─► running ─► reconnecting ─► running …      (status.h has the table)
//
// A connection that ends, breaks the protocol or falls silent is cut, its calls fail at once, and
// it is tried again with growing waits; too many attempts in a row, or too many losses in a minute,
// end in kError, from where only retry() leads on.
//
// Shard-confined. Shared by the manager and by the calls, which may outlive their service's stop.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "observe/log.h"
#include "observe/metrics.h"
#include "runtime/task_group.h"
#include "services/callbacks.h"
#include "services/connection.h"
#include "services/events.h"
#include "services/settings.h"

namespace sluice::services {

/// What is known of a service, at one moment.
struct ServiceInfo {
  std::string name;
  std::string kind;
  bool registered = false;  // ServicePlan::registered
  Protocol protocol = Protocol::kMcp;
  ServiceStatus status = ServiceStatus::kStopped;
  bool critical = false;
  std::uint64_t generation = 0;  // how many connections there have been
  std::int64_t process_id = 0;   // 0: none, or none of ours
  std::uint32_t attempts = 0;    // in a row without success
  std::uint64_t losses = 0;      // of what was running, since our start
  std::size_t calls = 0;         // under way
  Duration in_status{0};
  std::optional<Duration> silent_for;  // while it runs
  std::optional<Duration> round_trip;  // of the last ping
  Greeting greeting;
  std::vector<std::string> capabilities;  // those of the plan and of the greeting
  std::vector<ToolInfo> tools;
  std::string last_error;
  std::uint64_t strays = 0;
};

class Service {
 public:
  struct Parts {
    Loop& loop;
    Logger& log;
    Metrics& metrics;
    ServiceEvents& events;
    Callbacks& callbacks;
    std::string version;  // ours
  };
  using Answer = Connection::Answer;

  Service(Parts parts, ServicePlan plan);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  const std::string& name() const { return name_; }
  ServiceStatus status() const { return status_; }
  const ServiceSettings& settings() const { return settings_; }
  ServiceInfo info() const;
  const LogRing& log() const { return ring_; }
  /// It is running, but nothing was heard of it for longer than it may be silent, or it is not
  /// running although it should be.
  bool is_ill() const;

  /// From a start to the end of a stop. At most one at a time.
  Task<void> run();
  /// Asks run() to end, by this time.
  void stop(MonoTime deadline);
  /// If it was given up: tries again, from the first attempt. False if it was not.
  bool retry();
  /// A sign of life that did not come over its connection: one that was given up is tried again.
  void heartbeat();
  /// When run() was destroyed: cuts what it left.
  void abandon();
  /// Set while run() does not run.
  Event& stopped() { return stopped_; }

  /// Waits for a service that is on its way, then calls. timeout 0: the service's own.
  /// kUnavailable: it is stopped or given up (source kSelf: nothing was sent), or was lost under
  /// way (kPeer); kNotFound: it has no such tool; kOverloaded; kTimeout; else what it said.
  /// Cancelling the task calls the request off. With an origin the service may call back.
  static Task<Answer> call_tool(std::shared_ptr<Service> self, std::string tool,
                                boost::json::value arguments, Duration timeout,
                                std::optional<CallOrigin> origin);

 private:
  enum class Lost : std::uint8_t { kEnded, kSilent, kStopped };

  Task<Result<void>> connect(MonoTime deadline);
  Task<Result<std::vector<ToolInfo>>> list_tools(std::shared_ptr<Connection> connection,
                                                 MonoTime deadline);
  Task<Lost> serve();
  Task<void> ping(std::shared_ptr<Connection> connection);
  Task<void> refresh_tools(std::shared_ptr<Connection> connection);
  Task<void> say_goodbye();
  Task<bool> wait_for_retry();
  /// After a failure: whether another attempt is due, and its wait is over.
  Task<bool> wait_for_attempt();
  Task<Answer> answer_request(std::string method, boost::json::value params);

  Connection::Handlers handlers();
  void on_notification(const std::string& method);
  void begin_anew();
  void failed(const Error& why);
  void give_up(const std::string& why);
  void drop_connection(const Error& why);
  void become(ServiceStatus status);
  ServiceEvent event(ServiceEvent::What what) const;

  Loop& loop_;
  ServiceEvents& events_;
  Callbacks& callbacks_;
  const std::string version_;
  const std::string name_;
  const bool registered_;
  const std::vector<std::string> capabilities_;
  const ServiceSettings settings_;
  const std::shared_ptr<TokenBucket> callback_quota_;  // shared with the leases of its calls
  std::unique_ptr<Connector> connector_;
  LogRing ring_;

  ServiceStatus status_ = ServiceStatus::kStopped;
  MonoTime status_since_;
  std::uint64_t generation_ = 0;
  std::uint32_t attempts_ = 0;
  std::uint64_t losses_ = 0;
  std::size_t calls_ = 0;
  RestartIntensity intensity_;
  MonoTime last_life_;
  std::optional<Duration> round_trip_;
  std::uint64_t pings_ = 0;
  bool ping_under_way_ = false;
  bool tools_changed_ = false;
  Greeting greeting_;
  std::vector<ToolInfo> tools_;
  std::string last_error_;
  std::shared_ptr<Connection> connection_;

  bool retry_ = false;
  bool given_up_ = false;
  MonoTime stop_deadline_;
  Event stop_;
  Event stopped_;
  Event attention_;  // pulsed: serve() and waiting calls look again
  Counter& losses_total_;
  Counter& answered_;
  Counter& failed_;
  Gauge& up_;
  TaskGroup chores_;
};

}  // namespace sluice::services
