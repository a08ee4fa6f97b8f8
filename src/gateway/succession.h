#pragma once
// Succession: what a process that has handed over and its successor tell each other about the
// agents' calls that the earlier one still runs (C26, C27). The successor owns the turns; the
// earlier process only works for them. All of it may be told again: it is known by (turn, attempt).
//
//   earlier  → successor   CallBegun, CallDelta, CallEnded
//   successor → earlier    CallDropped: its turn has ended, was stopped, or has the outcome on disk
//
// Whatever works for such a turn may ask agents beside it (Gateway::ask). The person's budget is
// the successor's, and so it asks them; a question is lost with either process, and ends as an
// error.
//
//   earlier  → successor   AgentAsked, AgentUnasked: nobody waits for the answer any more
//   successor → earlier    AgentAnswered
//
// Shard-confined.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gateway/agent_calls.h"
#include "runtime/task_group.h"

namespace sluice {

class Gateway;

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
struct AgentAsked {
  TurnId turn;
  std::uint32_t attempt = 0;
  std::uint64_t question = 0;  // the earlier process's number for it
  std::string agent;
  std::string prompt;
  milliseconds most{0};
  TurnRequest of;  // the turn's, without its history and the texts of its messages
};
struct AgentUnasked {
  TurnId turn;
  std::uint32_t attempt = 0;
  std::uint64_t question = 0;
};
struct AgentAnswered {
  TurnId turn;
  std::uint32_t attempt = 0;
  std::uint64_t question = 0;
  Result<AgentReply> outcome = Error(ErrorKind::kInternal);
};
using CallNews = std::variant<CallBegun, CallDelta, CallEnded, CallDropped, AgentAsked,
                              AgentUnasked, AgentAnswered>;

/// One news as bytes: a tag, then fixed-width little-endian integers and strings that begin with
/// their length. For the same machine; Handover's version covers it.
std::string encode(const CallNews& news);
/// kInvalidArgument: these bytes are none.
Result<CallNews> decode_call_news(std::string_view bytes);

/// The earlier process's side.
class Leftovers {
 public:
  /// How long a question waits for a successor that is not there yet.
  static constexpr Duration kNobodyYet = std::chrono::seconds(30);

  Leftovers(Loop& loop, AgentCalls& calls);
  ~Leftovers() { let_go(); }
  Leftovers(const Leftovers&) = delete;
  Leftovers& operator=(const Leftovers&) = delete;

  /// Who hears of the calls from now on; returns what it has to know first. Not inside a task of a
  /// call.
  std::vector<CallNews> attach(std::function<void(CallNews)> tell);
  /// Nobody does, until somebody else is attached.
  void let_go();
  void heard(const CallDropped& dropped) { calls_.drop(dropped.turn, dropped.attempt); }
  void heard(AgentAnswered answer);

  /// As Gateway::ask, by whoever has the store now. kUnavailable, too, if that one is lost. The
  /// task may outlive this.
  Task<Result<AgentReply>> ask(std::string agent, TurnRequest request, std::string prompt,
                               milliseconds most);

 private:
  class Listener;
  struct Questions;
  class Question;
  static Task<void> tell_end(Leftovers* self, TurnId turn, std::uint32_t attempt);
  /// Null: nobody is there to be asked, and those who wait are told so.
  void may_ask(std::function<void(CallNews)> tell);
  static Task<Result<AgentReply>> ask_by(std::shared_ptr<Questions> all, std::string agent,
                                         TurnRequest request, std::string prompt,
                                         milliseconds most);

  AgentCalls& calls_;
  std::function<void(CallNews)> tell_;
  std::shared_ptr<Questions> questions_;
  std::vector<std::unique_ptr<DeltaSink>> listeners_;
  TaskGroup tasks_;
};

/// The successor's side of questions. Shard-confined; destroyed before the gateway that it asks.
class AsksForEarlier {
 public:
  AsksForEarlier(Gateway& gateway, std::function<void(CallNews)> tell_back);
  /// What is no question it leaves.
  void hear(const CallNews& news);

 private:
  Task<void> ask(AgentAsked asked, std::shared_ptr<Event> called_off);

  Gateway& gateway_;
  std::function<void(CallNews)> tell_back_;
  std::map<std::uint64_t, std::shared_ptr<Event>> under_way_;  // set: called off
  TaskGroup tasks_;
};

/// The successor's side: puts what it hears into its own calls. tell_back must outlive the calls.
void hear_from_earlier(AgentCalls& calls, CallNews news,
                       const std::function<void(CallDropped)>& tell_back);

}  // namespace sluice
