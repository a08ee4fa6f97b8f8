#pragma once
// AgentCalls: the calls of agents that are under way. They belong to the process, not to the turns
// that wait for them: at a hand-over the turns go to the successor while the calls run on here, and
// to the successor each is a call like any other, which ends by what it hears from here (C26, C27).
//
// Shard-confined. Outlives the gateway that uses it; owned by the process, or by the core where
// nothing is ever handed over.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/agent.h"
#include "gateway/options.h"
#include "runtime/wait.h"

namespace sluice {

/// What a turn knows that is nowhere on disk while its agent works; it goes to the successor.
struct TurnMemory {
  HistoryId new_session;  // not 0: with this turn a session begins, after that line
  std::string session;
  bool summarise = false;
  bool suspect = false;  // one of these at a time (C14)
};

/// One attempt of a turn, from the call until its outcome is on disk.
class AgentCall : public DeltaSink {
 public:
  AgentCall(Loop& loop, TurnId turn, std::uint32_t attempt, std::size_t most);

  const TurnId turn;
  const std::uint32_t attempt;
  MonoTime since;
  TurnMemory memory;      // filled in when it is handed over
  bool not_made = false;  // handed over before the agent was called: whoever takes it over calls it
  /// The agent's, once it has come to its end.
  std::optional<Result<AgentReply>> outcome;
  /// Its process is gone, and with it the outcome: the attempt was interrupted.
  bool lost = false;
  /// Set with outcome, or with lost.
  Event ended;

  /// A piece of the reply. It is handed on in whole code points, and nothing after what is none.
  void delta(std::string_view text) override;
  /// Who hears what comes from now on; gets at once what is kept. Null: nobody. What comes while
  /// nobody listens is kept, and all that comes while the call is handed over: whoever it is handed
  /// to may be gone before the turn ends. Up to the bound on replies and one piece more.
  void listen(DeltaSink* listener);
  /// What is kept.
  const std::string& unheard() const { return unheard_; }
  /// Puts what was heard before in front of it, for whoever listens next.
  void unhear(std::string_view heard) { unheard_.insert(0, heard); }

 private:
  friend class AgentCalls;
  void hand_on(std::string_view text);

  DeltaSink* listener_ = nullptr;
  std::size_t most_;
  std::string rest_;  // the beginning of a code point
  bool garbled_ = false;
  std::string unheard_;
  bool keep_ = false;  // handed over
  std::shared_ptr<Agent> agent_;
  std::optional<Running> running_;  // here; else elsewhere
  std::function<void()> on_drop_;
};

class AgentCalls {
 public:
  /// most: bytes of a reply that are kept while nobody listens.
  AgentCalls(Loop& loop, std::size_t most) : loop_(loop), most_(most) {}
  AgentCalls(const AgentCalls&) = delete;
  AgentCalls& operator=(const AgentCalls&) = delete;

  /// A turn's hold on its call. Letting go ends the call, unless it was handed over.
  class Handle {
   public:
    Handle() = default;
    Handle(Handle&& other) noexcept
        : calls_(std::exchange(other.calls_, nullptr)), call_(std::exchange(other.call_, {})) {}
    Handle& operator=(Handle&& other) noexcept;
    ~Handle() { drop(); }
    AgentCall* operator->() const { return call_.get(); }
    AgentCall* get() const { return call_.get(); }
    explicit operator bool() const { return call_ != nullptr; }
    void drop();

   private:
    friend class AgentCalls;
    Handle(AgentCalls* calls, std::shared_ptr<AgentCall> call)
        : calls_(calls), call_(std::move(call)) {}
    AgentCalls* calls_ = nullptr;
    std::shared_ptr<AgentCall> call_;
  };

  /// Calls the agent; after limit the outcome is kTimeout. What it throws becomes kInternal.
  Handle begin(std::shared_ptr<Agent> agent, TurnRequest request, milliseconds limit);
  /// A call that runs in another process: what is heard of it is told to find(). drop is called if
  /// the turn lets go of it, also after its outcome.
  AgentCall& adopt(TurnId turn, std::uint32_t attempt, milliseconds running_for, TurnMemory memory,
                   std::function<void()> drop);
  /// The turn goes on with a call that it finds at its start; empty if there is none.
  Handle take(TurnId turn, std::uint32_t attempt);

  /// nullptr if there is none.
  AgentCall* find(TurnId turn, std::uint32_t attempt) const;
  /// Its end, unless it has one. Unknown calls are ignored: their turns have ended.
  void finish(TurnId turn, std::uint32_t attempt, Result<AgentReply> outcome);
  /// The process that the adopted calls run in is gone.
  void lose_adopted();
  /// Ends a call that no turn holds any more. The agent's frames are destroyed.
  void drop(TurnId turn, std::uint32_t attempt);

  /// From here on turns that let go of their calls end none: they are about to be destroyed, and
  /// the calls wait for whom they are handed to.
  void hand_over() { set_handed_over(true); }
  bool handed_over() const { return handed_over_; }
  /// They are this process's own again.
  void take_back() { set_handed_over(false); }

  std::vector<AgentCall*> all() const;
  bool empty() const { return calls_.empty(); }
  /// How many run in another process.
  std::size_t elsewhere() const;
  /// Pulsed when one is gone.
  Event& changed() { return changed_; }

 private:
  void set_handed_over(bool is);
  static Task<void> run(AgentCalls* calls, AgentCall* call, TurnRequest request,
                        milliseconds limit);

  Loop& loop_;
  std::size_t most_;
  bool handed_over_ = false;
  Event changed_{loop_};
  std::unordered_map<TurnId, std::shared_ptr<AgentCall>> calls_;  // a turn has one at a time
};

}  // namespace sluice
