// Questions that an earlier process has for agents, and the successor's answers.

#include <optional>
#include <utility>

#include "gateway/gateway.h"
#include "gateway/succession.h"

namespace sluice {

/// Shared with those who ask, who may outlive the process's part in the succession.
struct Leftovers::Questions {
  explicit Questions(Loop& l) : loop(l), attached(l) {}
  Loop& loop;
  std::function<void(CallNews)> tell;  // null: nobody is there to be asked
  Event attached;                      // pulsed when somebody is
  std::map<std::uint64_t, Question*> waiting;
  std::uint64_t last = 0;
};

class Leftovers::Question {
 public:
  Question(std::shared_ptr<Questions> all, TurnId turn, std::uint32_t attempt)
      : all_(std::move(all)),
        answered_(all_->loop),
        turn_(turn),
        attempt_(attempt),
        number_(++all_->last) {
    all_->waiting.emplace(number_, this);
  }
  ~Question() {
    all_->waiting.erase(number_);
    if (!answer_ && all_->tell) all_->tell(AgentUnasked{turn_, attempt_, number_});
  }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;

  std::uint64_t number() const { return number_; }
  void answer(Result<AgentReply> answer) {
    if (answer_) return;
    answer_.emplace(std::move(answer));
    answered_.set();
  }
  Task<Result<AgentReply>> wait() {
    co_await answered_.wait();
    co_return *answer_;
  }

 private:
  const std::shared_ptr<Questions> all_;
  Event answered_;
  std::optional<Result<AgentReply>> answer_;
  const TurnId turn_;
  const std::uint32_t attempt_;
  const std::uint64_t number_;
};

namespace {

Error nobody() {
  return Error(ErrorKind::kUnavailable, "the successor can't be asked", ErrorSource::kSelf,
               Retry::with_backoff());
}

}  // namespace

Leftovers::Leftovers(Loop& loop, AgentCalls& calls)
    : calls_(calls), questions_(std::make_shared<Questions>(loop)), tasks_(loop) {}

void Leftovers::may_ask(std::function<void(CallNews)> tell) {
  questions_->tell = std::move(tell);
  if (questions_->tell) {
    questions_->attached.pulse();
    return;
  }
  // Whoever comes next knows nothing of them.
  for (const auto& [number, question] : questions_->waiting) question->answer(nobody());
}

void Leftovers::heard(AgentAnswered answer) {
  const auto found = questions_->waiting.find(answer.question);
  if (found != questions_->waiting.end()) found->second->answer(std::move(answer.outcome));
}

Task<Result<AgentReply>> Leftovers::ask(std::string agent, TurnRequest request, std::string prompt,
                                        milliseconds most) {
  return ask_by(questions_, std::move(agent), std::move(request), std::move(prompt), most);
}

Task<Result<AgentReply>> Leftovers::ask_by(std::shared_ptr<Questions> all, std::string agent,
                                           TurnRequest request, std::string prompt,
                                           milliseconds most) {
  const MonoTime until = all->loop.now() + kNobodyYet;
  while (!all->tell) {
    const bool in_time = co_await all->attached.wait_until(until);
    if (!in_time) co_return nobody();
  }
  Question question(all, request.turn, request.attempt);
  all->tell(AgentAsked{request.turn, request.attempt, question.number(), std::move(agent),
                       std::move(prompt), most, std::move(request)});
  co_return co_await question.wait();
}

AsksForEarlier::AsksForEarlier(Gateway& gateway, std::function<void(CallNews)> tell_back)
    : gateway_(gateway), tell_back_(std::move(tell_back)), tasks_(gateway.core().loop) {}

void AsksForEarlier::hear(const CallNews& news) {
  if (const auto* asked = std::get_if<AgentAsked>(&news)) {
    const auto [place, fresh] =
        under_way_.emplace(asked->question, std::make_shared<Event>(gateway_.core().loop));
    if (fresh) tasks_.spawn("ask for the earlier process", ask(*asked, place->second));
  } else if (const auto* unasked = std::get_if<AgentUnasked>(&news)) {
    const auto found = under_way_.find(unasked->question);
    if (found != under_way_.end()) found->second->set();
  }
}

Task<void> AsksForEarlier::ask(AgentAsked asked, std::shared_ptr<Event> called_off) {
  auto answer = co_await run_until<Result<AgentReply>>(
      gateway_.core().loop,
      gateway_.ask(asked.agent, std::move(asked.of), std::move(asked.prompt), asked.most),
      MonoTime::max(), called_off.get());
  under_way_.erase(asked.question);
  if (answer.ended != Ended::kDone) co_return;
  tell_back_(AgentAnswered{asked.turn, asked.attempt, asked.question, std::move(*answer.value)});
}

}  // namespace sluice
