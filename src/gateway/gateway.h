#pragma once
// Gateway: intake, lanes, turns and outbox put together, with the channels and agents that use
// them.
//
// One per process, shard-confined. Lifetime: construct, recover(), add_agent(), register_channel()
// …, run(), and destroy; destroying it tears every task down and writes nothing: what is on disk is
// enough to go on from.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core.h"
#include "gateway/intake.h"
#include "gateway/lanes.h"
#include "gateway/outbox.h"
#include "gateway/turns.h"

namespace sluice {

struct GatewayStatus {
  struct AccountStatus {
    std::string name;
    std::string kind;
    bool registered = false;
    AccountState state = AccountState::kActive;
    std::string reason;
    UnixMillis since;
    std::uint64_t pending = 0;
    std::uint64_t outbox = 0;
  };
  struct AgentStatus {
    std::string name;
    std::string kind;
    std::uint32_t running = 0;
    std::uint32_t max = 0;
    std::string health;  // "ok" or what is wrong
  };
  struct RunningStatus {
    TurnId turn;
    LaneId lane;
    std::string account;
    std::string agent;
    std::uint32_t attempt = 0;
    std::int64_t running_ms = 0;
  };
  std::int64_t generation = 0;
  bool accepting = false;
  bool disk_low = false;
  bool storage_failed = false;
  std::string clock;
  std::uint64_t conversations = 0;
  std::uint64_t lanes = 0;
  std::uint64_t pending = 0;
  std::uint64_t pending_bytes = 0;
  std::uint64_t asking = 0;
  std::uint64_t parked = 0;  // turns that wait for something outside (C15)
  std::uint64_t outbox = 0;
  std::uint64_t readers = 0;
  std::vector<AccountStatus> accounts;
  std::vector<AgentStatus> agents;
  std::vector<RunningStatus> running;  // at most kRunningMax, the oldest first
  static constexpr std::size_t kRunningMax = 100;
};

/// Where a message would go, and why.
struct RouteExplanation {
  bool account_registered = false;
  bool let_in = false;  // past the access and mention gates
  std::string account_agent;
  Target chosen;  // by /agent and /model
  std::vector<RouteStep> steps;
  Target target;  // the outcome
};

class Gateway {
 public:
  struct Parts {
    Loop& loop;
    Store& store;
    Logger& log;
    Metrics& metrics;
    HashKey hash_key{};
    std::function<std::uint64_t()> free_disk_bytes;       // may be empty: never low
    std::function<void(const Error&)> on_storage_failed;  // the process has to end (C28)
    /// Where the guards of turns and appends are kept; outlives the gateway. Null: its own.
    lifecycle::InFlight* in_flight = nullptr;
    /// Where the calls of agents are kept, so that they outlive the gateway at a hand-over. Null:
    /// its own.
    AgentCalls* calls = nullptr;
  };
  Gateway(Parts parts, CoreOptions options);
  ~Gateway();

  /// Takes over what is on disk. Once, before the first channel. Turns that were running are
  /// settled when their account's channel is registered: those whose call is among Parts::calls run
  /// on, the others were interrupted. handed_over: the process before this one ended in good order.
  void recover(Recovered recovered, bool handed_over = false);

  /// kConflict if the name is taken.
  Result<void> add_agent(std::unique_ptr<Agent> agent);
  /// Adds it, or puts it in the place of the one of that name; turns under way keep the old one
  /// until they end.
  void set_agent(std::unique_ptr<Agent> agent);
  /// Turns under way keep it; what waits for it goes to the account's own agent, and a turn that
  /// was to be tried again with it fails in the open. Unknown names: nothing.
  void remove_agent(std::string_view name);
  std::shared_ptr<Agent> agent(std::string_view name) const { return core_.agent(name); }

  /// Which agents answer what from now on; messages that wait keep theirs. Agents that are not
  /// registered are passed over in favour of the account's own.
  void set_routes(Routes routes) { core_.routes = std::move(routes); }
  RouteExplanation explain_route(const InboundMessage& event, std::string_view account);

  /// Channel::memory() of each channel that has any, by its name.
  std::map<std::string, std::string> memories() const;
  /// Starts the channel and lets its conversations go on. kConflict if the name is taken; what
  /// start() returns if it fails.
  Task<Result<void>> register_channel(std::unique_ptr<Channel> channel);
  /// Stops and destroys the channel: after channel_stop_timeout it is cut off, never left behind.
  /// Its turns run on; their replies wait in the outbox for a channel of that name. Unknown names:
  /// success.
  Task<Result<void>> unregister(std::string name);
  std::vector<std::string> channel_names() const;
  /// The account's options from now on, also for what waits; its channel notices nothing. Unknown
  /// names: nothing.
  void set_account(std::string_view channel, const AccountOptions& options);

  /// Sends a text that no turn made, once for each key (C20). kNotFound if no such channel is
  /// registered (counted), kConflict if the key was used with another text.
  Task<Result<Accepted>> send_to(std::string channel, OutboundMessage message, std::string key);

  /// Asks an agent beside the turn that `request` is of, as that person, under request.request_id:
  /// within the agent's limit, its time or `most` (0: its own), and the person's budget, of which
  /// it uses up a turn. Nothing of it is in the conversation. kNotFound: no such agent;
  /// kOverloaded: it is at its limit; kRateLimited: the budget; kUnavailable: we are stopping or
  /// have handed over; kTimeout; kUnsupported: it answers later; kBadResponse; the agent's.
  Task<Result<AgentReply>> ask(std::string agent, TurnRequest request, std::string prompt,
                               milliseconds most);

  /// The answer to an attempt that its agent parked (C15); returns when it is on disk. A turn that
  /// is still being parked is waited for, 10 s at most. An error as the answer ends the turn like
  /// one of the agent's. Errors: kNotFound (it has ended, or never was), kConflict (another attempt
  /// of it runs or waits), kUnavailable (not parked yet: try again), and what agents' answers give.
  Task<Result<void>> answer_parked(TurnId turn, std::uint32_t attempt, Result<AgentReply> reply) {
    return turns_.answer_parked(turn, attempt, std::move(reply));
  }

  /// Ends run(), also if it is called before it. Any number of times.
  void signal_shutdown();
  bool is_shutdown() const { return shutdown_.is_set(); }
  /// Runs until signal_shutdown(). The last channel gone does not end it.
  Task<void> run();
  /// Nothing is accepted and no turn is started any more: what it is for is the end of the process.
  void close_intake();
  /// What a channel has received is appended, and running turns end, or the deadline passes.
  /// Returns how many turns are left to the next start.
  Task<std::size_t> finish_turns(MonoTime deadline);
  /// All channels at once, each within channel_stop_timeout.
  Task<void> stop_channels();
  /// The three in their order.
  Task<std::size_t> stop(MonoTime deadline);
  /// Nothing more is claimed; returns when what was has left and is settled, or at the deadline.
  /// Everything else goes on.
  Task<void> rest_sends(MonoTime deadline);
  /// No turn is started any more; returns when each that runs waits for its agent, or at the
  /// deadline. What is accepted meanwhile waits for the successor.
  Task<void> quiesce(MonoTime deadline);
  /// The calls of agents stay behind for the successor, with what their turns have streamed.
  /// Nothing may run in the gateway afterwards: the store is closed next, and then it is destroyed.
  void leave_calls();
  /// Ends every task of the gateway where it is, as a crash would; the next start goes on from the
  /// disk. Not from inside one of them.
  void cut_off() { core_.tasks.cancel(); }
  /// Nothing new is accepted while it is parked; what was accepted goes on.
  void park_intake(bool parked);

  // For operators.
  GatewayStatus status();
  /// kNotFound if there is no such account. Pausing holds its sends and turns' replies; it goes on
  /// receiving.
  Task<Result<void>> pause(std::string account, std::string reason);
  Task<Result<void>> resume(std::string account);
  /// Runs a dead message again, or sends a dead part again, labelled if its fate is unknown.
  Task<Result<void>> redrive(std::int64_t dead_id);
  Task<Result<void>> discard(std::int64_t dead_id);
  /// Stops the turn that runs in the conversation.
  Result<void> stop_turn(LaneId lane);
  /// The system clock is right, whatever it looked like (C29).
  Task<Result<void>> accept_clock();
  /// Between these two nothing of that person is accepted, so that erasing can't be overtaken
  /// (C31); the caller waits until the person is not active: nothing pending, no answer on its way.
  void begin_erasure(std::string_view account, std::string_view sender);
  void end_erasure(std::string_view account, std::string_view sender);
  bool person_is_active(std::string_view account, std::string_view sender);

  Core& core() { return core_; }
  Feeds& feeds() { return core_.feeds; }
  /// The newest line of a conversation that readers can see; 0 if there is none.
  HistoryId head(LaneId lane);

 private:
  class Host;
  Task<void> housekeeping();
  Task<void> forget_budgets();
  static constexpr std::string_view kClockAccepted = "clock_accepted";  // a mark
  /// What waits of a message that is on disk; takes its person, bytes and target.
  Waiting waiting_of(MessageId id, std::uint64_t person, std::size_t bytes, std::string_view extra);
  std::uint32_t target_of(std::string_view extra);
  void look_at_disk();
  Task<void> hold_all();
  void resume_account(Account& account);
  void look_again(const Account* account);
  /// What the last process was in the middle of.
  void reopen(Lane& lane, OpenTurn open);
  Lane* lane_of(LaneId id) { return lanes_.active(id); }

  Core core_;
  std::function<std::uint64_t()> free_disk_bytes_;
  Outbox outbox_;
  Lanes lanes_;
  Turns turns_;
  Intake intake_;
  Event shutdown_;
  bool handed_over_ = false;     // by a process that ended in good order
  std::string restored_reason_;  // not empty: accounts start held (C30)
  /// Turns that were running when the last process ended, by account, until their channel is back.
  std::multimap<std::string, OpenTurn, std::less<>> interrupted_;
};

std::string_view to_string(AccountState state);
std::string_view to_string(MessageOutcome outcome);
std::string_view to_string(PartOutcome outcome);
std::optional<MessageOutcome> message_outcome_from_string(std::string_view name);

}  // namespace sluice
