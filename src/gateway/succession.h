#pragma once
// Succession: what a process that has handed over and its successor tell each other about the
// agents' calls that the earlier one still runs (C26, C27). The successor owns the turns; the
// earlier process only works for them. All of it may be told again: it is known by (turn, attempt).
//
//   earlier  → successor   CallBegun, CallDelta, CallEnded
//   successor → earlier    CallDropped: its turn has ended, was stopped, or has the outcome on disk
//
// Shard-confined.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gateway/agent_calls.h"
#include "runtime/task_group.h"

namespace sluice {

struct CallBegun {
  TurnId turn;
  std::uint32_t attempt = 0;
  milliseconds running_for{0};
  TurnMemory memory;
  bool not_made = false;
};
/// Whole code points.
struct CallDelta {
  TurnId turn;
  std::uint32_t attempt = 0;
  std::string text;
};
struct CallEnded {
  TurnId turn;
  std::uint32_t attempt = 0;
  Result<AgentReply> outcome = Error(ErrorKind::kInternal);
};
struct CallDropped {
  TurnId turn;
  std::uint32_t attempt = 0;
};
using CallNews = std::variant<CallBegun, CallDelta, CallEnded, CallDropped>;

/// One news as bytes: a tag, then fixed-width little-endian integers and strings that begin with
/// their length. For the same machine; Handover's version covers it.
std::string encode(const CallNews& news);
/// kInvalidArgument: these bytes are none.
Result<CallNews> decode_call_news(std::string_view bytes);

/// The earlier process's side.
class Leftovers {
 public:
  Leftovers(Loop& loop, AgentCalls& calls) : calls_(calls), tasks_(loop) {}
  ~Leftovers() { let_go(); }
  Leftovers(const Leftovers&) = delete;
  Leftovers& operator=(const Leftovers&) = delete;

  /// Who hears of the calls from now on; returns what it has to know first. Not inside a task of a
  /// call.
  std::vector<CallNews> attach(std::function<void(CallNews)> tell);
  /// Nobody does, until somebody else is attached.
  void let_go();
  void heard(const CallDropped& dropped) { calls_.drop(dropped.turn, dropped.attempt); }

 private:
  class Listener;
  static Task<void> tell_end(Leftovers* self, TurnId turn, std::uint32_t attempt);

  AgentCalls& calls_;
  std::function<void(CallNews)> tell_;
  std::vector<std::unique_ptr<DeltaSink>> listeners_;
  TaskGroup tasks_;
};

/// The successor's side: puts what it hears into its own calls. tell_back must outlive the calls.
void hear_from_earlier(AgentCalls& calls, CallNews news,
                       const std::function<void(CallDropped)>& tell_back);

}  // namespace sluice
