#include "gateway/lanes.h"

#include <algorithm>

#include "base/assert.h"
#include "base/mutant.h"

namespace sluice {

Lanes::Lanes(Core& core, std::function<void(Lane&)> start_turn,
             std::function<void(Lane&)> run_command)
    : core_(core),
      start_turn_(std::move(start_turn)),
      run_command_(std::move(run_command)),
      timer_([this](Lane& lane) { pump(lane); }) {
  core_.pump = timer_;
}

Lane& Lanes::make(LaneId id, Conversations::Slot slot, Account& account) {
  auto lane = std::make_unique<Lane>(id, slot, account);
  lane->on_timer = &timer_;
  lane->committed_head = core_.conversations.at(slot).head;
  Lane& made = *lane;
  lanes_.emplace(id, std::move(lane));
  core_.counters.lanes.set(static_cast<std::int64_t>(lanes_.size()));
  return made;
}

Lane& Lanes::open(Account& account, std::string_view chat, std::string_view thread, ChatKind kind) {
  const Key128 key = KeyedHash(core_.hash_key).add(account.row.name).add(chat).add(thread).finish();
  Conversations::Slot slot = core_.conversations.find(key);
  const bool is_new = slot == Conversations::kNone;
  if (is_new) slot = core_.conversations.add(key, LaneId{core_.next_id()});
  const LaneId id = core_.conversations.at(slot).lane;
  Lane* lane = active(id);
  if (lane == nullptr) {
    lane = &make(id, slot, account);
    // A conversation whose first append failed has a slot but no row; writing the row again does no
    // harm.
    lane->stored = !is_new && core_.conversations.at(slot).head.value != 0;
  }
  if (!lane->known) {
    lane->known = true;
    lane->chat = chat;
    lane->thread = thread;
    lane->kind = kind;
  }
  return *lane;
}

Lane* Lanes::active(LaneId id) {
  const auto found = lanes_.find(id);
  return found == lanes_.end() ? nullptr : found->second.get();
}

Lane& Lanes::restore(const ConversationRow& row) {
  if (Lane* lane = active(row.id)) return *lane;
  const Conversations::Slot slot = core_.conversations.find(row.id);
  SLUICE_ASSERT(slot != Conversations::kNone);
  Lane& lane = make(row.id, slot, core_.account(row.account));
  lane.stored = lane.known = true;
  lane.chat = row.chat;
  lane.thread = row.thread;
  lane.kind = row.kind;
  return lane;
}

LaneId Lanes::find(std::string_view account, std::string_view chat, std::string_view thread) const {
  const Key128 key = KeyedHash(core_.hash_key).add(account).add(chat).add(thread).finish();
  const Conversations::Slot slot = core_.conversations.find(key);
  return slot == Conversations::kNone ? LaneId{} : core_.conversations.at(slot).lane;
}

ConversationRow Lanes::row(const Lane& lane) const {
  ConversationRow row;
  row.id = lane.id;
  row.key = core_.conversations.at(lane.slot).key;
  row.account = lane.account->row.name;
  row.chat = lane.chat;
  row.thread = lane.thread;
  row.kind = lane.kind;
  row.created_at = core_.now();
  return row;
}

void Lanes::add(Lane& lane, Waiting message) {
  const MonoTime now = core_.loop.now();
  if (lane.waiting.empty()) lane.first_arrival = now;
  lane.last_arrival = now;
  lane.last_person = message.person;
  if (message.order != 0 && !message.late && !mutant(Mutant::kIgnoreGap)) {
    // Before the first that the platform placed behind it; what has no place of its own stays put.
    const auto at = std::find_if(lane.waiting.begin(), lane.waiting.end(), [&](const Waiting& w) {
      return w.order > message.order && !w.late;
    });
    lane.waiting.insert(at, message);
    return;
  }
  lane.waiting.push_back(message);
}

Waiting* Lanes::find(Lane& lane, MessageId id) {
  // From the back: what is looked for has mostly just come.
  const auto at = std::find_if(lane.waiting.rbegin(), lane.waiting.rend(),
                               [id](const Waiting& w) { return w.id == id; });
  return at == lane.waiting.rend() ? nullptr : &*at;
}

void Lanes::committed(Lane& lane, MessageId id) {
  if (Waiting* w = find(lane, id)) w->committed = true;
}

void Lanes::remove(Lane& lane, MessageId id) {
  std::erase_if(lane.waiting, [id](const Waiting& w) { return w.id == id; });
}

bool Lanes::too_far_ahead(const Lane& lane) const {
  std::uint32_t turns = 0;
  TurnId last;
  for (const OutPart& part : lane.out) {
    if (!part.turn || part.turn == last) continue;
    last = part.turn;
    if (++turns >= core_.options.turns_ahead_of_delivery) return true;
  }
  return false;
}

bool Lanes::can_start_at_once(const Lane& lane) const {
  return !core_.draining && !lane.busy && lane.waiting.empty() && lane.reopened.empty() &&
         !lane.queued() && !too_far_ahead(lane);
}

bool Lanes::before_a_gap(const Lane& lane, const Waiting& message) const {
  const std::int64_t next = core_.head(lane).next_order;
  return message.order != 0 && !message.late && next != 0 && message.order > next &&
         !mutant(Mutant::kIgnoreGap);
}

bool Lanes::wait_for_gap(Lane& lane) {
  if (!before_a_gap(lane, lane.waiting.front())) return false;
  const std::int64_t next = core_.head(lane).next_order;
  const MonoTime now = core_.loop.now();
  // Each gap is waited for once, and for its own time.
  if (lane.gap_at != next) {
    lane.gap_at = next;
    lane.gap_until = now + core_.options.reorder_window;
  }
  if (now >= lane.gap_until) return false;
  core_.loop.arm(lane, lane.gap_until);
  return true;
}

bool Lanes::wait_for_quiet(Lane& lane) {
  const Channel* channel = lane.account->channel.get();
  if (channel == nullptr || channel->account().mode != LaneMode::kCollect) return false;
  const MonoTime quiet = lane.last_arrival + core_.options.collect_quiet;
  const MonoTime longest = lane.first_arrival + core_.options.collect_longest;
  const MonoTime until = std::min(quiet, longest);
  if (core_.loop.now() >= until || lane.waiting.size() >= core_.options.collect_messages_max)
    return false;
  core_.loop.arm(lane, until);
  return true;
}

std::vector<Waiting> Lanes::take(Lane& lane) {
  const Channel* channel = lane.account->channel.get();
  const LaneMode mode = channel == nullptr ? LaneMode::kFollowup : channel->account().mode;
  const std::size_t most = mode == LaneMode::kFollowup ? 1 : core_.options.collect_messages_max;
  std::vector<Waiting> taken;
  while (!lane.waiting.empty() && taken.size() < most) {
    const Waiting& front = lane.waiting.front();
    if (!front.committed || front.editing || (front.command && !taken.empty())) break;
    // One turn has one agent.
    if (!taken.empty() && front.target != taken.front().target) break;
    // What came in between may still be on its way: it must not find that its place has passed.
    if (!taken.empty() && before_a_gap(lane, front) &&
        core_.loop.now() - lane.last_arrival < core_.options.reorder_window) {
      break;
    }
    taken.push_back(take(lane, front.id));
    if (taken.front().command) break;
  }
  lane.first_arrival = lane.last_arrival;
  return taken;
}

Waiting Lanes::take(Lane& lane, MessageId id) {
  const auto at = std::find_if(lane.waiting.begin(), lane.waiting.end(),
                               [id](const Waiting& w) { return w.id == id; });
  SLUICE_ASSERT(at != lane.waiting.end());
  const Waiting taken = *at;
  lane.waiting.erase(at);
  std::int64_t& next = core_.head(lane).next_order;
  if (taken.order != 0 && !taken.late) next = std::max(next, taken.order + 1);
  return taken;
}

bool Lanes::wants_slot(Lane& lane) {
  if (lane.busy) return false;
  if (lane.queued() || lane.holds_slot()) return false;
  // Without its channel nobody knows the account's agent, nor whether replies are pulled or pushed.
  if (core_.draining || core_.storage_failed || lane.account->channel == nullptr) return false;
  if (too_far_ahead(lane)) return false;
  if (!lane.reopened.empty()) {
    const OpenTurn& open = lane.reopened.front();
    if (open.suspect && core_.suspect_running && !mutant(Mutant::kSuspectsTogether)) return false;
    const milliseconds wait = open.row.not_before - core_.now();
    if (wait.count() > 0) {
      core_.loop.arm(lane, core_.loop.now() + wait);
      return false;
    }
    return true;
  }
  if (lane.waiting.empty()) return false;
  const Waiting& front = lane.waiting.front();
  if (!front.committed || front.editing) return false;
  return !wait_for_gap(lane) && (front.command || !wait_for_quiet(lane));
}

std::string_view Lanes::agent_of(const Lane& lane, std::uint32_t target) const {
  const std::string& routed = core_.targets.at(target).agent;
  if (!routed.empty() && core_.agent(routed) != nullptr) return routed;
  const Channel* channel = lane.account->channel.get();
  return channel == nullptr ? std::string_view() : std::string_view(channel->account().agent);
}

FairSlots::Agent& Lanes::limits_of(std::string_view agent) {
  const auto found = core_.agents.find(agent);
  return found == core_.agents.end() ? no_agent_ : found->second->slots;
}

FairSlots::Agent& Lanes::limits_of(const Lane& lane) {
  return limits_of(lane.reopened.empty() ? agent_of(lane, lane.waiting.front().target)
                                         : std::string_view(lane.reopened.front().row.agent));
}

void Lanes::pump(Lane& lane) {
  if (!wants_slot(lane)) {
    evict_if_idle(lane);
    return;
  }
  if (!lane.reopened.empty()) {
    const OpenTurn& open = lane.reopened.front();
    if (open.suspect) core_.suspect_running = lane.id;
    core_.slots.enqueue(lane, lane.account->row.name,
                        open.taken.empty() ? 0 : open.taken.front().person, limits_of(lane));
  } else if (lane.waiting.front().command) {
    lane.busy = true;
    run_command_(lane);
    return;
  } else {
    core_.slots.enqueue(lane, lane.account->row.name, lane.waiting.front().person, limits_of(lane));
  }
  grant_slots();
}

void Lanes::look_again(Lane& lane) {
  // One that is tried again keeps its agent.
  const bool moved = lane.queued() && lane.reopened.empty() && !lane.waiting.empty() &&
                     &limits_of(lane) != lane.agent();
  if (moved) core_.slots.release(lane);
  pump(lane);
}

void Lanes::grant_slots() {
  while (!core_.draining) {
    FairSlots::Claimant* claimant = core_.slots.grant();
    if (claimant == nullptr) break;
    Lane& lane = static_cast<Lane&>(*claimant);
    // What it queued for may have been withdrawn meanwhile, or a suspect has come before it.
    const bool gone =
        lane.reopened.empty() && (lane.waiting.empty() || lane.waiting.front().command);
    const bool suspect = !lane.reopened.empty() && lane.reopened.front().suspect &&
                         core_.suspect_running != lane.id && !mutant(Mutant::kSuspectsTogether);
    // Another message, for another agent, may be the next one now.
    if (gone || suspect || &limits_of(lane) != lane.agent()) {
      core_.slots.release(lane);
      pump(lane);
      continue;
    }
    if (lane.account->channel == nullptr) {
      // It went while the lane waited. Registering it again asks for the slot again.
      core_.slots.release(lane);
      if (core_.suspect_running == lane.id) core_.suspect_running = LaneId{};
      continue;
    }
    core_.counters.running.set(core_.slots.running());
    lane.busy = true;
    start_turn_(lane);
  }
}

void Lanes::forget_suspect(LaneId id) {
  if (core_.suspect_running == id) core_.suspect_running = LaneId{};
  // One entry only: a lane whose person answered two questions has two suspects.
  const auto at = std::find(core_.suspects.begin(), core_.suspects.end(), id);
  if (at != core_.suspects.end()) core_.suspects.erase(at);
}

void Lanes::suspect_done(LaneId id) {
  forget_suspect(id);
  start_suspects();
}

void Lanes::start_suspects() {
  // Each is asked in order; the first that can go holds the others back.
  const std::deque<LaneId> all = core_.suspects;
  for (LaneId id : all) {
    if (Lane* lane = active(id)) pump(*lane);
  }
}

void Lanes::evict_if_idle(Lane& lane) {
  if (!lane.idle()) return;
  lanes_.erase(lane.id);
  core_.counters.lanes.set(static_cast<std::int64_t>(lanes_.size()));
}

}  // namespace sluice
