// What people, platforms and operators do while a process lives.

#include <algorithm>
#include <utility>

#include "base/mutant.h"
#include "sim/world.h"

namespace sluice::sim {

/// Whether the person was told that there was nothing to answer: another answer was under way.
bool World::was_told_nothing(const SentEvent& answer) {
  const auto log = process_->store->reader().history(process_->gateway->head(answer.lane),
                                                     HistoryId{}, 100'000, 1 << 30);
  return log && std::any_of(log->begin(), log->end(), [&](const HistoryRow& row) {
           return row.message == answer.id && row.kind == HistoryKind::kAnswer &&
                  row.text.starts_with("There is nothing to");
         });
}

/// What was promised for parked turns is told, again and again until it is heard.
void World::keep_promises() {
  struct Helper {
    static Task<void> tell(Outside* outside, Process* process, std::size_t index) {
      const Promise promise = outside->promises[index];
      AgentReply reply;
      reply.text = promise.text;
      const std::uint32_t wrong = promise.attempt + 7;
      const Result<void> forged =
          co_await process->gateway->answer_parked(promise.turn, wrong, reply);
      if (forged) outside->violated("C15", "an answer to another attempt was taken");
      const Result<void> heard =
          co_await process->gateway->answer_parked(promise.turn, promise.attempt, reply);
      Promise& now = outside->promises[index];
      now.told = false;
      if (heard && promise.taken)
        outside->violated("C15", "the answer to a parked turn was taken twice");
      if (heard) now.taken = true;
      const bool again = !heard && heard.error().retry().allowed();
      // Whoever calls back may do so once more.
      const bool repeat = heard && process->loop.random().percent(50);
      now.due = again || repeat ? process->loop.now() + milliseconds(500) : MonoTime::max();
      if (heard && promise.parked) outside->saw("C15");
    }
  };
  for (std::size_t i = 0; i < outside_.promises.size(); ++i) {
    Promise& promise = outside_.promises[i];
    if (promise.told || promise.due > clock_.mono) continue;
    promise.told = true;
    trace(3000 + i);
    process_->tasks.spawn("callback", Helper::tell(&outside_, process_.get(), i));
  }
}

void World::deliver_due() {
  for (std::size_t i = 0; i < outside_.events.size(); ++i) {
    SentEvent& event = outside_.events[i];
    if (event.due > clock_.mono || event.refused) continue;
    if (event.after >= 0 && !outside_.events[static_cast<std::size_t>(event.after)].acknowledged) {
      event.due = clock_.mono + milliseconds(200);
      continue;
    }
    SimChannel* to = channel(event.account);
    if (to == nullptr || !to->started()) {
      event.due = clock_.mono + milliseconds(50);
      continue;
    }
    // If nothing is heard, it comes again.
    event.due = clock_.mono + milliseconds(random_.between(4'000, 8'000));
    trace(2000 + i);
    to->deliver(i);
    return;
  }
}

void World::maybe_strike() {
  if (outside_.calm) return;
  const bool stopping = std::exchange(outside_.stop_acknowledged, false);
  if (crashes_left_ > 0 && random_.below(stopping ? 3 : 400) == 0) {
    --crashes_left_;
    if (random_.percent(40)) {
      disk_.set_call_budget(random_.below(80) + 1);  // falls inside some commit
    } else {
      crash(random_.percent(60));
    }
    return;
  }
  if (!outside_.jumped && random_.below(1'500) == 0) {
    // Back by any amount, or forward by more than a pause of the machine would explain.
    const std::int64_t hour = 3'600'000;
    clock_.offset_ms += random_.percent(50) ? -random_.between(hour, 40 * 24 * hour)
                                            : random_.between(8 * 24 * hour, 40 * 24 * hour);
    outside_.jumped = true;
    outside_.saw("C29");
    trace(1003);
  }
  if (random_.below(3'000) == 0 && !sync_fault_pending_) {
    disk_.fail(DiskFault::kSyncError, random_.below(3) + 1);
    sync_fault_pending_ = true;
    trace(1004);
  }
  if (random_.below(2'500) == 0 && disk_low_since_.ns == 0) {
    disk_low_since_ = clock_.mono;
    outside_.saw("C28");
    trace(1005);
  }
}

/// What an operator and the machine's housekeeping do from time to time.
void World::operate() {
  if (clock_.mono < next_operation_ || process_ == nullptr) return;
  next_operation_ = clock_.mono + milliseconds(random_.between(2'000, 8'000));
  if (verbose_) std::printf("operator at %.3f s\n", static_cast<double>(clock_.mono.ns) / 1e9);
  if (disk_low_since_.ns != 0) {
    // Intake looks once a second; what it let in before that is no fault.
    const bool seen = clock_.mono - disk_low_since_ > milliseconds(1'500);
    if (!outside_.disk_is_low && !outside_.calm && (!seen || random_.percent(70))) {
      if (!seen) return;
      outside_.disk_is_low = true;
      if (verbose_) std::printf("disk low at %.3f s\n", static_cast<double>(clock_.mono.ns) / 1e9);
      next_operation_ = clock_.mono + milliseconds(3'000);
    } else {
      outside_.disk_is_low = false;
      disk_low_since_ = MonoTime{};
    }
  }
  Gateway& gateway = *process_->gateway;
  struct Helper {
    static Task<void> resume(Gateway* g, std::string name) {
      const Result<void> ok = co_await g->resume(std::move(name));
      (void)ok;
    }
  };
  outside_.held = false;
  for (const auto& account : gateway.status().accounts) {
    if (account.state != AccountState::kActive && account.registered) {
      process_->tasks.spawn("resume", Helper::resume(&gateway, account.name));
    }
  }
  // People answer what they are asked.
  for (const auto& [lane, open] : gateway.core().asking) {
    for (const SentEvent& earlier : outside_.events) {
      const bool settled =
          earlier.acknowledged && clock_.mono - earlier.acknowledged_at > milliseconds(2'000);
      if (earlier.about == open.row.id && earlier.about_attempt == open.row.attempt && settled &&
          gateway.core().asking.count(lane) == 1 && !was_told_nothing(earlier)) {
        outside_.violated("C25",
                          "the acknowledged answer " + std::to_string(earlier.n) + " is forgotten");
      }
    }
    for (const SentEvent& event : outside_.events) {
      if (event.lane != lane || event.control || event.outsider) continue;
      SentEvent answer = event;
      const int n = static_cast<int>(outside_.events.size());
      answer.n = n;
      answer.control = true;
      answer.about = open.row.id;
      answer.about_attempt = open.row.attempt;
      answer.old = false;
      answer.acknowledged = answer.refused = false;
      answer.deliveries = answer.extra = 0;
      answer.id = MessageId{};
      answer.after = -1;
      answer.message.kind = EventKind::kMessage;
      answer.message.order.reset();
      answer.message.revision.clear();
      answer.message.sent_at = UnixMillis{};
      answer.message.event = "c" + std::to_string(n);
      const bool again = random_.percent(60);
      answer.message.text = again ? "/retry" : "/drop";
      if (again) ++outside_.retries_granted[lane];
      answer.due = clock_.mono;
      outside_.saw("C13");
      outside_.events.push_back(std::move(answer));
      break;
    }
  }
  if (random_.percent(50) || mutant(Mutant::kPruneLiveKeys)) {
    // Ten minutes ahead of the clock: its passes fall into a run of seconds, and no age comes near
    // a bound.
    upkeep_ahead_ = upkeep_ahead_ + milliseconds(600'000);
    for (int slices = 0; slices < 20; ++slices) {
      const auto more = process_->store->engine().maintain(clock_.wall() + upkeep_ahead_,
                                                           SqliteEngine::Effort::kIdle,
                                                           gateway.core().clock->may_expire());
      if (!more) break;
    }
    // As the daemon does: what upkeep could not sync ends the process (C28).
    if (process_->store->engine().failure()) process_->storage_failed = true;
    outside_.pruned = true;
    outside_.saw("C4");
  }
}

}  // namespace sluice::sim
