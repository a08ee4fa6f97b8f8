#include "gateway/agent_calls.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "runtime/guarded.h"

namespace sluice {
namespace {

/// How much of text is whole: up to a code point that has not all come. nullopt: it is not UTF-8.
std::optional<std::size_t> whole_prefix(std::string_view text) {
  for (std::size_t cut = 0; cut <= std::min<std::size_t>(3, text.size()); ++cut) {
    if (is_utf8(text.substr(0, text.size() - cut))) return text.size() - cut;
  }
  return std::nullopt;
}

/// A coroutine of its own, so that what run() throws before its first frame is caught too.
Task<Result<AgentReply>> call_it(Agent* agent, TurnRequest request, DeltaSink* sink) {
  co_return co_await agent->run(std::move(request), *sink);
}

}  // namespace

AgentCall::AgentCall(Loop& loop, TurnId its_turn, std::uint32_t its_attempt, std::size_t most)
    : turn(its_turn), attempt(its_attempt), since(loop.now()), ended(loop), most_(most) {}

void AgentCall::delta(std::string_view text) {
  if (garbled_ || text.empty()) return;
  if (rest_.empty() && is_utf8(text)) {
    hand_on(text);
    return;
  }
  rest_.append(text);
  const std::optional<std::size_t> whole = whole_prefix(rest_);
  garbled_ = !whole;
  if (whole.value_or(0) == 0) return;
  hand_on(std::string_view(rest_).substr(0, *whole));
  rest_.erase(0, *whole);
}

void AgentCall::hand_on(std::string_view text) {
  if ((keep_ || listener_ == nullptr) && unheard_.size() <= most_) unheard_.append(text);
  if (listener_ != nullptr) listener_->delta(text);
}

void AgentCall::listen(DeltaSink* listener) {
  listener_ = listener;
  if (listener == nullptr || unheard_.empty()) return;
  const std::string all = keep_ ? unheard_ : std::exchange(unheard_, {});
  listener->delta(all);
}

AgentCalls::Handle& AgentCalls::Handle::operator=(Handle&& other) noexcept {
  if (this == &other) return *this;
  drop();
  calls_ = std::exchange(other.calls_, nullptr);
  call_ = std::exchange(other.call_, {});
  return *this;
}

void AgentCalls::Handle::drop() {
  if (call_ == nullptr) return;
  AgentCalls& calls = *std::exchange(calls_, nullptr);
  const std::shared_ptr<AgentCall> call = std::exchange(call_, {});
  call->listener_ = nullptr;
  if (!calls.handed_over_) calls.drop(call->turn, call->attempt);
}

AgentCalls::Handle AgentCalls::begin(std::shared_ptr<Agent> agent, TurnRequest request,
                                     milliseconds limit) {
  auto call = std::make_shared<AgentCall>(loop_, request.turn, request.attempt, most_);
  call->agent_ = std::move(agent);
  calls_[call->turn] = call;
  call->running_.emplace(run(this, call.get(), std::move(request), limit));
  call->running_->start();
  return Handle(this, std::move(call));
}

Task<void> AgentCalls::run(AgentCalls* calls, AgentCall* call, TurnRequest request,
                           milliseconds limit) {
  Outcome<Result<AgentReply>> outcome = co_await run_until(
      calls->loop_, guarded("the agent", call_it(call->agent_.get(), std::move(request), call)),
      call->since + limit);
  calls->finish(call->turn, call->attempt,
                outcome.ended == Ended::kDone
                    ? std::move(*outcome.value)
                    : Result<AgentReply>(Error(ErrorKind::kTimeout,
                                               fmt::format("no answer within {} ms", limit.count()),
                                               ErrorSource::kPeer)));
}

AgentCall& AgentCalls::adopt(TurnId turn, std::uint32_t attempt, milliseconds running_for,
                             TurnMemory memory, std::function<void()> drop) {
  auto call = std::make_shared<AgentCall>(loop_, turn, attempt, most_);
  call->since = loop_.now() + -running_for;
  call->memory = std::move(memory);
  call->on_drop_ = std::move(drop);
  AgentCall& adopted = *call;
  calls_[turn] = std::move(call);
  return adopted;
}

AgentCalls::Handle AgentCalls::take(TurnId turn, std::uint32_t attempt) {
  const auto found = calls_.find(turn);
  if (found == calls_.end() || found->second->attempt != attempt) return {};
  return Handle(this, found->second);
}

AgentCall* AgentCalls::find(TurnId turn, std::uint32_t attempt) const {
  const auto found = calls_.find(turn);
  return found == calls_.end() || found->second->attempt != attempt ? nullptr : found->second.get();
}

void AgentCalls::finish(TurnId turn, std::uint32_t attempt, Result<AgentReply> outcome) {
  AgentCall* call = find(turn, attempt);
  if (call == nullptr || call->ended.is_set()) return;
  call->outcome = std::move(outcome);
  call->ended.set();
}

void AgentCalls::lose_adopted() {
  for (AgentCall* call : all()) {
    if (call->running_ || call->ended.is_set()) continue;
    call->lost = true;
    call->ended.set();
  }
}

void AgentCalls::drop(TurnId turn, std::uint32_t attempt) {
  const auto found = calls_.find(turn);
  if (found == calls_.end() || found->second->attempt != attempt) return;
  const std::shared_ptr<AgentCall> call = std::move(found->second);
  calls_.erase(found);
  call->running_.reset();
  call->ended.pulse();
  if (call->on_drop_) call->on_drop_();
  changed_.pulse();
}

void AgentCalls::set_handed_over(bool is) {
  handed_over_ = is;
  for (const auto& [turn, call] : calls_) call->keep_ = is;
}

std::size_t AgentCalls::elsewhere() const {
  return static_cast<std::size_t>(
      std::count_if(calls_.begin(), calls_.end(),
                    [](const auto& entry) { return !entry.second->running_.has_value(); }));
}

std::vector<AgentCall*> AgentCalls::all() const {
  std::vector<AgentCall*> out;
  out.reserve(calls_.size());
  for (const auto& [turn, call] : calls_) out.push_back(call.get());
  // In a fixed order, whatever the hash says: simulated runs replay.
  std::sort(out.begin(), out.end(),
            [](const AgentCall* a, const AgentCall* b) { return a->turn < b->turn; });
  return out;
}

}  // namespace sluice
