#pragma once
// Lane: one conversation while something in it is waiting, running or leaving. It holds ids; bodies
// stay on disk beyond the window (CoreOptions::inbox_capacity). Owned by Lanes, shard-confined;
// evicted when idle. Coroutines that work for a lane keep it alive by its flags (busy, delivering).

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/agent_calls.h"
#include "gateway/conversations.h"
#include "gateway/fair_slots.h"
#include "gateway/store.h"
#include "lifecycle/in_flight.h"
#include "runtime/wait.h"

namespace sluice {

struct Account;

/// A message that waits for its turn: what is kept of it in memory.
struct Waiting {
  MessageId id;
  std::uint64_t person = 0;
  std::int64_t order = 0;    // the platform's, 0 if it has none
  std::uint32_t bytes : 26;  // of text, for the bounds
  std::uint32_t committed : 1;
  std::uint32_t command : 1;
  std::uint32_t late : 1;
  std::uint32_t editing : 1;  // an edit or a withdrawal of it is being committed
  std::uint32_t target = 0;   // who answers it: Core::targets; 0: the account's own agent
};
static_assert(sizeof(Waiting) <= 32);

/// A part that has not left, or whose leaving is not settled.
struct OutPart {
  PartId id;
  TurnId turn;
  MessageId event;
  PartKind kind = PartKind::kReply;
  bool ours = false;                   // claimed by this process in the transaction that made it
  std::shared_ptr<const PartRow> row;  // null: on disk
};

enum class StopReason : std::uint8_t { kNone, kPerson, kNewer, kOperator };

/// A turn on disk that is not running: to be tried again, or waiting for the person's word.
struct OpenTurn {
  TurnRow row;
  std::vector<Waiting> taken;  // its messages, as far as the bounds count them
  bool suspect = false;        // it was running when the process died (C14)
  enum class Decision : std::uint8_t { kRun, kDrop, kExpire, kStop };
  Decision decision = Decision::kRun;
  bool decided = false;  // the person has answered; the decision is being committed
};

struct RunningTurn {
  RunningTurn(Loop& loop, lifecycle::Guard under_way) : stop(loop), guard(std::move(under_way)) {}
  TurnRow row;
  std::shared_ptr<Agent> agent;  // that of its name when it began, whatever has its place now
  std::vector<Waiting> taken;
  bool suspect = false;
  Event stop;
  StopReason why = StopReason::kNone;
  MonoTime since;
  std::string request_id;
  std::string session;     // as the agent and the person know it, also when the turn fails
  HistoryId new_session;   // not 0: with this turn a session begins, after that line
  bool budgeted = false;   // counted by Core::budgets
  bool summarise = false;  // the conversation is longer than what its agent saw
  bool agent_active = false;
  bool on_disk = false;      // its row is, or has been handed to the store
  bool stopping = false;     // the acceptance of a /stop for it is being committed
  bool ending = false;       // its end is being committed
  bool from_before = false;  // its agent was called by the process before this one
  bool answered = false;     // it was parked, and what it waited for has come
  AgentCalls::Handle call;   // set while its agent works, and until the end is on disk
  lifecycle::Guard guard;

  /// Ends what its agent does.
  void cut() {
    stop.set();
    if (call) call->ended.pulse();
  }
};

class Lane : public FairSlots::Claimant, public Timer {
 public:
  Lane(LaneId lane_id, Conversations::Slot lane_slot, Account& lane_account)
      : id(lane_id), slot(lane_slot), account(&lane_account) {}

  const LaneId id;
  const Conversations::Slot slot;
  Account* account;

  // Where it is on the platform.
  bool known = false;        // filled in
  bool stored = false;       // its row is on disk
  HistoryId committed_head;  // the newest line that readers can see
  std::string chat;
  std::string thread;
  ChatKind kind = ChatKind::kDirect;

  // In.
  std::deque<Waiting> waiting;
  MonoTime gap_until;       // until then the missing one is waited for
  std::int64_t gap_at = 0;  // the place of the missing one; 0: no gap
  MonoTime first_arrival;   // of what waits, for collect
  MonoTime last_arrival;

  /// Lines that were planned and never written (last, and the one before the first), while others
  /// that may have been planned on top of them are being committed.
  std::vector<std::pair<HistoryId, HistoryId>> unwritten;

  std::uint64_t last_person = 0;  // who wrote last; 0: nobody since the start

  // Turn.
  bool busy = false;                     // a turn or command runs, or its end is being committed
  std::unique_ptr<RunningTurn> running;  // set while busy with a turn
  std::unique_ptr<OpenTurn> parked;      // waits for something outside (C15); busy meanwhile
  std::deque<OpenTurn> reopened;         // turns to be run again before anything that waits

  // Out.
  std::deque<OutPart> out;
  bool delivering = false;
  bool expiry_told = false;  // one notice a lane (C24)
  bool summarising = false;  // one summary at a time

  bool idle() const {
    return waiting.empty() && !busy && reopened.empty() && out.empty() && !delivering &&
           !queued() && users == 0;
  }
  /// Coroutines that hold a pointer to it without being its turn or its delivery.
  int users = 0;

  /// Called when a moment that the lane waits for has come; set by its owner.
  const std::function<void(Lane&)>* on_timer = nullptr;

 private:
  void fire() override { (*on_timer)(*this); }
};

}  // namespace sluice
