#pragma once
// Callbacks: what services ask back while they work for somebody: an agent's answer, or a tool of
// another service. One dispatcher, whether they ask on their own connection or on the port for
// that (RpcServer). Each call of a tool comes with a token of its own, which says for whom, what
// and how often may be asked, and is worth nothing once the call has ended.
//
// Shard-confined. Outlives the leases and the services. What a callback has begun ends with the
// request that its token is of.
//
// Limits: CallbackRules; kDepthMost, kPromptMost; those of agents, budgets and services.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/hash.h"
#include "base/result.h"
#include "base/token_bucket.h"
#include "observe/metrics.h"
#include "runtime/task.h"
#include "runtime/wait.h"
#include "services/settings.h"

namespace sluice::services {

/// For whom a tool is called.
struct CallOrigin {
  std::string request_id;  // unique among the requests under way
  /// Asks an agent as that person, under a request id of its own: the text of its answer.
  std::function<Task<Result<std::string>>(std::string agent, std::string prompt,
                                          std::string request_id, Duration most)>
      ask;
};

class Callbacks {
 public:
  /// Callbacks between a person and a call; at the last one no token is given any more.
  static constexpr std::uint32_t kDepthMost = 3;
  static constexpr std::size_t kPromptMost = 256 << 10;
  static constexpr Duration kLongest = std::chrono::hours(24);

  using Answer = Result<boost::json::value>;
  /// ServiceManager::call
  using CallTool =
      std::function<Task<Answer>(std::string service, std::string tool,
                                 boost::json::value arguments, Duration most, CallOrigin origin)>;
  /// The services among these that are running and have the tool; the first of them, or "".
  using FindTool =
      std::function<std::string(const std::vector<std::string>& services, const std::string& tool)>;
  struct Parts {
    Loop& loop;
    Metrics& metrics;
    std::function<std::string()> new_token;  // 256 random bits
    CallTool call_tool;
    FindTool find_tool;
  };
  explicit Callbacks(Parts parts);
  Callbacks(const Callbacks&) = delete;
  Callbacks& operator=(const Callbacks&) = delete;

 private:
  struct Grant;

 public:
  /// One call's right to call back; its end.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&& other) = delete;
    ~Lease();
    explicit operator bool() const { return grant_ != nullptr; }
    /// As the service is told: token, request_id, service_id, types, uses, tools_of.
    boost::json::object to_json() const;

   private:
    friend class Callbacks;
    Callbacks* callbacks_ = nullptr;
    std::shared_ptr<Grant> grant_;
    std::string token_;
  };
  /// quota: of the service, shared by all its calls. Empty if the rules grant nothing, or the
  /// request is too deep.
  Lease lend(std::string service, const CallbackRules& rules, std::shared_ptr<TokenBucket> quota,
             CallOrigin origin);

  /// callback.ai and callback.tool. via: the service on whose connection it was asked; empty: the
  /// port, where the token alone says whose it is. kUnsupported: another method; kPermissionDenied:
  /// the token is not of this request or service, is spent, over, or grants no such thing;
  /// kRateLimited: the service's quota; kCancelled: the request has ended; kInvalidArgument; what
  /// the agent or the tool answered.
  Task<Answer> serve(std::string via, std::string method, boost::json::value params);
  /// Of tokens that are worth something.
  std::size_t size() const { return grants_.size(); }

 private:
  struct Ask;
  /// Says how deep a request is while it runs.
  class Depth;

  Result<std::shared_ptr<Grant>> use(const std::string& via, bool ai,
                                     const boost::json::object& params);
  Task<Answer> run(std::shared_ptr<Grant> grant, Ask ask);
  Task<Answer> ask_agent(std::shared_ptr<Grant> grant, std::string prompt, Duration most);
  Task<Answer> call_tool(std::shared_ptr<Grant> grant, Ask ask);
  Key128 key_of(std::string_view token) const;
  std::uint32_t depth_of(const std::string& request_id) const;

  Parts parts_;
  const HashKey key_;
  std::map<Key128, std::shared_ptr<Grant>> grants_;  // by the token's hash: no timing tells of it
  std::map<std::string, std::uint32_t> depths_;      // of requests that callbacks have made
  std::uint64_t last_ = 0;
};

}  // namespace sluice::services
