// An agent is asked beside a turn, for what works for that turn.

#include <algorithm>

#include <fmt/core.h>

#include "base/utf8.h"
#include "gateway/gateway.h"
#include "gateway/sessions.h"
#include "runtime/guarded.h"

namespace sluice {
namespace {

class Unheard : public DeltaSink {
  void delta(std::string_view) override {}
};

Task<Result<AgentReply>> run_unheard(Agent* agent, TurnRequest request) {
  Unheard sink;
  co_return co_await guarded("the agent", agent->run(std::move(request), sink));
}

/// One of an agent's slots. Lanes that wait for it are looked after by whoever ends in order; else
/// by the next turn that ends.
class Slot {
 public:
  explicit Slot(FairSlots::Agent& agent) : agent_(agent) { ++agent_.running; }
  ~Slot() { --agent_.running; }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

 private:
  FairSlots::Agent& agent_;
};

}  // namespace

Task<Result<AgentReply>> Gateway::ask(std::string name, TurnRequest request, std::string prompt,
                                      milliseconds most) {
  if (core_.draining || core_.calls.handed_over() || core_.storage_failed) {
    co_return Error(ErrorKind::kUnavailable, "no agent is called any more", ErrorSource::kSelf,
                    Retry::with_backoff());
  }
  const auto found = core_.agents.find(name);
  const std::shared_ptr<Agent> agent = found == core_.agents.end() ? nullptr : found->second->agent;
  if (agent == nullptr) {
    co_return Error(ErrorKind::kNotFound, fmt::format("there is no agent \"{}\"", name));
  }
  FairSlots::Agent& slots = found->second->slots;
  // Never waited for: the turn that it is for holds a slot itself.
  if (slots.running >= slots.max) {
    co_return Error(ErrorKind::kOverloaded, "the agent is at its limit", ErrorSource::kSelf,
                    Retry::with_backoff());
  }
  const auto person_is = [this](const TurnRequest& of) {
    return person_of(core_.hash_key, of.account, of.messages.front()->sender);
  };
  const std::uint64_t person = person_is(request);
  const auto account = core_.accounts.find(request.account);
  const Channel* channel =
      account == core_.accounts.end() ? nullptr : account->second->channel.get();
  const AccountOptions options = channel == nullptr ? AccountOptions{} : channel->account();
  const std::int64_t day = local_day(options.session.time_zone, core_.now());
  if (const auto gone = core_.budgets.begin_turn(options, person, day)) {
    core_.counters.over_budget.add();
    co_return Error(ErrorKind::kRateLimited,
                    fmt::format("the person's budget of {} for today is used up", *gone));
  }
  auto message = std::make_shared<MessageRow>();
  message->id = MessageId{core_.next_id()};
  message->lane = request.messages.front()->lane;
  message->sender = request.messages.front()->sender;
  message->sender_name = request.messages.front()->sender_name;
  message->accepted_at = core_.now();
  message->text = std::move(prompt);
  request.turn = TurnId{core_.next_id()};
  request.attempt = 1;
  request.session = request.request_id;
  request.model.clear();
  request.history.clear();
  request.messages.assign(1, std::move(message));
  milliseconds limit = std::min(core_.options.turn_timeout, agent->info().timeout);
  if (most.count() > 0) limit = std::min(limit, most);
  Result<AgentReply> reply =
      Error(ErrorKind::kTimeout, fmt::format("no answer within {} ms", limit.count()),
            ErrorSource::kPeer, Retry::with_backoff());
  {
    const Slot slot(slots);
    auto outcome = co_await run_until(core_.loop, run_unheard(agent.get(), std::move(request)),
                                      core_.loop.now() + limit);
    if (outcome.ended == Ended::kDone) reply = std::move(*outcome.value);
  }
  if (core_.calls.handed_over()) co_return reply;  // whose store it is now counts by itself
  lanes_.grant_slots();
  const AgentUsage usage = reply ? reply->usage : AgentUsage{};
  if (auto used = core_.budgets.end_turn(options, person, day, usage)) {
    Transaction t;
    t.changes.marks.push_back(std::move(*used));
    const Result<Receipt> kept = co_await core_.store.commit(std::move(t));
    if (!kept) core_.log.warn("budget_not_kept", {{"error", kept.error().to_string()}});
  }
  if (!reply) co_return reply;
  if (reply->parked_for) {
    co_return Error(ErrorKind::kUnsupported, "the agent answers later", ErrorSource::kPeer);
  }
  const bool fine = !reply->text.empty() && is_utf8(reply->text) &&
                    reply->text.size() <= core_.options.reply_bytes_max;
  if (!fine)
    co_return Error(ErrorKind::kBadResponse, "the agent's answer is none", ErrorSource::kPeer);
  co_return reply;
}

}  // namespace sluice
