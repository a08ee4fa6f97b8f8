#include "channels/openai/turn_follower.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/utf8.h"

namespace sluice::openai {
namespace {

using Step = TurnFollower::Step;
using What = Step::What;

/// Takes what can be shown from the front: all but a code point at its end that is not whole yet.
/// nullopt: it is no UTF-8.
std::optional<std::string> take_whole(std::string& tail) {
  const std::size_t most = std::min<std::size_t>(tail.size(), 3);
  for (std::size_t back = 0; back <= most; ++back) {
    const std::size_t size = tail.size() - back;
    if (!is_utf8(std::string_view(tail).substr(0, size))) continue;
    std::string whole = tail.substr(0, size);
    tail.erase(0, size);
    return whole;
  }
  return tail.size() > 3 ? std::nullopt : std::optional<std::string>(std::string());
}

Step step(What what) {
  Step out;
  out.what = what;
  return out;
}

}  // namespace

TurnFollower::TurnFollower(std::shared_ptr<Face> face) : face_(std::move(face)) {
  face_->waiters.push_back(*this);
}

TurnFollower::~TurnFollower() { unlink(); }

void TurnFollower::wake() {
  if (feed_ != nullptr) feed_->wake();
}

void TurnFollower::close() {
  closed_ = true;
  wake();
}

void TurnFollower::listen(LaneId lane) {
  lane_ = lane;
  feed_ = face_->host->feeds().subscribe(lane);
}

void TurnFollower::follow(MessageId message, Since since) {
  SLUICE_ASSERT(feed_ != nullptr);
  message_ = message;
  next_is_ours_ = since == Since::kFirst;
  look_ = since != Since::kBefore;
  question_ = since == Since::kRepeat;
}

Task<std::optional<Step>> TurnFollower::look() {
  look_ = false;
  const bool question = std::exchange(question_, false);
  const HistoryId head = face_->host->head(lane_);
  Result<Answer> answer = co_await read_answer(&face_->host->store(), message_, head, question);
  if (closed_ || face_->stopping) co_return step(What::kClosed);
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
    if (closed_ || face_->stopping) co_return step(What::kClosed);
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
    if (closed_ || face_->stopping) co_return step(What::kClosed);
    if (!event) {
      if (face_->loop.now() >= deadline) co_return step(What::kQuiet);
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
    tail_.clear();
    broken_ = false;
    return step(What::kReset);
  }
  return std::nullopt;
}

std::optional<Step> TurnFollower::show_delta(const FeedDelta& delta) {
  if (!turn_ && std::exchange(next_is_ours_, false)) turn_ = delta.turn;
  if (!turn_ || delta.turn != turn_ || broken_) return std::nullopt;
  const std::uint64_t end = delta.offset + delta.text.size();
  if (end <= heard_) return std::nullopt;
  if (delta.offset > heard_) {  // never: the feed has no holes
    broken_ = true;
    return std::nullopt;
  }
  tail_.append(delta.text, heard_ - delta.offset);
  heard_ = end;
  std::optional<std::string> whole = take_whole(tail_);
  if (!whole) {
    broken_ = true;
    return std::nullopt;
  }
  if (whole->empty()) return std::nullopt;
  Step out;
  out.what = What::kText;
  out.text = std::move(*whole);
  return out;
}

}  // namespace sluice::openai
