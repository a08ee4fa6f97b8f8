#pragma once
// FairSlots: who may run a turn next (C7). Slots are shared by account, then by person, then by
// lane, each level in rotation; accounts, persons and agents have caps of their own. A person with
// three hundred messages in many chats takes one step for each step of everybody else.
//
// Shard-confined. Nodes live in the lanes; a lane that dies leaves the queue by itself.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "gateway/options.h"
#include "runtime/list.h"

namespace sluice {

class FairSlots {
 public:
  struct Agent {
    std::uint32_t running = 0;
    std::uint32_t max = 32;
  };
  struct AccountNode;
  struct PersonNode;

  /// A lane that wants a slot, or holds one. Base of Lane.
  class Claimant : public ListNode {
   public:
    bool queued() const { return linked(); }
    bool holds_slot() const { return person_ != nullptr && !linked(); }
    /// Whose limit it counts against; nullptr unless it is queued or holds a slot.
    const Agent* agent() const { return agent_; }

   private:
    friend class FairSlots;
    PersonNode* person_ = nullptr;
    Agent* agent_ = nullptr;
  };

  explicit FairSlots(const CoreOptions& options);
  ~FairSlots();

  /// Takes a slot at once if one is free for it and nobody waits who could take it.
  bool try_take(Claimant& lane, std::string_view account, std::uint64_t person, Agent& agent);
  /// Takes a slot whatever the limits say: the lane held one when the process before this one
  /// handed over.
  void take_over(Claimant& lane, std::string_view account, std::uint64_t person, Agent& agent);
  /// Queues the lane; grant() gives it its slot.
  void enqueue(Claimant& lane, std::string_view account, std::uint64_t person, Agent& agent);
  /// Takes the lane out of the queue, or gives its slot back. No effect if neither.
  void release(Claimant& lane);
  /// The next lane that gets a slot, nullptr if none can have one now.
  Claimant* grant();

  std::uint32_t running() const { return running_; }
  std::size_t waiting() const { return waiting_; }

 private:
  PersonNode& node_for(std::string_view account, std::uint64_t person);
  bool has_room(const PersonNode& person, const Agent& agent) const;
  void take(Claimant& lane);
  void forget_if_idle(PersonNode& person);
  std::uint32_t account_max() const;

  const CoreOptions& options_;
  std::uint32_t running_ = 0;
  std::size_t waiting_ = 0;
  std::unordered_map<std::string, std::unique_ptr<AccountNode>> accounts_;
  std::unique_ptr<List<AccountNode>> ring_;  // accounts with waiting lanes
};

}  // namespace sluice
