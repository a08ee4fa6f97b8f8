// What becomes of turns that a crash interrupted (C13, C14), and of those that wait for a word.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/mutant.h"
#include "gateway/classify.h"
#include "gateway/turns.h"

namespace sluice {

void Turns::resume(Lane& lane, OpenTurn open) {
  lane.busy = true;
  lane.running = core_.begin_turn(lane);
  RunningTurn& running = *lane.running;
  running.row = std::move(open.row);
  running.taken = std::move(open.taken);
  running.on_disk = running.from_before = true;
  running.call = core_.calls.take(running.row.id, running.row.attempt);
  running.since = running.call->since;
  const TurnMemory& memory = running.call->memory;
  running.new_session = memory.new_session;
  running.summarise = memory.summarise;
  running.session = memory.session;
  running.suspect = memory.suspect;
  core_.tasks.spawn("turn", run_on(&lane));
}

void Turns::hold_slot(Lane& lane, const OpenTurn& open, const AgentCall& call) {
  core_.slots.take_over(lane, lane.account->row.name,
                        open.taken.empty() ? 0 : open.taken.front().person,
                        lanes_.limits_of(open.row.agent));
  core_.counters.running.set(core_.slots.running());
  if (!call.memory.suspect) return;
  core_.suspect_running = lane.id;
  core_.suspects.push_front(lane.id);  // as if it had been granted its slot here
}

Task<void> Turns::run_on(Lane* lane) {
  RunningTurn& running = *lane->running;
  Messages messages = co_await load(lane);
  if (messages.empty()) {
    co_await leave_without_messages(lane);
    co_return;
  }
  const std::string session = std::exchange(running.session, {});
  name_turn(*lane, messages);
  if (!session.empty()) running.session = session;
  (void)count_in_budget(*lane, messages);  // it was let through when it began
  core_.feeds.begin_attempt(lane->id, running.row.id, running.row.attempt);
  core_.feeds.phase(lane->id, FeedPhase{running.row.id, messages.front()->id, TurnPhase::kRunning});
  std::optional<Error> failure;
  Ending ending = co_await hear(lane, &failure);
  release(*lane);
  if (!ending.lost) {
    co_await conclude(lane, std::move(messages), std::move(ending), std::move(failure));
    co_return;
  }
  OpenTurn open;
  open.row = running.row;
  open.taken = std::move(running.taken);
  // With a /stop on its way to the disk there will be no other attempt.
  const bool stopping = running.stopping;
  if (running.suspect) lanes_.suspect_done(lane->id);
  lane->running.reset();
  core_.turns_changed.pulse();
  lane->busy = false;
  if (stopping) {
    open.row.state = TurnState::kStopped;
    lane->reopened.push_front(std::move(open));
  } else {
    recover(*lane, std::move(open));
  }
  lanes_.start_suspects();
  core_.pump(*lane);
}

void Turns::start_again(Lane& lane, OpenTurn open) {
  if (open.row.state == TurnState::kRunning) {
    --open.row.attempt;  // it has not been made
    open.row.state = TurnState::kRetry;
  }
  lane.reopened.push_front(std::move(open));
}

void Turns::recover(Lane& lane, OpenTurn open) {
  core_.counters.turns_interrupted.add();
  const std::shared_ptr<Agent> agent = core_.agent(open.row.agent);
  const OnInterrupt rule = agent == nullptr                     ? OnInterrupt::kFail
                           : mutant(Mutant::kIgnoreOnInterrupt) ? OnInterrupt::kRerun
                                                                : agent->info().on_interrupt;
  core_.log.warn("turn_interrupted", {{"turn", open.row.id.value},
                                      {"lane", lane.id.value},
                                      {"attempt", open.row.attempt},
                                      {"rule", static_cast<int>(rule)}});
  const bool used_up =
      open.row.attempt >= core_.options.max_turn_attempts && !mutant(Mutant::kAttemptsUnbounded);
  if (rule == OnInterrupt::kFail || used_up) {
    lane.busy = true;
    const UserError user = classify(Error(ErrorKind::kInternal));
    core_.tasks.spawn(
        "end interrupted",
        end_open(&lane, std::move(open), used_up ? MessageOutcome::kDead : MessageOutcome::kFailed,
                 used_up ? "interrupted by a crash, attempts used up" : "interrupted by a crash",
                 std::string("The gateway was interrupted while it worked on this. ") +
                     std::string(user.suggestion)));
    return;
  }
  if (rule == OnInterrupt::kAsk) {
    lane.busy = true;
    core_.tasks.spawn("ask", ask(&lane, std::move(open)));
    return;
  }
  open.suspect = true;
  open.row.state = TurnState::kRetry;
  const std::uint32_t attempt = open.row.attempt;
  lane.reopened.push_front(std::move(open));
  // Fewest attempts first: the innocent get through before the one that may kill us again.
  const auto at = std::find_if(core_.suspects.begin(), core_.suspects.end(), [&](LaneId id) {
    const Lane* other = lanes_.active(id);
    return other != nullptr && !other->reopened.empty() &&
           other->reopened.front().row.attempt > attempt;
  });
  core_.suspects.insert(at, lane.id);
}

Task<void> Turns::end_open(Lane* lane, OpenTurn open, MessageOutcome outcome, std::string reason,
                           std::string notice) {
  lane->running = core_.begin_turn(*lane);
  lane->running->row = std::move(open.row);
  lane->running->taken = std::move(open.taken);
  lane->running->suspect = open.suspect;  // leave() lets the next one run
  Messages messages = co_await load(lane);
  if (messages.empty()) {
    co_await leave_without_messages(lane);
    co_return;
  }
  Ending ending;
  ending.outcome = outcome;
  ending.reason = std::move(reason);
  ending.notice = std::move(notice);
  if (outcome == MessageOutcome::kStopped) {
    // What the last attempt showed before it failed is what the person saw (C16).
    ending.text = std::string(core_.feeds.streamed(lane->id));
    ending.cut = !ending.text.empty();
    if (ending.cut) ending.notice.clear();
  }
  if (outcome == MessageOutcome::kFailed || outcome == MessageOutcome::kDead) {
    ending.meta.emplace();
    ending.meta->error = "interrupted";
    ending.meta->session = session_of(*lane, messages);
  }
  co_await finish(lane, std::move(messages), std::move(ending));
}

Task<void> Turns::ask(Lane* lane, OpenTurn open) {
  open.row.state = TurnState::kAsking;
  const TurnRow row = open.row;
  const std::string text =
      "I was interrupted while working on your last message. Send /retry to let me try again, or "
      "/drop to "
      "leave it.";
  std::vector<PartRow> parts;
  // Where to: the message knows.
  lane->running = core_.begin_turn(*lane);
  lane->running->row = row;
  lane->running->taken = open.taken;
  const Messages messages = co_await load(lane);
  const std::string reply_to = messages.empty() ? std::string() : messages.front()->reply_to;
  const auto build = [this, lane, &row, &text, &reply_to, &parts] {
    Transaction t;
    t.changes.turns.push_back(row);
    HistoryRow& line = core_.add_history(t.changes, *lane, HistoryKind::kNotice, text);
    line.turn = row.id;
    line.message = row.messages.front();
    if (!lane->account->pull) {
      t.changes.parts.push_back(outbox_.make(*lane, {}, row.messages.front(), 100 + row.attempt,
                                             PartKind::kNotice, text, reply_to));
    }
    parts = t.changes.parts;
    return t;
  };
  co_await core_.commit_surely(lane, build);
  core_.feeds.grew(lane->id, lane->committed_head);
  core_.feeds.phase(lane->id, FeedPhase{row.id, row.messages.front(), TurnPhase::kAsking});
  open.row = row;
  wait_for_decision(*lane, std::move(open));
  if (!parts.empty()) outbox_.add(*lane, std::move(parts));
  lane->running.reset();
  lane->busy = false;
  core_.pump(*lane);
}

void Turns::wait_for_decision(Lane& lane, OpenTurn open) {
  ++lane.users;
  core_.asking.emplace(lane.id, std::move(open));
}

OpenTurn* Turns::undecided(LaneId lane) {
  const auto [first, last] = core_.asking.equal_range(lane);
  for (auto it = first; it != last; ++it) {
    if (!it->second.decided) return &it->second;
  }
  return nullptr;
}

TurnRow Turns::begin_decision(OpenTurn& open, OpenTurn::Decision decision) {
  open.decided = true;
  TurnRow row = open.row;
  row.state = decision == OpenTurn::Decision::kRun ? TurnState::kRetry : TurnState::kDropped;
  row.not_before = UnixMillis{};
  return row;
}

void Turns::take_back_decision(LaneId lane, TurnId turn) {
  const auto [first, last] = core_.asking.equal_range(lane);
  for (auto it = first; it != last; ++it) {
    if (it->second.row.id == turn) it->second.decided = false;
  }
}

void Turns::decide(Lane& lane, TurnId turn, OpenTurn::Decision decision) {
  const auto [first, last] = core_.asking.equal_range(lane.id);
  const auto found =
      std::find_if(first, last, [turn](const auto& entry) { return entry.second.row.id == turn; });
  if (found == last) return;
  OpenTurn open = std::move(found->second);
  core_.asking.erase(found);
  --lane.users;
  open.row.state = TurnState::kRetry;
  open.row.not_before = UnixMillis{};
  open.decision = decision;
  // It may be what killed us: it runs as a suspect (C14).
  open.suspect = decision == OpenTurn::Decision::kRun;
  if (open.suspect) core_.suspects.push_back(lane.id);
  lane.reopened.push_back(std::move(open));
  core_.pump(lane);
}

void Turns::expire_questions() {
  if (!core_.clock->may_expire()) return;
  const UnixMillis now = core_.now();
  std::vector<std::pair<LaneId, TurnId>> old;
  for (const auto& [id, open] : core_.asking) {
    const bool too_old = now - open.row.started_at > core_.options.expire_question;
    if (too_old && !open.decided) old.emplace_back(id, open.row.id);
  }
  for (const auto& [id, turn] : old) {
    if (Lane* lane = lanes_.active(id)) decide(*lane, turn, OpenTurn::Decision::kExpire);
  }
}

}  // namespace sluice
