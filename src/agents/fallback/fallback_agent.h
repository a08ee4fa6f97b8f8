#pragma once
// The fallback agent: asks other agents of the configuration in their order until one answers. It
// moves on when a backend fails before anything of its answer was shown: what people have seen is
// never taken back by another backend's words. A breaker for each spares a backend that keeps
// failing, and a backend that is at its limit of turns is passed over.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agents/fallback/breaker.h"
#include "config/schema.h"
#include "gateway/agent.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "runtime/loop.h"

namespace sluice {

struct FallbackOptions {
  std::vector<std::string> agents;         // names, the first is asked first
  std::uint32_t failures = 5;              // in a row open a backend's breaker
  std::chrono::milliseconds rest{30'000};  // how long it stays open
  OnInterrupt on_interrupt = OnInterrupt::kAsk;
  std::uint32_t max_turns = 32;
  std::chrono::milliseconds timeout{300'000};
};
void declare(config::Section<FallbackOptions>& s);

/// Finds an agent of the configuration by its name; nullptr if there is none. A call under way
/// keeps it.
using FindAgent = std::function<std::shared_ptr<Agent>(std::string_view name)>;

/// Shard-confined. The agents that it asks are looked up when a turn needs them. Errors: the last
/// backend's, with its retry; kUnavailable with the time of the next try if every breaker is open;
/// kOverloaded if every backend is at its limit.
class FallbackAgent : public Agent {
 public:
  struct Parts {
    Loop& loop;
    Metrics& metrics;
    Logger& log;
    FindAgent find;
  };
  FallbackAgent(std::string name, FallbackOptions options, Parts parts);
  ~FallbackAgent() override;

  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override;
  Result<void> health() const override;

 private:
  struct Backend;
  struct Call;
  Task<Result<AgentReply>> ask(Backend* backend, Agent* agent, TurnRequest request,
                               DeltaSink* sink);
  void note(Backend& backend);

  AgentInfo info_;
  Parts parts_;
  std::vector<std::unique_ptr<Backend>> backends_;
};

}  // namespace sluice
