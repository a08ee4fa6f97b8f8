#pragma once
// BarePipeline: what a turn costs with everything off that can be thought away. Conversations keep
// their order, the echo agent is called, and the same rows go to the same store in the same number
// of transactions; but nobody checks access or bounds, hashes keys, shares slots, keeps sessions,
// sets deadlines, counts, or tells readers.
//
// The reference of the row about the pipeline's CPU. Shard-confined.

#include <deque>

#include "agents/echo/echo_agent.h"
#include "null_store.h"
#include "runtime/shard.h"
#include "world.h"

namespace sluice::bench {

class BarePipeline {
 public:
  BarePipeline(std::size_t conversations, std::size_t depth);
  World::Sample run(double seconds);

 private:
  struct Lane {
    LaneId id;
    HistoryId head;
    std::deque<std::shared_ptr<const MessageRow>> waiting;
    bool busy = false;
  };
  Task<void> say(InboundMessage message);
  Task<void> run_lane(Lane* lane);
  Task<void> run_turn(Lane* lane, std::shared_ptr<const MessageRow> message);
  static Task<void> stop_after(Shard* shard, double seconds);

  SystemClock clock_;
  Shard shard_;
  NullStore store_;
  EchoAgent agent_;
  People people_;
  std::deque<Lane> lanes_;
  std::int64_t last_id_ = 0;
  TaskGroup tasks_;
};

}  // namespace sluice::bench
