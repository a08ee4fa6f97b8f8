#pragma once
// SimAgent: does what the message's text says, and writes down how it was called.

#include <functional>

#include "gateway/agent.h"
#include "sim/outside.h"

namespace sluice::sim {

class SimAgent : public Agent {
 public:
  SimAgent(Loop& loop, Outside& outside, AgentInfo info)
      : loop_(loop), outside_(outside), info_(std::move(info)) {}
  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override;

  /// Looks at every call when it begins; set by the world.
  std::function<void(const AgentCall&)> on_call;

 private:
  Task<Result<AgentReply>> act(TurnRequest request, DeltaSink* sink, std::size_t index);
  Loop& loop_;
  Outside& outside_;
  AgentInfo info_;
};

}  // namespace sluice::sim
