// What must hold at the moment of each call of an agent and each send.

#include <algorithm>

#include "base/mutant.h"
#include "sim/world.h"

namespace sluice::sim {

void World::observe_call(const AgentCall& call) {
  const auto id = [](const AgentCall& c) {
    return std::to_string(c.turn.value) + "/" + std::to_string(c.attempt);
  };
  int same_person = 0;
  std::uint32_t same_agent = 1;
  int suspects = 0;
  const auto cut_before = [&](const AgentCall& c) {
    for (const AgentCall& other : outside_.calls) {
      if (other.turn == c.turn && other.attempt == c.attempt - 1) return other.cut_by_crash;
    }
    return false;
  };
  const bool suspect = call.attempt > 1 && cut_before(call);
  if (std::find(outside_.stopped.begin(), outside_.stopped.end(), call.turn) !=
      outside_.stopped.end()) {
    outside_.violated("C16", "turn " + id(call) + " runs after its /stop was acknowledged");
  }
  for (const Promise& promise : outside_.promises) {
    if (promise.turn == call.turn && promise.parked)
      outside_.violated("C15", "turn " + id(call) + " was parked and runs again");
  }
  for (const AgentCall& other : outside_.calls) {
    if (other.turn == call.turn && other.attempt == call.attempt) {
      outside_.violated("C11", "agent called twice for turn " + id(call));
    }
    if (other.turn == call.turn && other.history != call.history) {
      outside_.violated("C12", "attempts of turn " + id(call) + " saw different histories");
    }
    if (other.turn == call.turn) outside_.saw("C12");
    for (MessageId m : call.messages) {
      for (MessageId o : other.messages) {
        if (m == o && other.turn != call.turn) {
          outside_.violated(other.cut_by_crash ? "C11" : "C3",
                            "message " + std::to_string(m.value) + " ran in turns " + id(other) +
                                " and " + id(call));
        }
      }
    }
    if (other.ended) continue;
    if (other.turn == call.turn && other.attempt < call.attempt)
      outside_.violated("C26",
                        "turn " + id(call) + " begins while its agent works on " + id(other));
    if (is_being_dropped(other)) continue;
    if (other.lane == call.lane)
      outside_.violated("C5", "two turns at once in a lane: " + id(other) + ", " + id(call));
    if (other.sender == call.sender && other.account == call.account) ++same_person;
    if (other.agent == call.agent) ++same_agent;
    if (other.attempt > 1 && cut_before(other) && suspect) ++suspects;
  }
  if (call.agent == "strict" && same_agent > kStrictAtOnce)
    outside_.violated("C7", "agent strict runs more turns than it may: " + id(call));
  const bool routed = call.texts.front().find(":long ") != std::string::npos;
  if (routed && call.agent != "strict")
    outside_.violated("routes", "turn " + id(call) + " went to " + call.agent);
  if (same_person > 0) outside_.saw("C7");
  if (same_person >= static_cast<int>(options_.max_turns_per_person)) {
    outside_.violated(
        "C7", call.sender + " holds more than " + std::to_string(options_.max_turns_per_person));
  }
  if (suspect) outside_.saw("C14");
  if (suspects > 0) outside_.violated("C14", "two suspects at once: " + id(call));
  if (call.attempt > 1) outside_.saw("C13");
  if (call.attempt > options_.max_turn_attempts) outside_.violated("C13", "attempt " + id(call));
  if (suspect && call.agent != "eager") {
    int& granted = outside_.retries_granted[call.lane];
    if (call.agent == "strict" || granted <= 0) {
      outside_.violated("C13", call.agent + " was run again without being asked for: " + id(call));
    }
    --granted;
  }
  for (MessageId m : call.messages) {
    const auto life = process_->store->reader().life(m);
    outside_.saw("C11");
    if (life && (!*life || !(*life)->pending)) {
      outside_.violated("C11",
                        "agent called for a message that is not pending on disk: " + id(call));
    }
  }
  for (const std::string& text : call.texts) {
    if (text == "/stop" || text == "/status" || text == "/help")
      outside_.violated("C9", "a command went to an agent");
  }
}

void World::observe_send(const std::string& account, const SendRequest& request) {
  outside_.saw("C18");
  const std::vector<PartId> ids = {request.part};
  const auto rows = process_->store->reader().parts(ids);
  const bool keyed = account == "keyed";
  if (rows &&
      (rows->empty() || (rows->front()->claimed_by != outside_.process && !keyed &&
                         rows->front()->claimed_by != process_->store->engine().generation()))) {
    outside_.violated(
        "C18", "part " + std::to_string(request.part.value) + " is sent without a claim on disk");
  }
  for (const Refusal& refusal : outside_.refused) {
    if (refusal.part == request.part && refusal.process == outside_.process) {
      outside_.violated("C21", "part " + std::to_string(request.part.value) +
                                   " was refused for good and is sent again");
    }
  }
  if (outside_.held && request.part.value < outside_.held_below) {
    outside_.violated("C30",
                      account + " sends before an operator has looked at the restored store");
  }
  for (const FloodWait& wait : outside_.waits) {
    // A clock that was moved while the daemon was down can't be seen through.
    if (outside_.jumped || wait.account != account || (wait.part && wait.part != request.part))
      continue;
    // What was on its way when the platform spoke doesn't count.
    // Nor what the platform said to a process that died before it could write it down.
    if (wait.process != outside_.process && rows && !rows->empty() &&
        rows->front()->not_before <= clock_.wall()) {
      continue;
    }
    if (clock_.mono > wait.from && clock_.mono < wait.until && wait.part) {
      outside_.violated(
          "C23", "part " + std::to_string(request.part.value) + " is sent within a flood wait");
    }
  }
}

}  // namespace sluice::sim
