#pragma once
// Core: what the parts of the gateway share, and nothing that one of them could keep to itself.
// One per process, shard-confined; owned by Gateway.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/hash.h"
#include "gateway/agent.h"
#include "gateway/agent_calls.h"
#include "gateway/budgets.h"
#include "gateway/channel.h"
#include "gateway/clock_guard.h"
#include "gateway/conversations.h"
#include "gateway/fair_slots.h"
#include "gateway/feed.h"
#include "gateway/lane.h"
#include "gateway/options.h"
#include "gateway/routes.h"
#include "gateway/store.h"
#include "lifecycle/in_flight.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "runtime/task_group.h"

namespace sluice {

/// One account on one platform. Lives for ever once known: its rows outlive the channel.
struct Account {
  Account(Loop& loop, std::uint32_t sends) : changed(loop), cut(loop), send_slots(loop, sends) {}
  AccountRow row;
  std::unique_ptr<Channel> channel;  // null while nobody is registered
  std::unique_ptr<ChannelHost> host;
  bool starting = false;  // its start() is under way: it accepts, but does not send yet
  bool stopping = false;  // being unregistered
  Event changed;          // the state, the flood wait or the channel changed
  Event cut;              // set when the channel is cut off: sends under way end as unknown
  Semaphore send_slots;
  int sends_in_flight = 0;
  // Of the channel that was last registered: turns end while it is away, too.
  bool pull = false;
  std::size_t part_bytes_max = 0;
  std::string cursor;
  std::uint64_t pending = 0;
  Counter* accepted = nullptr;
  Counter* duplicates = nullptr;
  Counter* sent = nullptr;

  bool may_send() const {
    return channel != nullptr && !starting && !stopping && row.state == AccountState::kActive;
  }
};

struct RegisteredAgent {
  std::shared_ptr<Agent> agent;  // shared with turns that run; null once it was removed
  FairSlots::Agent slots;
};

/// Message bodies that need not be read again, oldest out first.
class BodyCache {
 public:
  explicit BodyCache(std::size_t most) : most_(most) {}
  void put(std::shared_ptr<const MessageRow> row);
  std::shared_ptr<const MessageRow> take(MessageId id);
  void forget(MessageId id) { take(id); }
  std::size_t size() const { return rows_.size(); }

 private:
  std::size_t most_;
  std::map<MessageId, std::shared_ptr<const MessageRow>>
      rows_;  // ids ascend: begin() is the oldest
};

/// Targets by a small number, since each waiting message keeps its own. As many as the
/// configuration names, and what the store still holds of earlier ones.
class Targets {
 public:
  Targets() : all_(1) {}
  std::uint32_t number(const Target& target);
  const Target& at(std::uint32_t number) const { return all_[number]; }

 private:
  std::vector<Target> all_;  // the first is the account's own agent
};

struct CoreCounters {
  explicit CoreCounters(Metrics& metrics);
  Counter& turns;
  Counter& turns_failed;
  Counter& turns_retried;
  Counter& turns_interrupted;
  Counter& dead;
  Counter& expired;
  Counter& refused_by_access;
  Counter& refused_overload;
  Counter& over_budget;
  Counter& parts_sent;
  Counter& parts_dead;
  Counter& parts_possible_duplicate;
  Counter& send_to_nowhere;
  Counter& late;
  Gauge& pending;
  Gauge& running;
  Gauge& outbox;
  Gauge& lanes;
  Histogram& accept_seconds;
  Histogram& turn_seconds;
};

struct Core {
  Core(Loop& l, Store& s, Logger& lg, Metrics& m, const CoreOptions& o, const HashKey& key,
       lifecycle::InFlight* with_others, AgentCalls* with_the_process)
      : loop(l),
        store(s),
        log(lg),
        metrics(m),
        options(o),
        hash_key(key),
        counters(m),
        conversations(),
        slots(options),
        feeds(l, o.feed_events_max),
        bodies(o.inbox_capacity),
        own_in_flight(l),
        in_flight(with_others != nullptr ? *with_others : own_in_flight),
        own_calls(l, o.reply_bytes_max),
        calls(with_the_process != nullptr ? *with_the_process : own_calls),
        turns_changed(l),
        send_settled(l),
        tasks(l) {}

  Loop& loop;
  Store& store;
  Logger& log;
  Metrics& metrics;
  const CoreOptions options;
  const HashKey hash_key;
  CoreCounters counters;

  std::int64_t generation = 0;
  std::int64_t last_id = 0;
  std::unique_ptr<ClockGuard> clock;
  std::map<std::string, std::unique_ptr<Account>, std::less<>> accounts;
  std::map<std::string, std::unique_ptr<RegisteredAgent>, std::less<>> agents;
  Routes routes;
  Targets targets;
  /// What people chose by /agent and /model, until their next /new: at most kChoicesMax.
  std::unordered_map<LaneId, Target> choices;
  static constexpr std::size_t kChoicesMax = 100'000;
  static constexpr std::string_view kChoicePrefix = "choice:";  // of their marks
  Budgets budgets;
  Conversations conversations;
  FairSlots slots;
  Feeds feeds;
  BodyCache bodies;
  std::unordered_map<std::uint64_t, std::uint32_t> pending_by_person;
  /// People whose data are being erased: nothing of theirs is accepted meanwhile (C31).
  std::unordered_set<std::uint64_t> being_erased;
  std::uint64_t pending_count = 0;
  std::uint64_t pending_bytes = 0;

  lifecycle::InFlight own_in_flight;  // where nobody shares one
  lifecycle::InFlight& in_flight;     // turns and appends that a stop waits for

  AgentCalls own_calls;  // where nothing is ever handed over
  AgentCalls& calls;

  bool intake_closed = false;   // stopping: nothing new is accepted
  bool draining = false;        // stopping: no new turn starts
  bool sends_rest = false;      // handing over: nothing more is claimed
  bool disk_low = false;        // C28
  bool storage_failed = false;  // C28: nothing is acknowledged any more
  std::function<void(const Error&)> on_storage_failed;

  /// Interrupted turns that wait for the person's decision (C13), by lane.
  std::multimap<LaneId, OpenTurn> asking;
  /// Turns that wait for something outside (C15). Each is an accepted message: the bounds on those
  /// bound it.
  struct Parked {
    LaneId lane;
    MonoTime until;  // a timeout: no jump of the clock moves it (C29)
  };
  std::unordered_map<TurnId, Parked> parked;
  Event turns_changed;  // a turn has called its agent, is parked, or ends
  Event send_settled;   // pulsed while sends rest
  /// Lanes that have a suspect to run, the one with the fewest attempts first; they run one at a
  /// time (C14).
  std::deque<LaneId> suspects;
  LaneId suspect_running;  // or queued for its slot

  /// Lets the lane do what it can now; evicts it if that is nothing. The lane may be gone
  /// afterwards.
  std::function<void(Lane&)> pump;

  /// Everything that runs for longer than a call. Destroyed first.
  TaskGroup tasks;

  std::int64_t next_id() { return ++last_id; }
  UnixMillis now() { return clock->now(); }
  Account& account(std::string_view name);
  /// nullptr if there is none, or none any more. A turn keeps what it began with.
  std::shared_ptr<Agent> agent(std::string_view name) const {
    const auto found = agents.find(name);
    return found == agents.end() ? nullptr : found->second->agent;
  }
  /// The account's held time up to now, for ages that do not count it (C24).
  std::int64_t held_ms(const Account& account);
  /// Age of a row without the time its account was held.
  milliseconds age(const Account& account, UnixMillis since, std::int64_t held_before_ms);

  void set_choice(LaneId lane, const Target& choice);
  /// The mark that keeps a choice; one without agent and model takes it away.
  static std::pair<std::string, std::string> choice_mark(LaneId lane, const Target& choice);
  /// Takes a choice back from its mark. False: it is no such mark.
  bool load_choice(const std::string& mark, const std::string& value);
  /// Who answers: the person's choice, else the first route that matches, else nobody in
  /// particular.
  Target choose_target(LaneId lane, const RouteSubject& subject) const;

  std::unique_ptr<RunningTurn> begin_turn(const Lane& lane) {
    return std::make_unique<RunningTurn>(loop,
                                         in_flight.hold(lifecycle::Work::kTurn, {}, lane.id.value));
  }
  ConversationHead& head(const Lane& lane) { return conversations.at(lane.slot); }
  /// Appends a line to the lane's log within a transaction.
  HistoryRow& add_history(Changes& changes, Lane& lane, HistoryKind kind, std::string text);

  /// The lines after `before` up to `last` turned out not to be needed: the log goes on without
  /// them.
  void unwrite(Lane& lane, HistoryId before, HistoryId last);
  /// A commit failed: nothing after `before` is written.
  void rewind(Lane& lane, HistoryId before);

  /// Commits what must not get lost: waits out a full disk, never returns after a storage failure.
  /// build() is called for each try, since a failed one leaves no rows to build on.
  template <class Build>
  Task<void> commit_surely(Lane* lane, Build build) {
    for (;;) {
      Transaction transaction = build();
      const Lines lines = lines_of(transaction.changes);
      const Result<Receipt> receipt = co_await store.commit(std::move(transaction));
      if (receipt) {
        if (lane != nullptr) lane->committed_head = std::max(lane->committed_head, lines.last);
        co_return;
      }
      co_await wait_out(lane, lines, receipt.error());
    }
  }
  /// A failed commit that can be tried again: the disk is full, or the store's inbox.
  static bool may_pass(const Error& error);
  void storage_has_failed(const Error& error);

  void count_pending(Account& account, std::uint64_t person, std::uint32_t bytes, int sign);

 private:
  /// The lines of the log that a transaction writes.
  struct Lines {
    HistoryId before;  // the line before the first; 0 if there is none
    HistoryId last;    // 0: it writes none
  };
  static Lines lines_of(const Changes& changes);
  /// Undoes what a failed commit had planned; returns when it may be tried again, if ever.
  Task<void> wait_out(Lane* lane, Lines lines, Error error);
};

std::uint64_t person_of(const HashKey& key, std::string_view account, std::string_view sender);

}  // namespace sluice
