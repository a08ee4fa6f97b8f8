// One process hands over to the next under load: the successor owns the store, the conversations
// and all turns; the earlier one only runs on the agents that it has called. What the two tell each
// other is delivered step by step, and either may die at any of them.

#include <algorithm>
#include <utility>

#include "base/mutant.h"
#include "sim/world.h"

namespace sluice::sim {
namespace {

Task<void> prepare(Process* process) {
  co_await process->gateway->rest_sends(process->loop.now() + milliseconds(5'000));
  co_await process->gateway->quiesce(process->loop.now() + milliseconds(1'000));
  co_await process->gateway->stop_channels();
  process->prepared = true;
}

}  // namespace

void World::maybe_hand_over() {
  if (process_ == nullptr || process_->handing_over || hand_overs_left_ == 0) return;
  // Not while the last one still drains.
  if (earlier_ != nullptr || outside_.calm) return;
  if (early_ == nullptr && random_.below(200) == 0) read_early();
  if (random_.below(200) != 0) return;
  --hand_overs_left_;
  begin_hand_over();
}

/// A successor is there, and reads what it can while it waits; some do without.
void World::read_early() {
  auto early = EarlyRead::of(files::join("", files::kDatabase), disk_.vfs_name().c_str());
  if (early) early_ = std::move(*early);
}

void World::begin_hand_over() {
  trace(1007);
  if (verbose_) std::printf("hand-over at %.3f s\n", static_cast<double>(clock_.mono.ns) / 1e9);
  process_->handing_over = true;
  process_->channels.clear();  // they are about to go
  process_->tasks.spawn("prepare", prepare(process_.get()));
}

void World::hand_over() {
  outside_.saw("C26");
  trace(1008);
  Process& old = *process_;
  old.gateway->leave_calls();
  old.tasks.cancel();
  old.gateway->cut_off();
  while (old.store->queued() > 0) old.store->write(old.store->queued());
  if (disk_.crashed() || old.store->engine().failure()) {
    crash(random_.percent(60));
    return;
  }
  for (Promise& promise : outside_.promises) promise.told = false;
  old.gateway.reset();
  old.store.reset();
  earlier_ = std::make_unique<Earlier>(std::move(process_));
  if (boot(true)) return;
  process_.reset();
  crash(true);
}

void World::attach_earlier(Process& successor) {
  if (earlier_ == nullptr) return;
  Earlier& earlier = *earlier_;
  successor.tell_earlier = [&earlier](CallDropped dropped) {
    earlier.to_earlier.push_back(dropped);
  };
  std::vector<CallNews> first = earlier.leftovers.attach(
      [&earlier](CallNews news) { earlier.to_successor.push_back(std::move(news)); });
  for (CallNews& news : first) {
    const Result<CallNews> same = decode_call_news(encode(news));
    if (!same) outside_.violated("C26", "news of a call does not survive its encoding");
    hear_from_earlier(successor.calls, std::move(news), successor.tell_earlier);
  }
}

/// The earlier process dies alone; what it had written into the connection is still read.
void World::lose_earlier() {
  outside_.saw("C26");
  trace(1009);
  if (verbose_)
    std::printf("the earlier process dies at %.3f s\n", static_cast<double>(clock_.mono.ns) / 1e9);
  outside_.dying = true;
  std::unique_ptr<Earlier> gone = std::move(earlier_);
  std::deque<CallNews> last = std::move(gone->to_successor);
  process_->tell_earlier = [](CallDropped) {};
  gone.reset();
  outside_.dying = false;
  for (CallNews& news : last)
    hear_from_earlier(process_->calls, std::move(news), process_->tell_earlier);
  process_->calls.lose_adopted();
}

bool World::is_being_dropped(const AgentCall& call) const {
  return earlier_ != nullptr &&
         std::any_of(earlier_->to_earlier.begin(), earlier_->to_earlier.end(),
                     [&call](const CallDropped& dropped) {
                       return dropped.turn == call.turn && dropped.attempt == call.attempt;
                     });
}

bool World::step_earlier() {
  Earlier& earlier = *earlier_;
  Process& old = *earlier.process;
  if (old.calls.empty() && earlier.to_earlier.empty() && earlier.to_successor.empty()) {
    process_->tell_earlier = [](CallDropped) {};
    earlier_.reset();  // it has ended
    return true;
  }
  if (!outside_.calm && crashes_left_ > 0 && random_.below(100) == 0) {
    --crashes_left_;
    lose_earlier();
    return true;
  }
  const std::uint64_t ready = old.loop.has_ready() ? 2 : 0;
  const std::uint64_t to_new = earlier.to_successor.empty() ? 0 : 1;
  const std::uint64_t to_old = earlier.to_earlier.empty() ? 0 : 1;
  const std::uint64_t total = ready + to_new + to_old;
  if (total == 0) return false;
  std::uint64_t pick = random_.below(total);
  trace(4000 + pick);
  if (pick < ready) {
    old.loop.run_one_at(random_.below(6));
  } else if ((pick -= ready) < to_new) {
    CallNews news = std::move(earlier.to_successor.front());
    earlier.to_successor.pop_front();
    hear_from_earlier(process_->calls, std::move(news), process_->tell_earlier);
  } else {
    const CallDropped dropped = earlier.to_earlier.front();
    earlier.to_earlier.pop_front();
    earlier.leftovers.heard(dropped);
  }
  return true;
}

}  // namespace sluice::sim
