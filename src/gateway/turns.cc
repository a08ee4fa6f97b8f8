#include "gateway/turns.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/mutant.h"
#include "base/utf8.h"
#include "gateway/classify.h"
#include "gateway/guarded.h"
#include "gateway/message_json.h"

namespace sluice {
namespace {

// Numbers of a turn's own notices, apart from the parts of its reply and from the outbox's notices.
constexpr std::uint32_t kEndNotice = 500'000;

/// How much of text is whole: up to a code point that has not all come. nullopt: it is not UTF-8.
std::optional<std::size_t> whole_prefix(std::string_view text) {
  for (std::size_t cut = 0; cut <= std::min<std::size_t>(3, text.size()); ++cut) {
    if (is_utf8(text.substr(0, text.size() - cut))) return text.size() - cut;
  }
  return std::nullopt;
}

/// Takes deltas while they fit; what exceeds the bound stops the turn. Readers get whole code
/// points, and nothing after what is none.
class BoundedSink : public DeltaSink {
 public:
  BoundedSink(Core& core, Lane& lane, RunningTurn& running)
      : core_(core), lane_(lane), running_(running) {}
  void delta(std::string_view text) override {
    if (over || garbled_ || text.empty()) return;
    const std::size_t room = core_.options.reply_bytes_max -
                             std::min<std::size_t>(bytes_, core_.options.reply_bytes_max);
    if (text.size() > room) {
      over = true;
      text = text.substr(0, utf8_floor(text, room));
      running_.stop.set();
    }
    bytes_ += text.size();
    rest_.append(text);
    const std::optional<std::size_t> whole = whole_prefix(rest_);
    garbled_ = !whole;
    if (whole.value_or(0) == 0) return;
    core_.feeds.delta(lane_.id, std::string_view(rest_).substr(0, *whole));
    rest_.erase(0, *whole);
  }
  bool over = false;

 private:
  Core& core_;
  Lane& lane_;
  RunningTurn& running_;
  std::size_t bytes_ = 0;
  std::string rest_;  // the beginning of a code point
  bool garbled_ = false;
};

/// A coroutine of its own, so that what run() throws before its first frame is caught too.
Task<Result<AgentReply>> call(Agent* agent, TurnRequest request, DeltaSink* sink) {
  co_return co_await agent->run(std::move(request), *sink);
}
Task<Result<AgentReply>> guarded_call(Agent* agent, TurnRequest request, DeltaSink* sink) {
  return guarded("the agent", call(agent, std::move(request), sink));
}

/// The newest lines that were said, oldest first. Agents don't see what the gateway remarked; its
/// lines are walked over, up to as many again and some more.
Result<std::vector<HistoryRow>> said_before(StoreReader& reader, HistoryId from, HistoryId after,
                                            std::size_t most, std::size_t bytes) {
  std::vector<HistoryRow> said;  // newest first
  std::size_t rows = most * 2 + 50;
  for (HistoryId at = from; at > after && said.size() < most && rows > 0 && bytes > 0;) {
    const std::size_t ask = std::min(rows, most - said.size());
    auto lines = reader.history(at, after, ask, bytes);
    if (!lines) return lines.error();
    for (auto line = lines->rbegin(); line != lines->rend(); ++line) {
      bytes -= std::min(bytes, line->text.size());
      at = line->prev;
      if (line->kind == HistoryKind::kPerson || line->kind == HistoryKind::kAgent)
        said.push_back(std::move(*line));
    }
    if (lines->size() < ask) break;
    rows -= ask;
  }
  std::reverse(said.begin(), said.end());
  return said;
}

/// For Mutant::kTwoTurnsInALane: a call beside the running one.
class DeafSink : public DeltaSink {
  void delta(std::string_view) override {}
};
Task<void> second_call(Agent* agent, TurnRequest request) {
  DeafSink sink;
  request.turn.value += 1'000'000'000;
  const Result<AgentReply> ignored = co_await guarded_call(agent, std::move(request), &sink);
  (void)ignored;
}

}  // namespace

std::string TurnRequest::text() const {
  std::string all;
  for (const auto& message : messages) {
    if (!all.empty()) all.append("\n");
    all.append(message->text);
  }
  return all;
}

TurnRow Turns::new_turn(Lane& lane) {
  TurnRow row;
  row.id = TurnId{core_.next_id()};
  row.lane = lane.id;
  row.agent =
      lane.account->channel == nullptr ? std::string() : lane.account->channel->account().agent;
  row.started_at = core_.now();
  row.history_from = lane.committed_head;
  row.history_after = core_.head(lane).session_start;
  return row;
}

std::string Turns::session_of(const Lane& lane, const Messages& messages) const {
  std::string given = parse_extra(messages.back()->extra).session;
  if (!given.empty()) return given;
  return fmt::format("{}-{}", lane.id.value, core_.conversations.at(lane.slot).session_start.value);
}

TurnRow Turns::prepare(Lane& lane, const Waiting& message) {
  lane.busy = true;
  lane.running = std::make_unique<RunningTurn>(core_.loop);
  RunningTurn& running = *lane.running;
  running.row = new_turn(lane);
  running.row.messages = {message.id};
  running.since = core_.loop.now();
  return running.row;
}

void Turns::abandon(Lane& lane) {
  lane.running.reset();
  lane.busy = false;
  release(lane);
}

void Turns::run_accepted(Lane& lane, std::shared_ptr<const MessageRow> message) {
  lane.running->taken = {lanes_.take(lane, message->id)};
  lane.running->on_disk = true;
  Messages messages;
  messages.push_back(std::move(message));
  core_.tasks.spawn("turn", run(&lane, std::move(messages), true));
}

void Turns::start(Lane& lane) {
  lane.running = std::make_unique<RunningTurn>(core_.loop);
  RunningTurn& running = *lane.running;
  running.since = core_.loop.now();
  if (!lane.reopened.empty()) {
    OpenTurn open = std::move(lane.reopened.front());
    lane.reopened.pop_front();
    running.row = std::move(open.row);
    running.taken = std::move(open.taken);
    running.suspect = open.suspect;
    running.on_disk = true;
    if (running.row.state == TurnState::kStopped) open.decision = OpenTurn::Decision::kStop;
    if (open.decision == OpenTurn::Decision::kStop) {
      open.row = std::move(running.row);
      open.taken = std::move(running.taken);
      core_.tasks.spawn("end open", end_open(&lane, std::move(open), MessageOutcome::kStopped,
                                             "stopped before its next attempt", "Stopped."));
      return;
    }
    if (open.decision != OpenTurn::Decision::kRun) {
      const bool expired = open.decision == OpenTurn::Decision::kExpire;
      open.row = std::move(running.row);
      open.taken = std::move(running.taken);
      core_.tasks.spawn(
          "end open",
          end_open(&lane, std::move(open),
                   expired ? MessageOutcome::kDead : MessageOutcome::kDropped,
                   expired ? "nobody answered the question in time" : "dropped by the person",
                   expired ? "An interrupted request was given up. The operator can run it again."
                           : "Dropped."));
      return;
    }
    running.row.state = TurnState::kRunning;
    ++running.row.attempt;
    core_.counters.turns_retried.add();
  } else {
    running.taken = lanes_.take(lane);
    running.row = new_turn(lane);
    for (const Waiting& w : running.taken) running.row.messages.push_back(w.id);
  }
  core_.tasks.spawn("turn", run(&lane, {}, false));
}

bool Turns::stop(Lane& lane, StopReason why) {
  if (lane.busy) {
    if (lane.running == nullptr || lane.running->stop.is_set()) return false;
    lane.running->why = why;
    lane.running->stop.set();
    return true;
  }
  // Between two attempts there is nothing to cut off; there will be no other attempt.
  if (lane.reopened.empty()) return false;
  OpenTurn& open = lane.reopened.front();
  if (open.decision != OpenTurn::Decision::kRun) return false;
  open.decision = OpenTurn::Decision::kStop;
  open.row.not_before = UnixMillis{};
  open.suspect = false;
  const LaneId id = lane.id;
  const bool was_next = core_.suspect_running == id;
  std::erase(core_.suspects, id);
  core_.pump(lane);
  if (was_next) lanes_.suspect_done(id);
  return true;
}

std::optional<TurnRow> Turns::begin_stop(Lane& lane) {
  if (mutant(Mutant::kStopInMemory)) return std::nullopt;
  TurnRow row;
  if (lane.busy) {
    RunningTurn* running = lane.running.get();
    if (running == nullptr || !running->on_disk || running->ending || running->stop.is_set())
      return std::nullopt;
    running->stopping = true;
    row = running->row;
  } else {
    if (lane.reopened.empty() || lane.reopened.front().decision != OpenTurn::Decision::kRun)
      return std::nullopt;
    row = lane.reopened.front().row;
    lane.reopened.front().row.state = TurnState::kStopped;
  }
  row.state = TurnState::kStopped;
  return row;
}

void Turns::take_back_stop(Lane& lane, TurnId turn) {
  if (lane.running != nullptr && lane.running->row.id == turn) lane.running->stopping = false;
  for (OpenTurn& open : lane.reopened) {
    if (open.row.id == turn && open.row.state == TurnState::kStopped)
      open.row.state = TurnState::kRetry;
  }
}

void Turns::release(Lane& lane) {
  core_.slots.release(lane);
  core_.counters.running.set(core_.slots.running());
  lanes_.grant_slots();
}

void Turns::leave(Lane& lane) {
  const bool suspect = lane.running != nullptr && lane.running->suspect;
  const LaneId id = lane.id;
  if (lane.running != nullptr) {
    for (const Waiting& w : lane.running->taken) {
      core_.count_pending(*lane.account, w.person, w.bytes, -1);
      core_.bodies.forget(w.id);
    }
  }
  release(lane);
  lane.running.reset();
  lane.busy = false;
  if (suspect) lanes_.suspect_done(id);
  core_.pump(lane);
}

Task<Result<Turns::Messages>> Turns::load(Lane* lane) {
  Messages cached;
  for (const Waiting& w : lane->running->taken) {
    auto row = core_.bodies.take(w.id);
    if (row) cached.push_back(std::move(row));
  }
  if (cached.size() == lane->running->taken.size()) co_return cached;
  const std::vector<MessageId> ids = lane->running->row.messages;
  co_return co_await core_.store.read<Messages>(
      [ids](StoreReader& reader) { return reader.messages(ids); });
}

/// True if nothing is left to run; then it has been ended.
Task<bool> Turns::drop_expired(Lane* lane, Messages* messages) {
  if (!core_.clock->may_expire() || mutant(Mutant::kNoExpiry)) co_return false;
  Messages old;
  for (const auto& m : *messages) {
    const UnixMillis since =
        m->sent_at.ms != 0 ? std::min(m->sent_at, m->accepted_at) : m->accepted_at;
    if (core_.age(*lane->account, since, m->held_before_ms) > core_.options.expire_inbound)
      old.push_back(m);
  }
  if (old.empty()) co_return false;
  const bool tell = !lane->expiry_told && !mutant(Mutant::kExpireSilently);
  lane->expiry_told = true;
  Messages* kept = messages;
  const auto build = [this, lane, &old, tell] {
    Transaction t;
    for (const auto& m : old) {
      HistoryRow& line = core_.add_history(t.changes, *lane, HistoryKind::kPerson, m->text);
      line.message = m->id;
      line.author = m->sender;
      MessageEnd end;
      end.id = m->id;
      end.outcome = MessageOutcome::kExpired;
      end.reason = "older than expire_inbound";
      end.history = line.id;
      end.accepted_at = m->accepted_at;
      end.ended_at = core_.now();
      t.changes.ended.push_back(std::move(end));
    }
    if (!tell) return t;
    const std::string text = "Earlier messages were too old to be answered and have expired.";
    HistoryRow& line = core_.add_history(t.changes, *lane, HistoryKind::kNotice, text);
    line.message = old.front()->id;
    if (!lane->account->pull) {
      t.changes.parts.push_back(outbox_.make(*lane, {}, old.front()->id, 0, PartKind::kNotice, text,
                                             old.front()->reply_to));
    }
    return t;
  };
  std::vector<PartRow> parts;
  const auto build_and_keep = [&build, &parts] {
    Transaction t = build();
    parts = t.changes.parts;
    return t;
  };
  co_await core_.commit_surely(lane, build_and_keep);
  core_.counters.expired.add(old.size());
  core_.log.warn("messages_expired", {{"lane", lane->id.value}, {"count", old.size()}});
  core_.feeds.grew(lane->id, lane->committed_head);
  if (!parts.empty()) outbox_.add(*lane, std::move(parts));
  RunningTurn& running = *lane->running;
  for (const auto& m : old) {
    std::erase(*kept, m);
    std::erase(running.row.messages, m->id);
    const auto taken = std::find_if(running.taken.begin(), running.taken.end(),
                                    [&](const Waiting& w) { return w.id == m->id; });
    if (taken == running.taken.end()) continue;
    core_.count_pending(*lane->account, taken->person, taken->bytes, -1);
    running.taken.erase(taken);
  }
  co_return kept->empty();
}

Task<Result<std::vector<HistoryRow>>> Turns::load_history(Lane* lane, std::size_t wanted) {
  const HistoryId from = lane->running->row.history_from;
  const HistoryId after = lane->running->row.history_after;
  const std::size_t most = std::min<std::size_t>(wanted, core_.options.history_messages);
  if (most == 0 || from.value == 0 || from <= after) co_return std::vector<HistoryRow>();
  const std::size_t bytes = core_.options.history_bytes;
  using Rows = std::vector<HistoryRow>;
  co_return co_await core_.store.read<Rows>([from, after, most, bytes](StoreReader& reader) {
    return said_before(reader, from, after, most, bytes);
  });
}

Task<void> Turns::run(Lane* lane, Messages messages, bool on_disk) {
  if (messages.empty()) {
    Result<Messages> loaded = co_await load(lane);
    while (!loaded) {
      core_.log.error("message_read_failed",
                      {{"lane", lane->id.value}, {"error", loaded.error().to_string()}});
      co_await sleep_for(core_.loop, milliseconds(1'000));
      loaded = co_await load(lane);
    }
    messages = std::move(*loaded);
  }
  if (messages.empty()) {  // withdrawn or dropped by an operator meanwhile
    leave(*lane);
    co_return;
  }
  RunningTurn& running = *lane->running;
  if (!on_disk && running.row.attempt == 1) {
    const bool nothing_left = co_await drop_expired(lane, &messages);
    if (nothing_left) {
      leave(*lane);
      co_return;
    }
  }
  if (!on_disk && !mutant(Mutant::kAttemptChargedLate)) {
    co_await core_.commit_surely(nullptr, [&running] {
      Transaction t;
      t.changes.turns.push_back(running.row);
      running.on_disk = true;
      return t;
    });
  }
  running.request_id = parse_extra(messages.front()->extra).request_id;
  if (running.request_id.empty())
    running.request_id = fmt::format("{}", messages.front()->id.value);
  running.session = session_of(*lane, messages);
  core_.feeds.begin_attempt(lane->id, running.row.id, running.row.attempt);
  core_.feeds.phase(lane->id, FeedPhase{running.row.id, messages.front()->id, TurnPhase::kRunning});
  std::optional<Error> failure;
  Ending ending = co_await call_agent(lane, messages, &failure);
  release(*lane);
  if (mutant(Mutant::kAttemptChargedLate) && !on_disk) {
    co_await core_.commit_surely(nullptr, [&running] {
      Transaction t;
      t.changes.turns.push_back(running.row);
      return t;
    });
  }
  if (failure) {
    const bool again =
        failure->retry().allowed() && running.row.attempt < core_.options.max_turn_attempts;
    if (again) {
      co_await try_again_later(lane, std::move(*failure));
      co_return;
    }
    ending = ending_of(*failure, failure->retry().allowed(), *lane);
  }
  co_await finish(lane, std::move(messages), std::move(ending));
}

Task<Turns::Ending> Turns::call_agent(Lane* lane, Messages messages,
                                      std::optional<Error>* failure) {
  RunningTurn& running = *lane->running;
  Ending ending;
  const auto found = core_.agents.find(running.row.agent);
  if (found == core_.agents.end()) {
    *failure =
        Error(ErrorKind::kUnavailable, "agent \"" + running.row.agent + "\" is not configured");
    co_return ending;
  }
  Agent& agent = *found->second->agent;
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
  request.session = running.session;
  request.projects = parse_extra(messages.back()->extra).projects;
  request.messages = messages;
  Result<std::vector<HistoryRow>> history =
      co_await load_history(lane, agent.info().history_messages);
  if (!history) {
    *failure = history.error();
    co_return ending;
  }
  request.history = std::move(*history);
  BoundedSink sink(core_, *lane, running);
  if (mutant(Mutant::kTwoTurnsInALane)) core_.tasks.spawn("second", second_call(&agent, request));
  const milliseconds limit = std::min(core_.options.turn_timeout, agent.info().timeout);
  running.agent_active = true;
  Outcome<Result<AgentReply>> outcome =
      co_await run_until(core_.loop, guarded_call(&agent, std::move(request), &sink),
                         core_.loop.now() + limit, &running.stop);
  running.agent_active = false;
  if (outcome.ended == Ended::kDone && outcome.value->has_value() && !sink.over) {
    AgentReply& reply = outcome.value->value();
    if (reply.text.empty()) {
      *failure = Error(ErrorKind::kBadResponse, "the agent answered nothing", ErrorSource::kPeer);
      co_return ending;
    }
    ending.text = std::move(reply.text);
    ending.meta = std::move(reply.meta);
    if (ending.meta && ending.meta->session.empty()) ending.meta->session = running.session;
    if (ending.text.size() > core_.options.reply_bytes_max) {
      ending.text.resize(utf8_floor(ending.text, core_.options.reply_bytes_max));
      sink.over = true;
    }
    if (!is_utf8(ending.text)) {
      *failure =
          Error(ErrorKind::kBadResponse, "the agent's answer is not UTF-8", ErrorSource::kPeer);
      co_return ending;
    }
  } else if (outcome.ended == Ended::kDone && !sink.over) {
    *failure = outcome.value->error();
    co_return ending;
  } else if (outcome.ended == Ended::kDeadline) {
    *failure = Error(ErrorKind::kTimeout, fmt::format("no answer within {} ms", limit.count()),
                     ErrorSource::kPeer);
    co_return ending;
  } else {
    ending.text = std::string(core_.feeds.streamed(lane->id));
    if (mutant(Mutant::kStopForgetsText)) ending.text.clear();
  }
  if (sink.over) {
    ending.cut = true;
    ending.notice = "The answer was too long and has been cut off.";
    ending.reason = "reply_bytes_max";
  } else if (outcome.ended == Ended::kStopped) {
    ending.cut = true;
    ending.outcome = MessageOutcome::kStopped;
    ending.reason = running.why == StopReason::kNewer      ? "interrupted by a newer message"
                    : running.why == StopReason::kOperator ? "stopped by the operator"
                                                           : "stopped by the person";
    if (ending.text.empty()) ending.notice = "Stopped.";
  }
  co_return ending;
}

Turns::Ending Turns::ending_of(const Error& error, bool attempts_used_up, Lane& lane) {
  const UserError user = classify(error);
  Ending ending;
  ending.outcome = attempts_used_up ? MessageOutcome::kDead : MessageOutcome::kFailed;
  ending.reason = error.to_string();
  ending.notice = lane.account->channel != nullptr
                      ? lane.account->channel->formatter().notice(user.text, user.suggestion)
                      : std::string(user.text);
  ending.meta.emplace();
  ending.meta->error = user.kind;
  ending.meta->session = lane.running->session;
  // What was streamed stays with the person's eyes; the log keeps it too, marked.
  ending.text = std::string(core_.feeds.streamed(lane.id));
  ending.cut = !ending.text.empty();
  if (mutant(Mutant::kSilentFailure)) ending.notice.clear();
  return ending;
}

Task<void> Turns::try_again_later(Lane* lane, Error error) {
  RunningTurn& running = *lane->running;
  const auto doubled = core_.options.retry_backoff.count()
                       << std::min(running.row.attempt - 1, 10u);
  const milliseconds backoff(
      std::min<std::int64_t>(doubled, core_.options.retry_backoff_max.count()));
  const milliseconds wait = std::max(backoff, error.retry().delay);
  // With a /stop on its way to the disk there will be no other attempt.
  running.row.state = running.stopping ? TurnState::kStopped : TurnState::kRetry;
  running.row.not_before = running.stopping ? UnixMillis{} : core_.now() + wait;
  const TurnRow row = running.row;
  core_.log.warn("turn_retry", {{"turn", row.id.value},
                                {"lane", lane->id.value},
                                {"attempt", row.attempt},
                                {"wait_ms", wait.count()},
                                {"error", error.to_string()}});
  co_await core_.commit_surely(nullptr, [&row] {
    Transaction t;
    t.changes.turns.push_back(row);
    return t;
  });
  core_.feeds.phase(lane->id, FeedPhase{row.id, row.messages.front(), TurnPhase::kRetrying});
  OpenTurn open;
  open.row = row;
  open.taken = std::move(running.taken);
  const bool suspect = running.suspect;
  const LaneId id = lane->id;
  lane->running.reset();
  lane->busy = false;
  lane->reopened.push_front(std::move(open));
  if (suspect) lanes_.suspect_done(id);
  core_.pump(*lane);
}

bool Turns::may_claim_now(const Lane& lane) const {
  const Account& account = *lane.account;
  return lane.out.empty() && !lane.delivering && account.may_send() && !mutant(Mutant::kNoClaim) &&
         account.row.not_before <= core_.now();
}

Transaction Turns::build_end(Lane& lane, const TurnRow& turn, const Messages& messages,
                             const Ending& ending, bool claim_first) {
  Transaction t;
  Changes& c = t.changes;
  c.turns_ended.push_back(turn.id);
  const UnixMillis now = core_.now();
  for (const auto& m : messages) {
    HistoryRow& line = core_.add_history(c, lane, HistoryKind::kPerson, m->text);
    line.message = m->id;
    line.turn = turn.id;
    line.author = m->sender;
    MessageEnd end;
    end.id = m->id;
    end.outcome = ending.outcome;
    end.reason = ending.reason;
    end.turn = turn.id;
    end.attempts = turn.attempt;
    end.history = line.id;
    end.accepted_at = m->accepted_at;
    end.started_at = turn.started_at;
    end.ended_at = now;
    if (mutant(Mutant::kMergedStayPending) && m != messages.front()) continue;
    c.ended.push_back(std::move(end));
  }
  std::string meta;
  if (ending.meta) {
    ResponseMeta full = *ending.meta;
    full.duration_ms = (now - messages.front()->accepted_at).count();
    meta = to_json(full);
  }
  const Formatter plain;
  const Channel* channel = lane.account->channel.get();
  const Formatter& formatter = channel != nullptr ? channel->formatter() : plain;
  if (!ending.text.empty()) {
    HistoryRow& line = core_.add_history(c, lane, HistoryKind::kAgent, ending.text);
    line.turn = turn.id;
    line.cut = ending.cut;
    line.meta = meta;
  }
  if (!ending.notice.empty()) {
    HistoryRow& line = core_.add_history(c, lane, HistoryKind::kNotice, ending.notice);
    line.turn = turn.id;
    line.n = kEndNotice;
    line.meta = ending.text.empty() ? meta : std::string();
  }
  if (lane.account->pull) return t;
  if (!ending.text.empty()) {
    const std::string text = ending.cut ? ending.text + "\n[cut off]" : ending.text;
    std::uint32_t n = 0;
    for (std::string& piece : formatter.reply(text, lane.account->part_bytes_max)) {
      c.parts.push_back(outbox_.make(lane, turn.id, {}, n++, PartKind::kReply, std::move(piece),
                                     messages.back()->reply_to));
    }
    c.parts.back().meta = meta;
  }
  if (!ending.notice.empty()) {
    c.parts.push_back(outbox_.make(lane, turn.id, {}, kEndNotice, PartKind::kNotice, ending.notice,
                                   messages.back()->reply_to));
    if (ending.text.empty()) c.parts.back().meta = meta;
  }
  if (claim_first && !c.parts.empty()) {
    c.parts.front().claimed_by = core_.generation;
    c.parts.front().claimed_at = now;
  }
  return t;
}

Task<void> Turns::finish(Lane* lane, Messages messages, Ending ending) {
  RunningTurn& running = *lane->running;
  running.ending = true;
  std::vector<PartRow> parts;
  const Messages* all = &messages;
  const Ending* how = &ending;
  const auto build = [this, lane, &running, all, how, &parts] {
    Transaction t = build_end(*lane, running.row, *all, *how, may_claim_now(*lane));
    parts = t.changes.parts;
    if (mutant(Mutant::kPartsAfterTurn)) t.changes.parts.clear();
    return t;
  };
  co_await core_.commit_surely(lane, build);
  if (mutant(Mutant::kPartsAfterTurn) && !parts.empty()) {
    co_await core_.commit_surely(nullptr, [&parts] {
      Transaction t;
      t.changes.parts = parts;
      return t;
    });
  }
  const UnixMillis now = core_.now();
  const milliseconds took = now - messages.front()->accepted_at;
  core_.counters.turns.add();
  core_.counters.turn_seconds.observe(static_cast<double>(took.count()) / 1000.0);
  if (ending.outcome == MessageOutcome::kDead) core_.counters.dead.add(messages.size());
  if (ending.outcome == MessageOutcome::kFailed || ending.outcome == MessageOutcome::kDead) {
    core_.counters.turns_failed.add();
    core_.log.warn("turn_failed", {{"account", lane->account->row.name},
                                   {"turn", running.row.id.value},
                                   {"lane", lane->id.value},
                                   {"attempt", running.row.attempt},
                                   {"request_id", running.request_id},
                                   {"error", ending.reason}});
  }
  core_.log.info(
      "turn_ended",
      {{"account", lane->account->row.name},
       {"turn", running.row.id.value},
       {"lane", lane->id.value},
       {"message", messages.front()->id.value},
       {"request_id", running.request_id},
       {"phase", ending.meta ? std::string_view(ending.meta->phase) : std::string_view()},
       {"seed", ending.meta ? std::string_view(ending.meta->seed) : std::string_view()},
       {"duration_ms", took.count()},
       {"bytes", ending.text.size()}});
  core_.feeds.end_turn(lane->id);
  core_.feeds.grew(lane->id, lane->committed_head);
  core_.feeds.phase(lane->id, FeedPhase{running.row.id, messages.front()->id, TurnPhase::kEnded});
  if (!parts.empty()) outbox_.add(*lane, std::move(parts));
  leave(*lane);
}

void Turns::start_command(Lane& lane) { core_.tasks.spawn("command", run_command(&lane)); }

Task<void> Turns::run_command(Lane* lane) {
  lane->running = std::make_unique<RunningTurn>(core_.loop);
  lane->running->taken = lanes_.take(*lane);
  for (const Waiting& w : lane->running->taken) lane->running->row.messages.push_back(w.id);
  Result<Messages> loaded = co_await load(lane);
  while (!loaded) {
    co_await sleep_for(core_.loop, milliseconds(1'000));
    loaded = co_await load(lane);
  }
  if (!loaded->empty()) {
    const std::shared_ptr<const MessageRow> message = loaded->front();
    std::vector<PartRow> parts;
    HistoryId start;
    const auto build = [this, lane, message, &parts, &start] {
      Transaction t;
      HistoryRow& asked = core_.add_history(t.changes, *lane, HistoryKind::kCommand, message->text);
      asked.message = message->id;
      asked.author = message->sender;
      MessageEnd end;
      end.id = message->id;
      end.outcome = MessageOutcome::kHandled;
      end.history = asked.id;
      end.accepted_at = message->accepted_at;
      end.started_at = end.ended_at = core_.now();
      t.changes.ended.push_back(std::move(end));
      const std::string text = "A new conversation starts here.";
      HistoryRow& line = core_.add_history(t.changes, *lane, HistoryKind::kAnswer, text);
      line.message = message->id;
      start = line.id;
      t.changes.sessions.emplace_back(lane->id, start);
      if (!lane->account->pull) {
        t.changes.parts.push_back(
            outbox_.make(*lane, {}, message->id, 0, PartKind::kAnswer, text, message->reply_to));
      }
      parts = t.changes.parts;
      return t;
    };
    co_await core_.commit_surely(lane, build);
    core_.head(*lane).session_start = start;
    core_.feeds.grew(lane->id, lane->committed_head);
    if (!parts.empty()) outbox_.add(*lane, std::move(parts));
  }
  leave(*lane);
}

}  // namespace sluice
