#pragma once
// Lanes: the conversations that are active, and what each may do next (C5, C10). A lane runs one
// turn at a time, in order; it never runs more than two turns ahead of its delivery (C23).

#include <functional>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "gateway/core.h"

namespace sluice {

class Lanes {
 public:
  /// start_turn is called with a lane that holds a slot and is busy; run_command with one that is
  /// busy.
  Lanes(Core& core, std::function<void(Lane&)> start_turn, std::function<void(Lane&)> run_command);

  /// The conversation's lane, made if it has none. A new conversation's row is not on disk yet.
  Lane& open(Account& account, std::string_view chat, std::string_view thread, ChatKind kind);
  /// The lane of a conversation whose row was read from the store.
  Lane& restore(const ConversationRow& row);
  /// nullptr if the conversation is idle.
  Lane* active(LaneId id);
  LaneId find(std::string_view account, std::string_view chat, std::string_view thread) const;
  ConversationRow row(const Lane& lane) const;

  /// Puts a message in its place. Not committed yet: it holds its place, but nothing passes it.
  void add(Lane& lane, Waiting message);
  void committed(Lane& lane, MessageId id);
  /// It was a duplicate, or its commit failed.
  void remove(Lane& lane, MessageId id);
  Waiting* find(Lane& lane, MessageId id);

  /// Whether a message that arrives now could start at once (its attempt then rides with it, C11).
  bool can_start_at_once(const Lane& lane) const;
  /// Who answers: what a waiting message was routed to, if that agent is still there, else the
  /// account's own; empty while its channel is away.
  std::string_view agent_of(const Lane& lane, std::uint32_t target) const;
  FairSlots::Agent& limits_of(std::string_view agent);
  /// Moves the messages of the next turn out of the queue.
  std::vector<Waiting> take(Lane& lane);
  Waiting take(Lane& lane, MessageId id);

  void pump(Lane& lane);
  /// Agents or the options of its account have changed.
  void look_again(Lane& lane);
  void grant_slots();
  void suspect_done(LaneId id);
  /// The same, and the next one is started later.
  void forget_suspect(LaneId id);
  void start_suspects();
  std::size_t active_count() const { return lanes_.size(); }
  template <class F>
  void for_each(F&& f) {
    for (auto& [id, lane] : lanes_) f(*lane);
  }

 private:
  Lane& make(LaneId id, Conversations::Slot slot, Account& account);
  /// A message that the platform sent before it has not come.
  bool before_a_gap(const Lane& lane, const Waiting& message) const;
  bool wait_for_gap(Lane& lane);
  bool wait_for_quiet(Lane& lane);
  bool too_far_ahead(const Lane& lane) const;
  bool wants_slot(Lane& lane);
  /// The limits of the agent that the lane's next turn is for.
  FairSlots::Agent& limits_of(const Lane& lane);
  void evict_if_idle(Lane& lane);

  Core& core_;
  std::function<void(Lane&)> start_turn_;
  std::function<void(Lane&)> run_command_;
  std::function<void(Lane&)> timer_;
  std::unordered_map<LaneId, std::unique_ptr<Lane>> lanes_;
  FairSlots::Agent no_agent_;  // for turns whose agent is gone: they still end in the open
};

}  // namespace sluice
