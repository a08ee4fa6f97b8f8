#pragma once
// Outbox: sends parts, one after another within a conversation, and settles each (C18 to C24).

#include <string>

#include "gateway/core.h"

namespace sluice {

class Outbox {
 public:
  explicit Outbox(Core& core) : core_(core) {}

  /// Makes a part row for the lane; n is its number within its cause.
  PartRow make(const Lane& lane, TurnId turn, MessageId event, std::uint32_t n, PartKind kind,
               std::string text, std::string reply_to);
  /// The parts are on disk: sends them when it is their turn. Answers pass what is not claimed
  /// (C21).
  void add(Lane& lane, std::vector<PartRow> parts);
  void restore(Lane& lane, OutPart part);
  /// Sends what may be sent now.
  void kick(Lane& lane);

  /// Changes the account's state on disk and then in effect.
  Task<void> set_state(Account* account, AccountState state, std::string reason);

 private:
  Task<void> deliver(Lane* lane);
  Task<bool> load(Lane* lane);
  Task<bool> wait_for_turn(Lane* lane);
  Task<bool> expire(Lane* lane);
  Task<bool> claim(Lane* lane);
  Task<SendOutcome> send(Lane* lane, bool look_back);
  Task<void> apply(Lane* lane, SendOutcome outcome);
  Task<void> settle_front(Lane* lane, PartSettlement settlement, std::string notice,
                          bool with_rest);
  void note(const Lane& lane, const PartRow& part, const PartSettlement& settlement);
  SendRequest request(const Lane& lane, const PartRow& part) const;
  bool outcome_unknown(const OutPart& part) const;

  Core& core_;
};

/// The caller-visible idempotency key of a part: a hash of its cause, the same for every try.
std::string idempotency_key(const HashKey& key, const PartRow& part);

}  // namespace sluice
