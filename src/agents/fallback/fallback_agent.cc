#include "agents/fallback/fallback_agent.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "runtime/guarded.h"
#include "runtime/wait.h"

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr std::size_t kBackendsMax = 8;

/// Passes deltas on and remembers that there was one.
class NotingSink : public DeltaSink {
 public:
  explicit NotingSink(DeltaSink& next) : next_(next) {}
  void delta(std::string_view text) override {
    shown = shown || !text.empty();
    next_.delta(text);
  }
  bool shown = false;

 private:
  DeltaSink& next_;
};

/// One person's request that a backend does not take must not close it to everybody.
bool fault_of_the_request(const Error& error) {
  return error.kind() == ErrorKind::kInvalidArgument || error.kind() == ErrorKind::kTooLarge;
}

Task<Result<AgentReply>> call(Agent* agent, TurnRequest request, DeltaSink* sink) {
  co_return co_await agent->run(std::move(request), *sink);
}

}  // namespace

struct FallbackAgent::Backend {
  Backend(std::string backend_name, const FallbackOptions& options)
      : name(std::move(backend_name)), breaker(options.failures, options.rest) {}
  const std::string name;
  Breaker breaker;
  std::uint32_t running = 0;
  Gauge* open = nullptr;
  Counter* failures = nullptr;
};

/// A call under way; cut off, it says nothing about the backend.
struct FallbackAgent::Call {
  explicit Call(Backend& b) : backend(b) { ++backend.running; }
  ~Call() {
    --backend.running;
    if (!told) backend.breaker.abandoned();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  Backend& backend;
  bool told = false;
};

void declare(config::Section<FallbackOptions>& s) {
  s.list("agents", &FallbackOptions::agents,
         "The names of the agents that are asked, the first one first.")
      .required()
      .length(1, kBackendsMax);
  s.integer("failures", &FallbackOptions::failures,
            "So many failures in a row, and the backend is left alone for a while.")
      .between(1, 1'000);
  s.duration("rest", &FallbackOptions::rest, "How long it is left alone; then one turn tries it.")
      .between(milliseconds(100), hours(24));
  s.choice(
      "on_interrupt", &FallbackOptions::on_interrupt,
      {{"ask", OnInterrupt::kAsk}, {"rerun", OnInterrupt::kRerun}, {"fail", OnInterrupt::kFail}},
      "What happens to a turn that a crash interrupted.");
  s.integer("max_turns", &FallbackOptions::max_turns, "Turns at once.").between(1, 10'000);
  s.duration("timeout", &FallbackOptions::timeout, "All backends together may take so long.")
      .between(milliseconds(1), hours(24));
}

FallbackAgent::FallbackAgent(std::string name, FallbackOptions options, Parts parts)
    : info_{std::move(name), "fallback", options.on_interrupt, options.max_turns, options.timeout},
      parts_(std::move(parts)) {
  for (std::string& backend : options.agents) {
    auto& made = backends_.emplace_back(std::make_unique<Backend>(std::move(backend), options));
    const Metrics::Labels labels = {{"agent", info_.name}, {"backend", made->name}};
    made->open = &parts_.metrics.gauge("sluice_agent_breaker_open",
                                       "Whether a backend is left alone: 1 or 0.", labels);
    made->failures = &parts_.metrics.counter("sluice_agent_backend_failures_total",
                                             "Calls after which the next backend was due.", labels);
  }
}

FallbackAgent::~FallbackAgent() = default;

void FallbackAgent::note(Backend& backend) {
  backend.open->set(backend.breaker.state() == Breaker::State::kClosed ? 0 : 1);
}

Task<Result<AgentReply>> FallbackAgent::ask(Backend* backend, Agent* agent, TurnRequest request,
                                            DeltaSink* sink) {
  Call under_way(*backend);
  const milliseconds limit = agent->info().timeout;
  auto outcome =
      co_await run_until(parts_.loop, guarded("the agent", call(agent, std::move(request), sink)),
                         parts_.loop.now() + limit);
  Result<AgentReply> result =
      outcome.ended == Ended::kDone
          ? std::move(*outcome.value)
          : Result<AgentReply>(Error(ErrorKind::kTimeout,
                                     fmt::format("no answer within {} ms", limit.count()),
                                     ErrorSource::kPeer, Retry::with_backoff()));
  if (result && result->text.empty() && !result->parked_for)
    result = Error(ErrorKind::kBadResponse, "the agent answered nothing", ErrorSource::kPeer);
  under_way.told = true;
  if (!result) backend->failures->add();
  if (result || fault_of_the_request(result.error())) {
    backend->breaker.succeeded();
  } else {
    backend->breaker.failed(parts_.loop.now());
  }
  note(*backend);
  co_return result;
}

Task<Result<AgentReply>> FallbackAgent::run(TurnRequest request, DeltaSink& sink) {
  NotingSink noting(sink);
  std::optional<Error> last;
  MonoTime next_try = MonoTime::max();
  for (const auto& backend : backends_) {
    const std::shared_ptr<Agent> agent = parts_.find(backend->name);
    if (agent == nullptr || agent.get() == this) continue;
    if (backend->running >= agent->info().max_turns) continue;
    if (!backend->breaker.allow(parts_.loop.now())) {
      next_try = std::min(next_try, backend->breaker.open_until());
      continue;
    }
    Result<AgentReply> result = co_await ask(backend.get(), agent.get(), request, &noting);
    if (result || noting.shown) co_return result;
    parts_.log.warn("agent_backend_failed", {{"agent", info_.name},
                                             {"backend", backend->name},
                                             {"turn", request.turn.value},
                                             {"error", result.error().to_string()}});
    last = result.error();
  }
  if (last) co_return *last;
  if (next_try != MonoTime::max()) {
    const auto wait =
        std::chrono::duration_cast<milliseconds>(next_try - parts_.loop.now()) + milliseconds(1);
    co_return Error(ErrorKind::kUnavailable, "every backend has failed lately", ErrorSource::kPeer,
                    Retry::after(std::max(wait, milliseconds(1))));
  }
  co_return Error(ErrorKind::kOverloaded, "every backend is at its limit", ErrorSource::kPeer,
                  Retry::with_backoff());
}

Result<void> FallbackAgent::health() const {
  const bool any = std::any_of(backends_.begin(), backends_.end(), [&](const auto& backend) {
    const std::shared_ptr<Agent> agent = parts_.find(backend->name);
    return agent != nullptr && backend->breaker.state() == Breaker::State::kClosed &&
           agent->health().has_value();
  });
  if (any) return {};
  return Error(ErrorKind::kUnavailable, "no backend is well");
}

}  // namespace sluice
