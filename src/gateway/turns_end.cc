// How turns end: in one transaction with all that belongs to it (C12), or in another attempt.

#include <algorithm>

#include <fmt/core.h>

#include "base/mutant.h"
#include "gateway/classify.h"
#include "gateway/message_json.h"
#include "gateway/turns.h"

namespace sluice {
namespace {

// Numbers of a turn's own notices, apart from the parts of its reply and from the outbox's notices.
constexpr std::uint32_t kEndNotice = 500'000;

}  // namespace

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
      line.meta = line_meta(m->extra);
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

Task<void> Turns::conclude(Lane* lane, Messages messages, Ending ending,
                           std::optional<Error> failure) {
  if (ending.parked_for) {
    co_await park(lane, std::move(messages), *ending.parked_for);
    co_return;
  }
  if (failure) {
    const bool again =
        failure->retry().allowed() && lane->running->row.attempt < core_.options.max_turn_attempts;
    if (again) {
      co_await try_again_later(lane, std::move(*failure));
      co_return;
    }
    ending = ending_of(*failure, failure->retry().allowed(), *lane);
  }
  co_await finish(lane, std::move(messages), std::move(ending));
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
  core_.turns_changed.pulse();
  lane->busy = false;
  lane->reopened.push_front(std::move(open));
  if (suspect) lanes_.suspect_done(id);
  core_.pump(*lane);
}

bool Turns::may_claim_now(const Lane& lane) const {
  const Account& account = *lane.account;
  return lane.out.empty() && !lane.delivering && account.may_send() && !core_.sends_rest &&
         !mutant(Mutant::kNoClaim) && account.row.not_before <= core_.now();
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
    line.meta = line_meta(m->extra);
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

std::optional<std::pair<std::string, std::string>> Turns::used_up(const Lane& lane,
                                                                  const Messages& messages,
                                                                  const Ending& ending) {
  const Channel* channel = lane.account->channel.get();
  if (channel == nullptr || !lane.running->budgeted) return std::nullopt;
  const AccountOptions& options = channel->account();
  return core_.budgets.end_turn(
      options, person_of(core_.hash_key, lane.account->row.name, messages.front()->sender),
      local_day(options.session.time_zone, core_.now()), ending.usage);
}

Task<void> Turns::finish(Lane* lane, Messages messages, Ending ending) {
  RunningTurn& running = *lane->running;
  running.ending = true;
  core_.turns_changed.pulse();
  std::vector<PartRow> parts;
  const Messages* all = &messages;
  const Ending* how = &ending;
  const auto used = used_up(*lane, messages, ending);
  const auto build = [this, lane, &running, all, how, &used, &parts] {
    Transaction t = build_end(*lane, running.row, *all, *how, may_claim_now(*lane));
    // Cut off before its first row was written; a /stop may have brought it.
    if (!running.on_disk) t.changes.turns.push_back(running.row);
    if (running.new_session) t.changes.sessions.emplace_back(lane->id, running.new_session);
    if (used) t.changes.marks.push_back(*used);
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
  if (running.new_session) core_.head(*lane).session_start = running.new_session;
  if (running.summarise && !lane->summarising) {
    lane->summarising = true;
    ++lane->users;
    core_.tasks.spawn("summarise", summarise(lane));
  }
  core_.feeds.end_turn(lane->id);
  core_.feeds.grew(lane->id, lane->committed_head);
  core_.feeds.phase(lane->id, FeedPhase{running.row.id, messages.front()->id, TurnPhase::kEnded});
  if (!parts.empty()) outbox_.add(*lane, std::move(parts));
  leave(*lane);
}

}  // namespace sluice
