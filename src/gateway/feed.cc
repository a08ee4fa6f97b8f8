#include "gateway/feed.h"

namespace sluice {

Feeds::Subscription::~Subscription() {
  unlink();
  --feeds_.count_;
  feeds_.drop_if_idle(lane_);
}

void Feeds::Subscription::push(const FeedEvent& event) {
  if (lagged_) return;
  if (queue_.size() >= feeds_.events_max_) {
    queue_.clear();
    queue_.push_back(FeedLagged{});
    lagged_ = true;
  } else {
    queue_.push_back(event);
  }
  arrived_.pulse();
}

Task<std::optional<FeedEvent>> Feeds::Subscription::next(MonoTime deadline) {
  if (queue_.empty()) co_await arrived_.wait_until(deadline);
  if (queue_.empty()) co_return std::nullopt;
  FeedEvent event = std::move(queue_.front());
  queue_.pop_front();
  co_return std::optional<FeedEvent>(std::move(event));
}

std::unique_ptr<Feeds::Subscription> Feeds::subscribe(LaneId lane) {
  Lane& state = lanes_[lane];
  std::unique_ptr<Subscription> reader(new Subscription(*this, lane, loop_));
  state.readers.push_back(*reader);
  ++count_;
  if (state.turn && !state.text.empty()) {
    reader->push(FeedDelta{state.turn, state.attempt, 0, state.text});
  }
  return reader;
}

void Feeds::publish(LaneId lane, const FeedEvent& event) {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end()) return;
  found->second.readers.for_each([&](Subscription& reader) { reader.push(event); });
}

void Feeds::grew(LaneId lane, HistoryId head) { publish(lane, FeedGrew{head}); }

void Feeds::phase(LaneId lane, FeedPhase phase) { publish(lane, phase); }

void Feeds::begin_attempt(LaneId lane, TurnId turn, std::uint32_t attempt) {
  Lane& state = lanes_[lane];
  const bool again = attempt > 1;
  state.turn = turn;
  state.attempt = attempt;
  state.text.clear();
  // Told for every attempt after the first: readers from before a restart may hold text we know
  // nothing of.
  if (again) publish(lane, FeedReset{turn, attempt});
}

void Feeds::delta(LaneId lane, std::string_view text) {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end() || !found->second.turn) return;
  Lane& state = found->second;
  if (!state.readers.empty()) {
    publish(lane, FeedDelta{state.turn, state.attempt, state.text.size(), std::string(text)});
  }
  state.text.append(text);
}

void Feeds::end_turn(LaneId lane) {
  const auto found = lanes_.find(lane);
  if (found == lanes_.end()) return;
  found->second.turn = TurnId{};
  found->second.text = std::string();
  drop_if_idle(lane);
}

std::string_view Feeds::streamed(LaneId lane) const {
  const auto found = lanes_.find(lane);
  return found == lanes_.end() ? std::string_view() : std::string_view(found->second.text);
}

void Feeds::drop_if_idle(LaneId lane) {
  const auto found = lanes_.find(lane);
  if (found != lanes_.end() && found->second.readers.empty() && !found->second.turn)
    lanes_.erase(found);
}

}  // namespace sluice
