// What a start takes over from the disk, and how an account's conversations go on.

#include <algorithm>
#include <cstdlib>
#include <unordered_map>

#include <fmt/core.h>

#include "base/mutant.h"
#include "gateway/gateway.h"
#include "gateway/message_json.h"

namespace sluice {

std::uint32_t Gateway::target_of(std::string_view extra) {
  if (extra.empty()) return 0;
  MessageExtra parsed = parse_extra(extra);
  return core_.targets.number({std::move(parsed.agent), std::move(parsed.model)});
}

Waiting Gateway::waiting_of(MessageId id, std::uint64_t person, std::size_t bytes,
                            std::string_view extra) {
  Waiting waiting{};
  waiting.id = id;
  waiting.person = person;
  waiting.bytes = static_cast<std::uint32_t>(bytes) & 0x3FFFFFF;
  waiting.committed = true;
  waiting.target = target_of(extra);
  return waiting;
}

void Gateway::recover(Recovered recovered, bool handed_over) {
  handed_over_ = handed_over;
  core_.calls.take_back();
  core_.generation = recovered.generation;
  core_.last_id = recovered.next_id - 1;
  UnixMillis newest = recovered.newest_stamp;
  for (const auto& [name, value] : recovered.marks) {
    if (name == kClockAccepted)
      newest.ms = std::max<std::int64_t>(newest.ms, std::atoll(value.c_str()));
    if (!core_.load_choice(name, value)) core_.budgets.load(name, value);
  }
  core_.clock = std::make_unique<ClockGuard>(core_.loop, newest);
  core_.conversations = std::move(recovered.conversations);
  for (AccountRow& row : recovered.accounts) {
    Account& account = core_.account(row.name);
    account.row = std::move(row);
  }
  for (Cursor& cursor : recovered.cursors)
    core_.account(cursor.account).cursor = std::move(cursor.value);
  for (const ConversationRow& row : recovered.lanes) lanes_.restore(row);

  std::unordered_map<MessageId, Waiting> in_turns;
  for (const TurnRow& turn : recovered.turns) {
    for (MessageId id : turn.messages) in_turns.emplace(id, Waiting{});
  }
  for (const Recovered::Message& message : recovered.messages) {
    Lane* lane = lanes_.active(message.lane);
    if (lane == nullptr) continue;
    Waiting waiting = waiting_of(message.id, message.person, message.bytes, message.extra);
    waiting.order = message.order;
    waiting.command = message.kind == MessageKind::kCommand;
    waiting.late = message.late;
    core_.count_pending(*lane->account, waiting.person, waiting.bytes, 1);
    const auto in_turn = in_turns.find(message.id);
    if (in_turn != in_turns.end()) {
      in_turn->second = waiting;
    } else {
      // What it was late for may not have begun before the end; else it is first all the same.
      waiting.late = false;
      lanes_.add(*lane, waiting);
    }
  }
  for (const Recovered::Part& part : recovered.parts) {
    Lane* lane = lanes_.active(part.lane);
    if (lane == nullptr) continue;
    OutPart out;
    out.id = part.id;
    out.turn = part.turn;
    out.event = part.event;
    out.kind = part.kind;
    outbox_.restore(*lane, std::move(out));
  }
  for (TurnRow& row : recovered.turns) {
    Lane* lane = lanes_.active(row.lane);
    if (lane == nullptr) continue;
    OpenTurn open;
    for (MessageId id : row.messages) {
      const Waiting& waiting = in_turns.at(id);
      if (waiting.id) open.taken.push_back(waiting);
    }
    open.row = std::move(row);
    reopen(*lane, std::move(open));
  }
  // Turns that have ended need no call any more.
  for (const AgentCall* call : core_.calls.all()) {
    const bool wanted =
        std::any_of(interrupted_.begin(), interrupted_.end(), [call](const auto& entry) {
          return entry.second.row.id == call->turn && entry.second.row.attempt == call->attempt;
        });
    if (!wanted) core_.calls.drop(call->turn, call->attempt);
  }
  if (recovered.restored && !mutant(Mutant::kSendWhileHeld)) {
    // Every account that has something to send, and every one that will be registered (C30).
    restored_reason_ =
        recovered.restored_reason.empty() ? "the store was restored" : recovered.restored_reason;
    core_.tasks.spawn("hold", hold_all());
  }
  look_at_disk();
  core_.tasks.spawn("housekeeping", housekeeping());
}

void Gateway::reopen(Lane& lane, OpenTurn open) {
  const TurnState state = open.row.state;
  std::int64_t& next = core_.head(lane).next_order;
  for (const Waiting& w : open.taken) {
    if (w.order != 0 && !w.late) next = std::max(next, w.order + 1);  // its place has passed
  }
  if (state == TurnState::kAsking) {
    turns_.wait_for_decision(lane, std::move(open));
  } else if (state == TurnState::kParked) {
    turns_.wait_outside(lane, std::move(open));
  } else if (state == TurnState::kRunning) {
    ++lane.users;  // it comes before anything that waits
    lane.busy = true;
    // It runs already, whether its channel is there or not.
    const AgentCall* call = core_.calls.find(open.row.id, open.row.attempt);
    if (call != nullptr && !call->not_made) turns_.hold_slot(lane, open, *call);
    interrupted_.emplace(lane.account->row.name, std::move(open));
  } else {
    if (state == TurnState::kDropped) open.decision = OpenTurn::Decision::kDrop;
    if (state == TurnState::kStopped) {
      open.decision = OpenTurn::Decision::kStop;
      // What the person saw of it is kept (C16).
      if (const AgentCall* call = core_.calls.find(open.row.id, open.row.attempt)) {
        core_.feeds.begin_attempt(lane.id, open.row.id, open.row.attempt);
        core_.feeds.delta(lane.id, call->unheard());
      }
    }
    // It may wait for another attempt because a crash took the last one.
    open.suspect = state == TurnState::kRetry;
    if (open.suspect) core_.suspects.push_back(lane.id);
    lane.reopened.push_back(std::move(open));
  }
}

Task<void> Gateway::hold_all() {
  std::vector<Account*> all;
  for (auto& [name, account] : core_.accounts) {
    if (account->row.state == AccountState::kActive) all.push_back(account.get());
  }
  // In effect before the first commit; on disk in one.
  Transaction transaction;
  for (Account* account : all) {
    account->row.held_ms = core_.held_ms(*account);
    account->row.state = AccountState::kHeld;
    account->row.reason = restored_reason_;
    account->row.since = core_.now();
    transaction.changes.accounts.push_back(account->row);
  }
  // From here on the accounts' own states say it.
  transaction.changes.marks.emplace_back("restored_accepted", "1");
  const Transaction whole = std::move(transaction);
  co_await core_.commit_surely(nullptr, [whole] { return whole; });
}

void Gateway::resume_account(Account& account) {
  const auto [first, last] = interrupted_.equal_range(account.row.name);
  std::vector<OpenTurn> open;
  for (auto it = first; it != last; ++it) open.push_back(std::move(it->second));
  interrupted_.erase(first, last);
  for (OpenTurn& turn : open) {
    Lane* lane = lanes_.active(turn.row.lane);
    --lane->users;
    lane->busy = false;
    const AgentCall* call = core_.calls.find(turn.row.id, turn.row.attempt);
    if (call != nullptr && !call->not_made && !mutant(Mutant::kForgetCalls)) {
      turns_.resume(*lane, std::move(turn));
      continue;
    }
    if (core_.suspect_running == lane->id) lanes_.forget_suspect(lane->id);  // its call was lost
    const bool not_made = call != nullptr && call->not_made && handed_over_;
    turn.suspect = not_made && call->memory.suspect;
    if (turn.suspect) core_.suspects.push_back(lane->id);
    if (call != nullptr) core_.calls.drop(turn.row.id, turn.row.attempt);
    core_.slots.release(*lane);
    if (not_made) {
      turns_.start_again(*lane, std::move(turn));
    } else {
      turns_.recover(*lane, std::move(turn));
    }
  }
  lanes_.start_suspects();
  std::vector<LaneId> ids;
  lanes_.for_each([&](Lane& lane) {
    if (lane.account == &account) ids.push_back(lane.id);
  });
  for (LaneId id : ids) {
    Lane* parked = lanes_.active(id);
    // What came later interrupts it, as before the restart.
    if (parked != nullptr && parked->parked != nullptr && !parked->waiting.empty() &&
        account.channel->account().mode == LaneMode::kInterrupt) {
      turns_.stop(*parked, StopReason::kNewer);
    }
    if (Lane* lane = lanes_.active(id)) outbox_.kick(*lane);
    if (Lane* lane = lanes_.active(id)) lanes_.pump(*lane);
  }
}

}  // namespace sluice
