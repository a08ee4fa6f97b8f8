#pragma once
// Turns: runs an agent over what a lane has taken, and ends that in one transaction (C11 to C17).

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "gateway/core.h"
#include "gateway/history_window.h"
#include "gateway/lanes.h"
#include "gateway/outbox.h"

namespace sluice {

class Turns {
 public:
  Turns(Core& core, Lanes& lanes, Outbox& outbox) : core_(core), lanes_(lanes), outbox_(outbox) {}

  /// The lane holds a slot and is busy: takes what comes next and runs it.
  void start(Lane& lane);
  /// Intake found lane and slot free: the attempt's row for the accepting transaction (C11). The
  /// lane holds a slot and is busy from here on; either run_accepted or abandon follows.
  TurnRow prepare(Lane& lane, const Waiting& message);
  void run_accepted(Lane& lane, std::shared_ptr<const MessageRow> message);
  void abandon(Lane& lane);

  /// "/new": runs in its lane. The lane is busy.
  void start_command(Lane& lane);

  /// Stops the running turn; what was seen is kept (C16). One that waits for its next attempt gets
  /// none. False if there is neither.
  bool stop(Lane& lane, StopReason why);

  /// A /stop is being accepted: the turn's row for that transaction, so that no crash runs it
  /// again. nullopt if there is nothing to stop. stop() follows once that
  /// is committed, take_back_stop() if it fails.
  std::optional<TurnRow> begin_stop(Lane& lane);
  void take_back_stop(Lane& lane, TurnId turn);

  /// A turn whose agent was called by the process before this one, and still works there: it runs
  /// on, under the slot that it held (C26).
  void resume(Lane& lane, OpenTurn open);
  /// Until its channel is there, and it is resumed.
  void hold_slot(Lane& lane, const OpenTurn& open, const AgentCall& call);
  /// A turn of the process before this one whose agent had not been called yet, or had come to an
  /// error: it has its attempt before anything that waits.
  void start_again(Lane& lane, OpenTurn open);
  /// An interrupted turn at start: run again, ask, or fail (C13, C14).
  void recover(Lane& lane, OpenTurn open);
  /// An interrupted turn that the person has been asked about and has not answered; nullptr if
  /// there is none.
  OpenTurn* undecided(LaneId lane);
  /// The person has answered: the turn's row for the transaction that accepts the answer. decide()
  /// follows once that is on disk, take_back_decision() if it fails.
  TurnRow begin_decision(OpenTurn& open, OpenTurn::Decision decision);
  void take_back_decision(LaneId lane, TurnId turn);
  void decide(Lane& lane, TurnId turn, OpenTurn::Decision decision);
  /// A turn that was asked about before the restart still is.
  void wait_for_decision(Lane& lane, OpenTurn open);
  /// Ends questions that nobody answered (C17).
  void expire_questions();

  /// Gateway::answer_parked.
  Task<Result<void>> answer_parked(TurnId turn, std::uint32_t attempt, Result<AgentReply> reply);
  /// A turn that was parked before the restart still is.
  void wait_outside(Lane& lane, OpenTurn open);
  /// Ends those whose time is up.
  void expire_parked();

 private:
  using Messages = std::vector<std::shared_ptr<const MessageRow>>;
  /// How a turn came out, before it is written down.
  struct Ending {
    MessageOutcome outcome = MessageOutcome::kAnswered;
    std::string text;  // the agent's words, or what was seen of them
    bool cut = false;
    std::string notice;  // ours, after the text; may be empty
    std::string reason;  // for operators
    std::optional<ResponseMeta> meta;
    std::optional<milliseconds> parked_for;  // it has not come out yet
    bool lost = false;  // the process that had called its agent is gone: it was interrupted
    AgentUsage usage;
  };

  TurnRow new_turn(Lane& lane, std::uint32_t target);
  std::string session_of(const Lane& lane, const Messages& messages) const;
  /// What the running turn is called outside.
  void name_turn(Lane& lane, const Messages& messages);
  Task<void> run(Lane* lane, Messages messages, bool on_disk);
  Task<void> run_command(Lane* lane);
  /// Waits out a store that can't be read.
  Task<Messages> load(Lane* lane);
  Task<Result<Messages>> try_load(Lane* lane);
  Task<bool> drop_expired(Lane* lane, Messages* messages);
  Task<Result<HistoryWindow>> load_history(Lane* lane, const AgentInfo* agent,
                                           const MessageRow* newest);
  /// Counts the turn; what is used up of the person's budget, if anything is.
  std::optional<std::string_view> count_in_budget(Lane& lane, const Messages& messages);
  /// What is used up of the person's budget, if the turn must not run for that; else it counts.
  std::optional<Ending> over_budget(Lane& lane, const Messages& messages);
  /// What the turn cost its person, for its last transaction.
  std::optional<std::pair<std::string, std::string>> used_up(const Lane& lane,
                                                             const Messages& messages,
                                                             const Ending& ending);
  /// Tells older lines in fewer words, by the account's agent for that.
  Task<void> summarise(Lane* lane);
  Task<void> summarise_with(Lane* lane, RegisteredAgent* agent, std::vector<HistoryRow> lines);
  /// Calls it: running.call is set, or the result says why not.
  Task<std::optional<Error>> call_agent(Lane* lane, Messages messages);
  /// What comes of running.call, or of a stop.
  Task<Ending> hear(Lane* lane, std::optional<Error>* failure);
  Task<void> run_on(Lane* lane);
  static void cut_off(Ending& ending);
  /// Fills ending with what the agent said; its error if that is no answer.
  std::optional<Error> take_reply(Lane& lane, AgentReply reply, Ending& ending) const;
  /// The agent has come to an end: so does the turn, or it is parked, or there is another attempt.
  Task<void> conclude(Lane* lane, Messages messages, Ending ending, std::optional<Error> failure);
  Task<void> park(Lane* lane, Messages messages, milliseconds longest);
  Ending stopped(const Lane& lane) const;
  Task<void> end_parked(Lane* lane, Result<AgentReply> reply,
                        std::shared_ptr<Completion<Result<void>>> done);
  OpenTurn unpark(Lane& lane);
  bool waits_for(TurnId turn, std::uint32_t attempt, bool* other_attempt);
  Task<void> try_again_later(Lane* lane, Error error);
  Task<void> finish(Lane* lane, Messages messages, Ending ending);
  Task<void> end_open(Lane* lane, OpenTurn open, MessageOutcome outcome, std::string reason,
                      std::string notice);
  Task<void> ask(Lane* lane, OpenTurn open);
  Transaction build_end(Lane& lane, const TurnRow& turn, const Messages& messages,
                        const Ending& ending, bool claim_first);
  void release(Lane& lane);
  void leave(Lane& lane);
  Task<void> leave_without_messages(Lane* lane);
  /// Takes a turn's row off the disk, should it be there.
  Task<void> remove(TurnRow row);
  /// Until no /stop for it is on its way to the disk.
  static Task<void> stop_settled(RunningTurn* running);
  Ending ending_of(const Error& error, bool attempts_used_up, Lane& lane);
  bool may_claim_now(const Lane& lane) const;

  Core& core_;
  Lanes& lanes_;
  Outbox& outbox_;
};

}  // namespace sluice
