#include "gateway/fair_slots.h"

#include <algorithm>

#include "base/mutant.h"

namespace sluice {

/// A node is in its parent's ring while it has waiting lanes below it and is under its own cap.
struct FairSlots::PersonNode : ListNode {
  AccountNode* account = nullptr;
  std::uint64_t id = 0;
  std::uint32_t running = 0;
  std::size_t waiting = 0;
  List<Claimant> lanes;
};

struct FairSlots::AccountNode : ListNode {
  std::string name;
  std::uint32_t running = 0;
  List<PersonNode> persons;
  std::unordered_map<std::uint64_t, std::unique_ptr<PersonNode>> known;
};

FairSlots::FairSlots(const CoreOptions& options)
    : options_(options), ring_(std::make_unique<List<AccountNode>>()) {}
FairSlots::~FairSlots() = default;

std::uint32_t FairSlots::account_max() const {
  return std::max(1u, options_.max_concurrent_turns * options_.max_turns_per_account_percent / 100);
}

FairSlots::PersonNode& FairSlots::node_for(std::string_view account, std::uint64_t person) {
  auto& node = accounts_[std::string(account)];
  if (node == nullptr) {
    node = std::make_unique<AccountNode>();
    node->name = account;
  }
  auto& p = node->known[person];
  if (p == nullptr) {
    p = std::make_unique<PersonNode>();
    p->account = node.get();
    p->id = person;
  }
  return *p;
}

bool FairSlots::has_room(const PersonNode& person, const Agent& agent) const {
  const bool person_free =
      person.running < options_.max_turns_per_person || mutant(Mutant::kNoPersonLimit);
  return running_ < options_.max_concurrent_turns && person.account->running < account_max() &&
         person_free && agent.running < agent.max;
}

void FairSlots::take(Claimant& lane) {
  ++running_;
  ++lane.person_->running;
  ++lane.person_->account->running;
  ++lane.agent_->running;
}

bool FairSlots::try_take(Claimant& lane, std::string_view account, std::uint64_t person,
                         Agent& agent) {
  // Whoever waits was refused for a cap of its own or is older; with somebody waiting, everybody
  // queues.
  if (waiting_ > 0 || lane.queued()) return false;
  PersonNode& node = node_for(account, person);
  if (!has_room(node, agent)) {
    forget_if_idle(node);
    return false;
  }
  lane.person_ = &node;
  lane.agent_ = &agent;
  take(lane);
  return true;
}

void FairSlots::take_over(Claimant& lane, std::string_view account, std::uint64_t person,
                          Agent& agent) {
  lane.person_ = &node_for(account, person);
  lane.agent_ = &agent;
  take(lane);
}

void FairSlots::enqueue(Claimant& lane, std::string_view account, std::uint64_t person,
                        Agent& agent) {
  if (lane.queued() || lane.person_ != nullptr) return;
  PersonNode& node = node_for(account, person);
  lane.person_ = &node;
  lane.agent_ = &agent;
  node.lanes.push_back(lane);
  ++node.waiting;
  ++waiting_;
  if (!node.linked()) node.account->persons.push_back(node);
  if (!node.account->linked()) ring_->push_back(*node.account);
}

void FairSlots::release(Claimant& lane) {
  if (lane.person_ == nullptr) return;
  PersonNode& node = *lane.person_;
  if (lane.queued()) {
    lane.unlink();
    --node.waiting;
    --waiting_;
  } else {
    --running_;
    --node.running;
    --node.account->running;
    --lane.agent_->running;
  }
  lane.person_ = nullptr;
  lane.agent_ = nullptr;
  if (node.waiting > 0 && !node.linked()) node.account->persons.push_back(node);
  if (!node.account->persons.empty() && !node.account->linked()) ring_->push_back(*node.account);
  forget_if_idle(node);
}

void FairSlots::forget_if_idle(PersonNode& person) {
  if (person.running > 0 || person.waiting > 0) return;
  AccountNode& account = *person.account;
  account.known.erase(person.id);  // destroys person
  if (account.known.empty()) accounts_.erase(std::string(account.name));
}

FairSlots::Claimant* FairSlots::grant() {
  if (waiting_ == 0 || running_ >= options_.max_concurrent_turns) return nullptr;
  Claimant* chosen = nullptr;
  // Whoever is at a cap of its own leaves its ring until a release() brings it back, so that one
  // pass costs what it looks at, never the length of the queue. Lanes whose agent is full go to the
  // back.
  List<AccountNode> skipped_accounts;
  while (chosen == nullptr && !ring_->empty()) {
    AccountNode& account = ring_->pop_front();
    if (account.running >= account_max()) continue;
    List<PersonNode> skipped_persons;
    while (chosen == nullptr && !account.persons.empty()) {
      PersonNode& person = account.persons.pop_front();
      if (person.running >= options_.max_turns_per_person && !mutant(Mutant::kNoPersonLimit))
        continue;
      for (std::size_t n = person.waiting; n > 0 && chosen == nullptr; --n) {
        Claimant& lane = person.lanes.pop_front();
        if (lane.agent_->running < lane.agent_->max) {
          chosen = &lane;
        } else {
          person.lanes.push_back(lane);
        }
      }
      if (chosen != nullptr) {
        --person.waiting;
        --waiting_;
        take(*chosen);
        if (person.waiting > 0) account.persons.push_back(person);
      } else {
        skipped_persons.push_back(person);
      }
    }
    account.persons.splice_back(skipped_persons);
    if (chosen != nullptr) {
      if (!account.persons.empty()) ring_->push_back(account);
    } else if (!account.persons.empty()) {
      skipped_accounts.push_back(account);
    }
  }
  ring_->splice_back(skipped_accounts);
  return chosen;
}

}  // namespace sluice
