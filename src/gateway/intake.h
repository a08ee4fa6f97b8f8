#pragma once
// Intake: the way in. Checks bounds and access, finds the lane, and answers when a body is on disk
// (C1, C3, C5, C6, C8, C9, C32).

#include <memory>
#include <optional>
#include <vector>

#include "gateway/commands.h"
#include "gateway/core.h"
#include "gateway/lanes.h"
#include "gateway/outbox.h"
#include "gateway/turns.h"

namespace sluice {

class Intake {
 public:
  Intake(Core& core, Lanes& lanes, Turns& turns, Outbox& outbox)
      : core_(core), lanes_(lanes), turns_(turns), outbox_(outbox), window_(core.loop) {}

  using Verdicts = Result<std::vector<Accepted>>;

  /// See ChannelHost::accept. What follows the commit runs to its end even if the caller is
  /// destroyed.
  Task<Verdicts> accept(Account* account, std::vector<InboundMessage> events,
                        std::optional<std::string> cursor);

  /// Whether access and mention gates let it in (C8). The account has a channel.
  bool passes_gates(const Account& account, const InboundMessage& event) const;

 private:
  struct Plan;  // one event on its way through a body's transaction

  Task<void> run(Account* account, std::vector<InboundMessage> events,
                 std::optional<std::string> cursor, std::shared_ptr<Completion<Verdicts>> done);
  Task<Verdicts> append(Account* account, std::vector<InboundMessage> events,
                        std::optional<std::string> cursor);
  Result<void> check(const Account& account, const InboundMessage& event) const;
  Result<void> check_open(Account& account, const std::vector<InboundMessage>& events);
  Result<void> check_room(Account& account, const std::vector<InboundMessage>& events);

  void plan_message(Plan& plan, Account& account, InboundMessage event, Transaction& transaction,
                    bool alone);
  void plan_control(Plan& plan, const CommandLine& line, Transaction& transaction);
  /// Changes what the conversation's people have chosen, in memory now and on disk with changes.
  void choose(Plan& plan, const Target& choice, Changes& changes);
  void take_back_choice(const Plan& plan);
  std::string answer_choice(Plan& plan, const CommandLine& line, Changes& changes);
  Task<std::vector<MessageId>> find_targets(Account* account,
                                            const std::vector<InboundMessage>* events);
  void plan_change(Plan& plan, Account& account, InboundMessage event, MessageId about,
                   Transaction& transaction);
  std::string control_answer(const Lane& lane, Command command);
  void after_commit(Plan& plan, const Receipt::Event& verdict);
  void after_failure(Plan& plan);

  Core& core_;
  Lanes& lanes_;
  Turns& turns_;
  Outbox& outbox_;
  Event window_;
  std::size_t in_flight_ = 0;  // events whose commit is under way
};

/// The identity of an event (C3): what deduplicates it.
Key128 event_key(const HashKey& key, std::string_view account, const InboundMessage& event);
/// Of the normalised text and attachment ids, never the raw body.
Key128 content_key(const HashKey& key, const InboundMessage& event);

}  // namespace sluice
