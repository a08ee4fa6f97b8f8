// Turns that wait for something outside, on disk and in no process (C15).

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/mutant.h"
#include "gateway/turns.h"

namespace sluice {
namespace {

// An answer may overtake the call that promised it: how long it waits for the turn to be parked.
constexpr milliseconds kAnswerWaits{10'000};

}  // namespace

Task<void> Turns::park(Lane* lane, Messages messages, milliseconds longest) {
  RunningTurn& running = *lane->running;
  // A /stop that is on its way to the disk comes first.
  co_await stop_settled(&running);
  if (running.stop.is_set()) {
    co_await finish(lane, std::move(messages), stopped(*lane));
    co_return;
  }
  running.row.state = TurnState::kParked;
  running.row.not_before = core_.now() + longest;
  const TurnRow row = running.row;
  core_.log.info("turn_parked", {{"turn", row.id.value},
                                 {"lane", lane->id.value},
                                 {"attempt", row.attempt},
                                 {"longest_ms", longest.count()}});
  if (!mutant(Mutant::kParkInMemory)) {
    co_await core_.commit_surely(nullptr, [&row, &running] {
      Transaction t;
      t.changes.turns.push_back(row);
      if (running.new_session) t.changes.sessions.emplace_back(row.lane, running.new_session);
      return t;
    });
  }
  if (running.new_session) core_.head(*lane).session_start = running.new_session;
  OpenTurn open;
  open.row = row;
  open.taken = std::move(running.taken);
  if (running.stopping) open.row.state = TurnState::kStopped;
  const bool is_stopped = running.stop.is_set();
  const StopReason why = running.why;
  const bool suspect = running.suspect;
  const LaneId id = lane->id;
  lane->running.reset();
  wait_outside(*lane, std::move(open));
  core_.feeds.phase(id, FeedPhase{row.id, row.messages.front(), TurnPhase::kParked});
  if (suspect) lanes_.suspect_done(id);
  if (is_stopped) stop(*lane, why);
}

void Turns::wait_outside(Lane& lane, OpenTurn open) {
  const milliseconds left =
      std::clamp(open.row.not_before - core_.now(), milliseconds(0), AgentReply::kLongestPark);
  core_.parked.emplace(open.row.id, Core::Parked{lane.id, core_.loop.now() + left});
  lane.parked = std::make_unique<OpenTurn>(std::move(open));
  lane.busy = true;
  core_.turns_changed.pulse();
}

OpenTurn Turns::unpark(Lane& lane) {
  OpenTurn open = std::move(*lane.parked);
  lane.parked.reset();
  core_.parked.erase(open.row.id);
  return open;
}

bool Turns::waits_for(TurnId turn, std::uint32_t attempt, bool* other_attempt) {
  bool running = false;
  lanes_.for_each([&](const Lane& lane) {
    if (lane.running == nullptr || lane.running->row.id != turn || lane.running->ending ||
        lane.running->answered) {
      return;
    }
    running = lane.running->row.attempt == attempt;
    *other_attempt = !running;
  });
  return running;
}

Task<Result<void>> Turns::answer_parked(TurnId turn, std::uint32_t attempt,
                                        Result<AgentReply> reply) {
  const MonoTime patience = core_.loop.now() + kAnswerWaits;
  while (!core_.parked.contains(turn)) {
    bool other_attempt = false;
    const bool wait = waits_for(turn, attempt, &other_attempt);
    if (other_attempt)
      co_return Error(ErrorKind::kConflict, "another attempt of that turn is running");
    if (!wait) co_return Error(ErrorKind::kNotFound, "no such turn waits for an answer");
    const bool changed = co_await core_.turns_changed.wait_until(patience);
    if (!changed) {
      co_return Error(ErrorKind::kUnavailable, "the turn is not parked yet", ErrorSource::kSelf,
                      Retry::after(milliseconds(1'000)));
    }
  }
  Lane& lane = *lanes_.active(core_.parked.at(turn).lane);
  if (lane.parked->row.attempt != attempt)
    co_return Error(ErrorKind::kConflict, "another attempt of that turn waits for an answer");
  // While a /stop is being written, or the channel is not back, nobody can tell how this will end.
  if (lane.parked->row.state != TurnState::kParked || lane.account->channel == nullptr) {
    co_return Error(ErrorKind::kUnavailable, "the turn can't be answered just now",
                    ErrorSource::kSelf, Retry::after(milliseconds(1'000)));
  }
  auto done = std::make_shared<Completion<Result<void>>>(core_.loop);
  core_.tasks.spawn("answer parked", end_parked(&lane, std::move(reply), done));
  co_return co_await done->get();
}

Task<void> Turns::end_parked(Lane* lane, Result<AgentReply> reply,
                             std::shared_ptr<Completion<Result<void>>> done) {
  OpenTurn open = unpark(*lane);
  lane->running = core_.begin_turn(*lane);
  RunningTurn& running = *lane->running;
  running.row = std::move(open.row);
  running.taken = std::move(open.taken);
  running.on_disk = running.answered = true;
  running.since = core_.loop.now();
  Messages messages = co_await load(lane);
  if (messages.empty()) {
    leave(*lane);
    done->set(Error(ErrorKind::kNotFound, "its messages are gone"));
    co_return;
  }
  name_turn(*lane, messages);
  Ending ending;
  std::optional<Error> failure;
  if (!reply) {
    failure = reply.error();
  } else if (reply->parked_for) {
    failure = Error(ErrorKind::kBadResponse, "a parked turn can't be parked by its answer",
                    ErrorSource::kPeer);
  } else {
    failure = take_reply(*lane, std::move(*reply), ending);
  }
  co_await conclude(lane, std::move(messages), std::move(ending), std::move(failure));
  done->set(Result<void>());
}

void Turns::expire_parked() {
  std::vector<LaneId> late;
  for (const auto& [turn, parked] : core_.parked) {
    const Lane& lane = *lanes_.active(parked.lane);
    if (parked.until < core_.loop.now() && lane.parked->row.state == TurnState::kParked &&
        lane.account->channel != nullptr)
      late.push_back(parked.lane);
  }
  // The table's own order differs from run to run.
  std::sort(late.begin(), late.end());
  for (LaneId id : late) {
    auto nobody = std::make_shared<Completion<Result<void>>>(core_.loop);
    core_.tasks.spawn("end parked",
                      end_parked(lanes_.active(id),
                                 Error(ErrorKind::kTimeout, "no answer came from outside in time",
                                       ErrorSource::kPeer),
                                 std::move(nobody)));
  }
}

}  // namespace sluice
