#include "gateway/succession.h"

#include <utility>

namespace sluice {

class Leftovers::Listener : public DeltaSink {
 public:
  Listener(Leftovers& owner, TurnId turn, std::uint32_t attempt)
      : owner_(owner), turn_(turn), attempt_(attempt) {}
  void delta(std::string_view text) override {
    owner_.tell_(CallDelta{turn_, attempt_, std::string(text)});
  }

 private:
  Leftovers& owner_;
  TurnId turn_;
  std::uint32_t attempt_;
};

std::vector<CallNews> Leftovers::attach(std::function<void(CallNews)> tell) {
  let_go();
  for (AgentCall* call : calls_.all()) {
    // Whoever finds no call for a running turn knows that it was interrupted.
    if (call->lost) calls_.drop(call->turn, call->attempt);
  }
  std::vector<CallNews> first;
  const MonoTime now = tasks_.loop().now();
  for (AgentCall* call : calls_.all()) {
    const auto running_for = std::chrono::duration_cast<milliseconds>(now - call->since);
    first.emplace_back(
        CallBegun{call->turn, call->attempt, running_for, call->memory, call->not_made});
    if (!call->unheard().empty())
      first.emplace_back(CallDelta{call->turn, call->attempt, call->unheard()});
  }
  tell_ = [](const CallNews&) {};  // what they have to say first is told already
  for (AgentCall* call : calls_.all()) {
    listeners_.push_back(std::make_unique<Listener>(*this, call->turn, call->attempt));
    call->listen(listeners_.back().get());
  }
  tell_ = std::move(tell);
  may_ask(tell_);
  for (AgentCall* call : calls_.all()) {
    if (call->outcome) {
      first.emplace_back(CallEnded{call->turn, call->attempt, *call->outcome});
    } else {
      tasks_.spawn("tell the end", tell_end(this, call->turn, call->attempt));
    }
  }
  return first;
}

void Leftovers::let_go() {
  tasks_.cancel();
  for (AgentCall* call : calls_.all()) call->listen(nullptr);
  listeners_.clear();
  tell_ = nullptr;
  may_ask(nullptr);
}

Task<void> Leftovers::tell_end(Leftovers* self, TurnId turn, std::uint32_t attempt) {
  AgentCall* call = self->calls_.find(turn, attempt);
  while (call != nullptr && !call->ended.is_set()) {
    co_await call->ended.wait();
    call = self->calls_.find(turn, attempt);
  }
  if (call != nullptr && call->outcome) self->tell_(CallEnded{turn, attempt, *call->outcome});
}

void hear_from_earlier(AgentCalls& calls, CallNews news,
                       const std::function<void(CallDropped)>& tell_back) {
  if (auto* begun = std::get_if<CallBegun>(&news)) {
    if (calls.find(begun->turn, begun->attempt) != nullptr) return;
    const CallDropped dropped{begun->turn, begun->attempt};
    const auto drop = [&tell_back, dropped] { tell_back(dropped); };
    AgentCall& call = calls.adopt(begun->turn, begun->attempt, begun->running_for,
                                  std::move(begun->memory), drop);
    call.not_made = begun->not_made;
  } else if (auto* delta = std::get_if<CallDelta>(&news)) {
    if (AgentCall* call = calls.find(delta->turn, delta->attempt)) call->delta(delta->text);
  } else if (auto* ended = std::get_if<CallEnded>(&news)) {
    if (calls.find(ended->turn, ended->attempt) == nullptr) {
      tell_back({ended->turn, ended->attempt});  // its turn is over; it need not be kept
      return;
    }
    calls.finish(ended->turn, ended->attempt, std::move(ended->outcome));
  }
}

}  // namespace sluice
