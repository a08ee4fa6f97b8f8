#include "gateway/turn_follower.h"

#include <utility>
#include <variant>

#include "base/assert.h"

namespace sluice {
namespace {

using Step = TurnFollower::Step;
using What = Step::What;

Step step(What what) {
  Step out;
  out.what = what;
  return out;
}

}  // namespace

void TurnFollowers::end() {
  ended_ = true;
  all_.for_each([](TurnFollower& follower) {
    if (follower.feed_ != nullptr) follower.feed_->wake();
  });
}

TurnFollower::TurnFollower(std::shared_ptr<TurnFollowers> all) : all_(std::move(all)) {
  all_->all_.push_back(*this);
}

TurnFollower::~TurnFollower() { unlink(); }

void TurnFollower::close() {
  closed_ = true;
  if (feed_ != nullptr) feed_->wake();
}

void TurnFollower::listen(LaneId lane) {
  lane_ = lane;
  feed_ = all_->host_->feeds().subscribe(lane);
}

void TurnFollower::follow(MessageId message, Since since) {
  SLUICE_ASSERT(feed_ != nullptr);
  message_ = message;
  next_is_ours_ = since == Since::kFirst;
  look_ = since != Since::kBefore;
  question_ = since == Since::kRepeat;
}

void TurnFollower::follow(MessageId message, TurnId turn) {
  follow(message, Since::kRepeat);
  turn_ = turn;
}

Task<std::optional<Step>> TurnFollower::look() {
  look_ = false;
  const bool question = std::exchange(question_, false);
  const HistoryId head = all_->host_->head(lane_);
  Result<Answer> answer = co_await read_answer(&all_->host_->store(), message_, head, question);
  if (over()) co_return step(What::kClosed);
  Step out;
  if (!answer) {
    out.what = What::kFailed;
    out.error = answer.error();
    co_return out;
  }
  if (answer->state == Answer::State::kPending) co_return std::nullopt;
  out.what = What::kAnswer;
  out.answer = std::move(*answer);
  co_return out;
}

Task<Step> TurnFollower::next(MonoTime deadline) {
  for (;;) {
    if (over()) co_return step(What::kClosed);
    if (std::exchange(lagged_, false)) {
      feed_.reset();
      listen(lane_);
      turn_ = TurnId{};
      next_is_ours_ = false;
    }
    if (look_) {
      std::optional<Step> found = co_await look();
      if (found) co_return std::move(*found);
      continue;
    }
    const std::optional<FeedEvent> event = co_await feed_->next(deadline);
    if (over()) co_return step(What::kClosed);
    if (!event) {
      if (all_->loop_.now() >= deadline) co_return step(What::kQuiet);
      continue;
    }
    std::optional<Step> shown = show(*event);
    if (shown) co_return std::move(*shown);
  }
}

std::optional<Step> TurnFollower::show(const FeedEvent& event) {
  if (std::holds_alternative<FeedLagged>(event)) {
    lagged_ = look_ = question_ = true;
  } else if (std::holds_alternative<FeedGrew>(event)) {
    look_ = true;
  } else if (const auto* delta = std::get_if<FeedDelta>(&event)) {
    return show_delta(*delta);
  } else if (const auto* phase = std::get_if<FeedPhase>(&event)) {
    if (phase->phase == TurnPhase::kAsking) look_ = question_ = true;
    if (phase->phase != TurnPhase::kRunning) return std::nullopt;
    if (phase->message == message_) turn_ = phase->turn;
    next_is_ours_ = false;
  } else if (const auto* reset = std::get_if<FeedReset>(&event)) {
    if (!turn_ || reset->turn != turn_) return std::nullopt;
    heard_ = 0;
    Step out = step(What::kReset);
    out.reset = *reset;
    return out;
  }
  return std::nullopt;
}

std::optional<Step> TurnFollower::show_delta(const FeedDelta& delta) {
  // Numbers ascend: what began before the message was accepted is another's.
  if (!turn_ && next_is_ours_ && delta.turn.value > message_.value) turn_ = delta.turn;
  if (!turn_ || delta.turn != turn_) return std::nullopt;
  const std::uint64_t end = delta.offset + delta.text.size();
  if (end <= heard_ || delta.offset > heard_) return std::nullopt;
  Step out;
  out.what = What::kDelta;
  out.delta = delta;
  out.delta.text.erase(0, heard_ - delta.offset);
  out.delta.offset = heard_;
  heard_ = end;
  return out;
}

}  // namespace sluice
