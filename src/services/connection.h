#pragma once
// Connection: JSON-RPC over one Link. Calls are told apart by ids of ours, each has its deadline,
// and one that is given up is called off at the other end.
//
// Shard-confined. Shared by its owner, who cuts it, and by the calls on it, which then end as
// kUnavailable. Handlers only take notes: they must not cut it.
//
// Limits: kCallsMost calls at once, kOutgoingMost bytes that wait to be written, kIncomingMost
// requests of the service at once; more are refused. Who reads nothing for `stall` is given up.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <boost/json/value.hpp>

#include "base/result.h"
#include "runtime/task_group.h"
#include "services/framing.h"
#include "services/json_rpc.h"
#include "services/link.h"

namespace sluice::services {

class Connection {
 public:
  static constexpr std::size_t kCallsMost = 256;
  static constexpr std::size_t kIncomingMost = 16;
  static constexpr std::size_t kOutgoingMost = 2 * kFrameMost;

  using Answer = Result<boost::json::value>;
  struct Handlers {
    /// Any frame that is understood: it lives.
    std::function<void()> on_life;
    /// What the service asks.
    std::function<Task<Answer>(std::string method, boost::json::value params)> on_request;
    std::function<void(const std::string& method, const boost::json::value& params)>
        on_notification;
    /// It is of no use any more: why().
    std::function<void()> on_end;
    /// The notification that calls a request of ours off, and its params.
    std::function<std::pair<std::string, boost::json::value>(std::int64_t id)> cancellation;
    /// Frames that are no JSON-RPC are passed over, as a line on standard output that was meant for
    /// people. Otherwise they end the connection.
    bool passes_over_noise = false;
  };

  Connection(Loop& loop, std::unique_ptr<Link> link, Handlers handlers, Duration stall);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Begins to read and to write.
  void start();
  /// kTimeout at the deadline, kUnavailable when the connection ends first, kOverloaded; else what
  /// the service answered (error_of). Cancelled by destruction of the task.
  static Task<Answer> call(std::shared_ptr<Connection> self, std::string method,
                           boost::json::value params, MonoTime deadline);
  /// kOverloaded: too much waits already.
  Result<void> notify(std::string_view method, boost::json::value params);

  bool has_ended() const { return ended_; }
  const Error& why() const { return why_; }
  /// Ends it: its calls fail, nothing is read or written any more, and the link comes back to be
  /// closed or dropped. Not from inside one of its own tasks.
  std::unique_ptr<Link> cut(Error why);

  std::int64_t process_id() const { return link_ ? link_->process_id() : 0; }
  /// Calls that wait for their answers.
  std::size_t calls() const { return waiting_.size(); }
  /// Requests of the other end that are not answered yet.
  std::size_t requests() const { return incoming_; }
  /// Set whenever a call ends.
  Event& call_ended() { return call_ended_; }
  /// Answers to what nobody waits for, and frames that were passed over.
  std::uint64_t strays() const { return strays_; }

 private:
  class Place;

  Task<void> read();
  Task<void> write();
  Task<void> serve(RpcMessage request);
  Result<void> take_frame(const std::string& frame);
  Result<void> take(RpcMessage message);
  Result<void> enqueue(std::string message);
  void end(Error why);

  Loop& loop_;
  std::unique_ptr<Link> link_;
  Handlers handlers_;
  const Duration stall_;
  std::map<std::int64_t, Place*> waiting_;
  std::int64_t last_id_ = 0;
  std::deque<std::string> outgoing_;
  std::size_t outgoing_bytes_ = 0;
  std::size_t incoming_ = 0;
  std::uint64_t strays_ = 0;
  Event writable_;
  Event call_ended_;
  bool ended_ = false;
  Error why_;
  TaskGroup tasks_;
};

}  // namespace sluice::services
