// A turn's agent is called: what it gets to see, and how its answer is taken.

#include <algorithm>

#include <fmt/core.h>

#include "base/mutant.h"
#include "base/utf8.h"
#include "gateway/history_window.h"
#include "gateway/message_json.h"
#include "gateway/turns.h"
#include "runtime/guarded.h"

namespace sluice {
namespace {

constexpr milliseconds kHandedOverGrace{5'000};

/// Takes deltas while they fit; what exceeds the bound stops the turn.
class BoundedSink : public DeltaSink {
 public:
  BoundedSink(Core& core, Lane& lane, RunningTurn& running)
      : core_(core), lane_(lane), running_(running) {}
  void delta(std::string_view text) override {
    if (over) return;
    const std::size_t room = core_.options.reply_bytes_max -
                             std::min<std::size_t>(bytes_, core_.options.reply_bytes_max);
    if (text.size() > room) {
      over = true;
      text = text.substr(0, utf8_floor(text, room));
      running_.cut();
    }
    bytes_ += text.size();
    if (!text.empty()) core_.feeds.delta(lane_.id, text);
  }
  bool over = false;

 private:
  Core& core_;
  Lane& lane_;
  RunningTurn& running_;
  std::size_t bytes_ = 0;
};

/// For Mutant::kTwoTurnsInALane: a call beside the running one.
class DeafSink : public DeltaSink {
  void delta(std::string_view) override {}
};
Task<void> second_call(std::shared_ptr<Agent> agent, TurnRequest request) {
  DeafSink sink;
  request.turn.value += 1'000'000'000;
  const Result<AgentReply> ignored =
      co_await guarded("the agent", agent->run(std::move(request), sink));
  (void)ignored;
}

}  // namespace

Task<Result<HistoryWindow>> Turns::load_history(Lane* lane, const AgentInfo* agent,
                                                const MessageRow* newest) {
  const HistoryId from = lane->running->row.history_from;
  const HistoryId after = lane->running->row.history_after;
  const CoreOptions& o = core_.options;
  HistoryBounds bounds;
  bounds.messages = std::min<std::size_t>(agent->history_messages, o.history_messages);
  bounds.bytes = o.history_bytes;
  bounds.tokens = std::min(agent->history_tokens == 0 ? SIZE_MAX : agent->history_tokens,
                           o.history_tokens == 0 ? SIZE_MAX : std::size_t{o.history_tokens});
  if (bounds.tokens == SIZE_MAX) bounds.tokens = 0;
  const Channel* channel = lane->account->channel.get();
  const SessionRules rules = channel == nullptr ? SessionRules{} : channel->account().session;
  const bool nothing = bounds.messages == 0 && !rules.any();
  if (nothing || from.value == 0 || from <= after) co_return HistoryWindow{};
  const std::string zone = rules.daily.empty() ? "" : parse_extra(newest->extra).time_zone;
  const UnixMillis now = newest->accepted_at;
  co_return co_await core_.store.read<HistoryWindow>(
      [from, after, bounds, rules, zone, now](StoreReader& reader) {
        return read_window(reader, from, after, bounds, rules, zone, now);
      });
}

Turns::Ending Turns::stopped(const Lane& lane) const {
  Ending ending;
  ending.text = std::string(core_.feeds.streamed(lane.id));
  if (mutant(Mutant::kStopForgetsText)) ending.text.clear();
  ending.cut = true;
  ending.outcome = MessageOutcome::kStopped;
  const StopReason why = lane.running->why;
  ending.reason = why == StopReason::kNewer      ? "interrupted by a newer message"
                  : why == StopReason::kOperator ? "stopped by the operator"
                                                 : "stopped by the person";
  if (ending.text.empty()) ending.notice = "Stopped.";
  return ending;
}

void Turns::cut_off(Ending& ending) {
  ending.cut = true;
  ending.notice = "The answer was too long and has been cut off.";
  ending.reason = "reply_bytes_max";
}

std::optional<Error> Turns::take_reply(Lane& lane, AgentReply reply, Ending& ending) const {
  const std::size_t most = core_.options.reply_bytes_max;
  if (reply.parked_for) {
    ending.parked_for = std::clamp(*reply.parked_for, milliseconds(1), AgentReply::kLongestPark);
    return std::nullopt;
  }
  if (reply.text.empty())
    return Error(ErrorKind::kBadResponse, "the agent answered nothing", ErrorSource::kPeer);
  if (reply.text.size() > most) {
    reply.text.resize(utf8_floor(reply.text, most));
    cut_off(ending);
  }
  if (!is_utf8(reply.text))
    return Error(ErrorKind::kBadResponse, "the agent's answer is not UTF-8", ErrorSource::kPeer);
  ending.usage = reply.usage;
  ending.text = std::move(reply.text);
  ending.meta = std::move(reply.meta);
  if (ending.meta && ending.meta->session.empty()) ending.meta->session = lane.running->session;
  return std::nullopt;
}

Task<std::optional<Error>> Turns::call_agent(Lane* lane, Messages messages) {
  RunningTurn& running = *lane->running;
  const std::shared_ptr<Agent> agent = running.agent;
  if (agent == nullptr) {
    co_return Error(ErrorKind::kUnavailable,
                    "agent \"" + running.row.agent + "\" is not configured");
  }
  TurnRequest request;
  request.turn = running.row.id;
  request.attempt = running.row.attempt;
  request.request_id = running.request_id;
  request.account = lane->account->row.name;
  request.channel_kind =
      lane->account->channel == nullptr ? "" : lane->account->channel->info().kind;
  request.chat = lane->chat;
  request.thread = lane->thread;
  request.chat_kind = lane->kind;
  MessageExtra extra = parse_extra(messages.back()->extra);
  request.projects = std::move(extra.projects);
  // An agent that took another's place does not know its models.
  if (extra.agent.empty() || extra.agent == running.row.agent)
    request.model = std::move(extra.model);
  request.messages = messages;
  Result<HistoryWindow> history =
      co_await load_history(lane, &agent->info(), messages.front().get());
  if (!history) co_return history.error();
  if (history->new_session) {
    running.new_session = running.row.history_from;
    running.session = session_of(*lane, messages);
  }
  running.summarise = history->more;
  request.session = running.session;
  request.history = std::move(history->lines);
  if (mutant(Mutant::kTwoTurnsInALane)) core_.tasks.spawn("second", second_call(agent, request));
  const milliseconds limit = std::min(core_.options.turn_timeout, agent->info().timeout);
  running.call = core_.calls.begin(agent, std::move(request), limit);
  co_return std::nullopt;
}

Task<Turns::Ending> Turns::hear(Lane* lane, std::optional<Error>* failure) {
  RunningTurn& running = *lane->running;
  AgentCall& call = *running.call.get();
  BoundedSink sink(core_, *lane, running);
  running.agent_active = true;
  core_.turns_changed.pulse();
  call.listen(&sink);
  // Its own process ends it at its limit; this one is for a process that does not.
  const MonoTime longest = call.since + core_.options.turn_timeout + kHandedOverGrace;
  bool in_time = true;
  while (in_time && !call.ended.is_set() && !running.stop.is_set())
    in_time = co_await call.ended.wait_until(running.from_before ? longest : MonoTime::max());
  call.listen(nullptr);
  running.agent_active = false;
  Ending ending;
  const bool done = call.outcome && !sink.over;
  std::optional<Result<AgentReply>> outcome;
  // A copy: until the end is on disk a successor may have to hear it, too.
  if (done) outcome.emplace(*call.outcome);
  if (!call.ended.is_set()) running.call.drop();
  if (done && outcome->has_value()) {
    *failure = take_reply(*lane, std::move(outcome->value()), ending);
  } else if (done) {
    *failure = outcome->error();
  } else if (sink.over) {
    ending.text = std::string(core_.feeds.streamed(lane->id));
    if (mutant(Mutant::kStopForgetsText)) ending.text.clear();
    cut_off(ending);
  } else if (running.stop.is_set()) {
    ending = stopped(*lane);
  } else if (!in_time) {
    *failure = Error(ErrorKind::kTimeout, "no answer from the earlier process in time",
                     ErrorSource::kPeer);
  } else {
    ending.lost = true;
  }
  co_return ending;
}

}  // namespace sluice
