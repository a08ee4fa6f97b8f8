#include "gateway/turns.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/mutant.h"
#include "gateway/message_json.h"

namespace sluice {
namespace {

constexpr milliseconds kReadAgain{1'000};  // after a read that failed

}  // namespace

std::string TurnRequest::text() const {
  std::string all;
  for (const auto& message : messages) {
    if (!all.empty()) all.append("\n");
    all.append(message->text);
  }
  return all;
}

TurnRow Turns::new_turn(Lane& lane, std::uint32_t target) {
  TurnRow row;
  row.id = TurnId{core_.next_id()};
  row.lane = lane.id;
  row.agent = lanes_.agent_of(lane, target);
  row.started_at = core_.now();
  row.history_from = lane.committed_head;
  row.history_after = core_.head(lane).session_start;
  return row;
}

std::string Turns::session_of(const Lane& lane, const Messages& messages) const {
  std::string given = parse_extra(messages.back()->extra).session;
  if (!given.empty()) return given;
  const HistoryId begun = lane.running->new_session;
  const HistoryId start = begun ? begun : core_.conversations.at(lane.slot).session_start;
  return std::to_string(lane.id.value) + '-' + std::to_string(start.value);
}

void Turns::name_turn(Lane& lane, const Messages& messages) {
  RunningTurn& running = *lane.running;
  running.request_id = parse_extra(messages.front()->extra).request_id;
  if (running.request_id.empty()) running.request_id = std::to_string(messages.front()->id.value);
  running.guard.set_request_id(running.request_id);
  running.session = session_of(lane, messages);
}

TurnRow Turns::prepare(Lane& lane, const Waiting& message) {
  lane.busy = true;
  lane.running = core_.begin_turn(lane);
  RunningTurn& running = *lane.running;
  running.row = new_turn(lane, message.target);
  running.row.messages = {message.id};
  running.agent = core_.agent(running.row.agent);
  running.since = core_.loop.now();
  return running.row;
}

void Turns::abandon(Lane& lane) {
  if (lane.running->stopping) {
    // The /stop's transaction, behind the one that came to nothing, has brought its row.
    core_.tasks.spawn("remove turn", remove(lane.running->row));
  }
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
  lane.running = core_.begin_turn(lane);
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
    running.row = new_turn(lane, running.taken.empty() ? 0 : running.taken.front().target);
    for (const Waiting& w : running.taken) running.row.messages.push_back(w.id);
  }
  running.agent = core_.agent(running.row.agent);
  core_.tasks.spawn("turn", run(&lane, {}, false));
}

bool Turns::stop(Lane& lane, StopReason why) {
  if (lane.parked != nullptr) {
    lane.reopened.push_front(unpark(lane));
    lane.busy = false;
  }
  if (lane.busy) {
    if (lane.running == nullptr || lane.running->stop.is_set()) return false;
    lane.running->why = why;
    lane.running->cut();
    return true;
  }
  // Between two attempts there is nothing to cut off; there will be no other attempt.
  if (lane.reopened.empty()) return false;
  OpenTurn& open = lane.reopened.front();
  if (open.decision != OpenTurn::Decision::kRun) return false;
  open.decision = OpenTurn::Decision::kStop;
  open.row.not_before = UnixMillis{};
  const bool suspect = std::exchange(open.suspect, false);
  core_.pump(lane);
  if (suspect) lanes_.suspect_done(lane.id);
  return true;
}

std::optional<TurnRow> Turns::begin_stop(Lane& lane) {
  if (mutant(Mutant::kStopInMemory)) return std::nullopt;
  TurnRow row;
  if (lane.parked != nullptr) {
    row = lane.parked->row;
    lane.parked->row.state = TurnState::kStopped;
  } else if (lane.busy) {
    RunningTurn* running = lane.running.get();
    if (running == nullptr || running->ending || running->stop.is_set()) return std::nullopt;
    if (!running->row.id) return std::nullopt;  // a command: it ends by itself
    // One whose first row has not been written yet, too: a hand-over would find its message only.
    running->stopping = true;
    row = running->row;
  } else {
    if (lane.reopened.empty() || lane.reopened.front().decision != OpenTurn::Decision::kRun)
      return std::nullopt;
    row = lane.reopened.front().row;
    lane.reopened.front().row.state = TurnState::kStopped;
  }
  row.state = TurnState::kStopped;
  row.not_before = UnixMillis{};  // nothing is waited for any more
  return row;
}

void Turns::take_back_stop(Lane& lane, TurnId turn) {
  if (lane.running != nullptr && lane.running->row.id == turn) {
    lane.running->stopping = false;
    if (!lane.running->agent_active) lane.running->stop.pulse();
  }
  if (lane.parked != nullptr && lane.parked->row.id == turn)
    lane.parked->row.state = TurnState::kParked;
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
  core_.turns_changed.pulse();
  lane.busy = false;
  if (suspect) lanes_.suspect_done(id);
  core_.pump(lane);
}

Task<void> Turns::remove(TurnRow row) {
  co_await core_.commit_surely(nullptr, [&row] {
    Transaction t;
    // Whether the /stop has brought the row, too, is known to the store alone.
    t.changes.turns.push_back(row);
    t.changes.turns_ended.push_back(row.id);
    return t;
  });
}

Task<void> Turns::stop_settled(RunningTurn* running) {
  while (running->stopping && !running->stop.is_set()) co_await running->stop.wait();
}

Task<void> Turns::leave_without_messages(Lane* lane) {
  RunningTurn& running = *lane->running;
  co_await stop_settled(&running);
  if (running.on_disk || running.stopping) co_await remove(running.row);
  leave(*lane);
}

Task<Result<Turns::Messages>> Turns::try_load(Lane* lane) {
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

Task<Turns::Messages> Turns::load(Lane* lane) {
  for (;;) {
    Result<Messages> loaded = co_await try_load(lane);
    if (loaded) co_return std::move(*loaded);
    core_.log.error("message_read_failed",
                    {{"lane", lane->id.value}, {"error", loaded.error().to_string()}});
    co_await sleep_for(core_.loop, kReadAgain);
  }
}

std::optional<std::string_view> Turns::count_in_budget(Lane& lane, const Messages& messages) {
  const Channel* channel = lane.account->channel.get();
  if (channel == nullptr || !Budgets::bounds(channel->account())) return std::nullopt;
  const AccountOptions& options = channel->account();
  const std::uint64_t person =
      person_of(core_.hash_key, lane.account->row.name, messages.front()->sender);
  const auto gone =
      core_.budgets.begin_turn(options, person, local_day(options.session.time_zone, core_.now()));
  lane.running->budgeted = !gone;
  return gone;
}

std::optional<Turns::Ending> Turns::over_budget(Lane& lane, const Messages& messages) {
  RunningTurn& running = *lane.running;
  // What this process has counted already is another attempt of the same turn.
  if (running.row.attempt > 1 && !running.suspect) return std::nullopt;
  const auto gone = count_in_budget(lane, messages);
  if (!gone) return std::nullopt;
  const Channel* channel = lane.account->channel.get();
  core_.counters.over_budget.add();
  Ending ending;
  ending.outcome = MessageOutcome::kFailed;
  ending.reason = fmt::format("the person's budget of {} for today is used up", *gone);
  ending.notice = channel->formatter().notice(fmt::format("Today's limit of {} is reached.", *gone),
                                              "Please come back tomorrow.");
  ending.meta.emplace();
  ending.meta->error = "budget";
  ending.meta->session = running.session;
  return ending;
}

Task<void> Turns::run(Lane* lane, Messages messages, bool on_disk) {
  if (messages.empty()) messages = co_await load(lane);
  if (messages.empty()) {  // withdrawn or dropped by an operator meanwhile
    co_await leave_without_messages(lane);
    co_return;
  }
  RunningTurn& running = *lane->running;
  if (!on_disk && running.row.attempt == 1) {
    const bool nothing_left = co_await drop_expired(lane, &messages);
    if (nothing_left) {
      co_await leave_without_messages(lane);
      co_return;
    }
  }
  if (!on_disk) {
    co_await stop_settled(&running);
    if (running.stop.is_set()) {  // the attempt's row would undo what the /stop has written
      name_turn(*lane, messages);
      Ending ending = stopped(*lane);
      release(*lane);
      co_await finish(lane, std::move(messages), std::move(ending));
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
  name_turn(*lane, messages);
  if (std::optional<Ending> refused = over_budget(*lane, messages)) {
    release(*lane);
    co_await finish(lane, std::move(messages), std::move(*refused));
    co_return;
  }
  core_.feeds.begin_attempt(lane->id, running.row.id, running.row.attempt);
  core_.feeds.phase(lane->id, FeedPhase{running.row.id, messages.front()->id, TurnPhase::kRunning});
  Ending ending;
  std::optional<Error> failure = co_await call_agent(lane, messages);
  if (!failure) ending = co_await hear(lane, &failure);
  release(*lane);
  if (mutant(Mutant::kAttemptChargedLate) && !on_disk) {
    co_await core_.commit_surely(nullptr, [&running] {
      Transaction t;
      t.changes.turns.push_back(running.row);
      return t;
    });
  }
  co_await conclude(lane, std::move(messages), std::move(ending), std::move(failure));
}

void Turns::start_command(Lane& lane) { core_.tasks.spawn("command", run_command(&lane)); }

Task<void> Turns::run_command(Lane* lane) {
  lane->running = core_.begin_turn(*lane);
  lane->running->taken = lanes_.take(*lane);
  for (const Waiting& w : lane->running->taken) lane->running->row.messages.push_back(w.id);
  const Messages messages = co_await load(lane);
  if (!messages.empty()) {
    const std::shared_ptr<const MessageRow> message = messages.front();
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
