#include "sim/sim_agent.h"

#include <stdexcept>

namespace sluice::sim {
namespace {

constexpr std::string_view kNames[] = {"ok",           "slow",   "stream", "error-once",
                                       "error-always", "refuse", "throw",  "hang",
                                       "flood",        "long",   "poison", "park"};
static_assert(std::size(kNames) == static_cast<std::size_t>(Behaviour::kCount));

/// Marks the call as over however its frame ends, a crash included.
struct CallGuard {
  Outside* outside;
  std::size_t call;
  ~CallGuard() {
    outside->calls[call].ended = true;
    outside->calls[call].cut_by_crash = outside->dying;
  }
};

}  // namespace

std::string_view name_of(Behaviour behaviour) {
  return kNames[static_cast<std::size_t>(behaviour)];
}

Behaviour behaviour_of(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return Behaviour::kOk;
  const std::string word = text.substr(colon + 1, text.find(' ') - colon - 1);
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (word == kNames[i]) return static_cast<Behaviour>(i);
  }
  return Behaviour::kOk;
}

Task<Result<AgentReply>> SimAgent::run(TurnRequest request, DeltaSink& sink) {
  AgentCall call;
  call.turn = request.turn;
  call.attempt = request.attempt;
  call.process = outside_.process;
  call.agent = info_.name;
  call.account = request.account;
  for (const auto& m : request.messages) {
    call.messages.push_back(m->id);
    call.texts.push_back(m->text);
    call.lane = m->lane;
  }
  call.sender = request.messages.front()->sender;
  call.at = loop_.now();
  for (const HistoryRow& row : request.history) call.history.push_back(row.text);
  if (on_call) on_call(call);
  outside_.calls.push_back(std::move(call));
  const std::size_t index = outside_.calls.size() - 1;
  const CallGuard guard{&outside_, index};
  std::exception_ptr failure;
  Result<AgentReply> result = Error(ErrorKind::kInternal);
  try {
    result = co_await act(std::move(request), &sink, index);
  } catch (const std::exception&) {
    failure = std::current_exception();
  }
  outside_.calls[index].completed = true;
  if (failure) std::rethrow_exception(failure);
  co_return result;
}

Task<Result<AgentReply>> SimAgent::act(TurnRequest request, DeltaSink* sink, std::size_t index) {
  const std::string text = request.text();
  const Behaviour behaviour = behaviour_of(request.messages.back()->text);
  AgentReply reply;
  reply.text = "re " + text;
  if (loop_.random().percent(20)) {
    reply.meta.emplace();
    reply.meta->phase = "execute";
    reply.meta->seed = "seed";
  }
  switch (behaviour) {
    case Behaviour::kOk:
    case Behaviour::kLong:
      if (loop_.random().percent(50)) {
        co_await sleep_for(loop_, milliseconds(loop_.random().between(1, 50)));
      }
      if (behaviour == Behaviour::kLong) {
        for (int i = 0; i < 6; ++i) reply.text += "\nline " + std::to_string(i) + " of " + text;
      }
      break;
    case Behaviour::kSlow:
      co_await sleep_for(loop_, milliseconds(loop_.random().between(500, 5'000)));
      break;
    case Behaviour::kStream:
      reply.text.clear();
      for (int i = 0; i < 5; ++i) {
        const std::string piece = (i == 0 ? "re " + text : " w" + std::to_string(i));
        sink->delta(piece);
        outside_.calls[index].streamed += piece;
        reply.text += piece;
        co_await sleep_for(loop_, milliseconds(loop_.random().between(10, 400)));
      }
      break;
    case Behaviour::kErrorOnce:
      if (request.attempt == 1) {
        sink->delta("half a wo");
        outside_.calls[index].streamed = "half a wo";
        co_await sleep_for(loop_, milliseconds(5));
        co_return Error(ErrorKind::kUnavailable, "not now", ErrorSource::kPeer,
                        Retry::with_backoff());
      }
      break;
    case Behaviour::kErrorAlways:
      co_await sleep_for(loop_, milliseconds(5));
      co_return Error(ErrorKind::kUnavailable, "never", ErrorSource::kPeer, Retry::with_backoff());
    case Behaviour::kRefuse:
      co_return Error(ErrorKind::kPermissionDenied, "no", ErrorSource::kPeer);
    case Behaviour::kThrow:
      throw std::runtime_error("agent bug");
    case Behaviour::kHang: {
      Event never(loop_);
      co_await never.wait();
      break;
    }
    case Behaviour::kFlood:
      for (;;) {
        sink->delta(std::string(1000, 'x'));
        co_await sleep_for(loop_, milliseconds(1));
      }
    case Behaviour::kPoison:
      outside_.die_now = true;
      co_await sleep_for(loop_, milliseconds(20));
      break;
    case Behaviour::kPark: {
      Promise promise;
      promise.turn = request.turn;
      promise.attempt = request.attempt;
      promise.process = outside_.process;
      promise.text = reply.text;
      promise.kept = loop_.random().percent(85);
      // It may be there before the call has ended.
      promise.due = promise.kept ? loop_.now() + milliseconds(loop_.random().between(0, 9'000))
                                 : MonoTime::max();
      outside_.promises.push_back(std::move(promise));
      co_await sleep_for(loop_, milliseconds(loop_.random().between(0, 100)));
      reply = AgentReply{};
      reply.parked_for = milliseconds(15'000);
      break;
    }
    case Behaviour::kCount:
      break;
  }
  co_return reply;
}

}  // namespace sluice::sim
