#pragma once
// ServiceAgent: answers a turn by calling a tool of an extension service. The tool's texts are the
// reply; while it works, the service may call back for that person (services/callbacks.h).
// docs/agents/service.md is the guide.
//
// Shard-confined. The ServiceManager outlives the agent. Cancelling a run calls the request off at
// the service, which may have done it all the same.
//
// Limits: the turn's timeout; those of a service's calls.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include <boost/json/object.hpp>

#include "config/schema.h"
#include "gateway/agent.h"
#include "services/service_manager.h"

namespace sluice {

/// The options of kind "service".
struct ServiceAgentOptions {
  std::string service;
  std::string tool;
  std::string argument = "text";      // gets what the person wrote
  std::string conversation_argument;  // gets which conversation it is; empty: nobody does
  std::string arguments = "{}";       // the others, a JSON object
  std::chrono::milliseconds timeout{120'000};
  bool idempotent = false;
  std::uint32_t max_turns = 16;
};
void declare(config::Section<ServiceAgentOptions>& s);

/// What a tool answered, as a reply: MCP's texts; else a text, or an object's "text", or the JSON.
/// kBadResponse: there is nothing in it; kInternal: the tool says that it failed.
Result<AgentReply> reply_of_tool(const boost::json::value& result);

class ServiceAgent : public Agent {
 public:
  /// Gateway::ask; empty: its service can't call back.
  using Ask = std::function<Task<Result<AgentReply>>(std::string agent, TurnRequest request,
                                                     std::string prompt, Duration most)>;
  ServiceAgent(std::string name, ServiceAgentOptions options, services::ServiceManager& services,
               Ask ask);

  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override;
  /// Whether the service is running.
  Result<void> health() const override;

 private:
  AgentInfo info_;
  ServiceAgentOptions options_;
  boost::json::object arguments_;
  services::ServiceManager& services_;
  Ask ask_;
};

}  // namespace sluice
