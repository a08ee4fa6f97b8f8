#pragma once
// Succession of processes: one spawns the next, which checks its configuration, says that it is
// ready, and is given everything in one frame: the store's lock, the listening sockets, the calls
// of agents that still run. Until that frame nothing has changed, whatever becomes of the next one.
// After it the earlier process only runs those calls, and gives everything to another process of
// its own image if its successor dies.
//
//   1. spawn: the file that is installed where this process was started from (-> another version);
//      or a process that an operator has started comes in at the door
//   2. kHello (protocol, version, data
//      directory), kReady                     within upgrade_timeout, else it is killed
//   3. Daemon::leave(), then kNews*, kCommit  the successor opens the store, starts, listens
//   4. kAccepting                             within upgrade_timeout, else it is killed, and 1
//                                             again with this process's own image
//   5. the end                                once rollback_window is over and no call is left
//
// Shard-confined; owned by run().

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "app/daemon.h"
#include "app/handover_door.h"
#include "app/handover_link.h"
#include "gateway/succession.h"

namespace sluice::app {

/// The descriptor of the link, for a process that is to take over.
inline constexpr const char* kHandoverVariable = "SLUICE_HANDOVER_FD";

/// How the control socket is named among the descriptors of kCommit.
inline constexpr std::string_view kControlOfEstate = "control";

/// The successor's side.
class Heir {
 public:
  /// nullptr: this process was started in the ordinary way. Takes the variable out of the
  /// environment.
  static Result<std::unique_ptr<Heir>> from_environment(Shard& shard, Logger& log);

  /// The daemon that runs did not spawn us: we ask it (handover_socket()). kNotFound: none runs.
  static Result<std::unique_ptr<Heir>> at_door(Shard& shard, Logger& log, const std::string& path);

  /// Says that we could serve from this data directory, and waits to be told to. The calls that run
  /// in the earlier process are among `calls` then. kConflict: it refuses, and says why;
  /// kUnavailable: it wants no successor any more, or is gone.
  Task<Result<void>> take_over(AgentCalls* calls, std::string data);
  Estate& estate() { return estate_; }
  void accepting() { link_->send(HandoverLink::Type::kAccepting, {}); }
  /// The earlier process is to end with us, not to replace us.
  void stopping() { link_->send(HandoverLink::Type::kStopping, {}); }
  /// Hears what the earlier process says of its calls, and asks the gateway's agents for it, until
  /// it ends.
  Task<void> listen(Gateway* gateway);
  bool earlier_lives() const { return !gone_; }

 private:
  Heir(std::unique_ptr<HandoverLink> link, Logger& log) : link_(std::move(link)), log_(log) {}
  /// What the earlier process says; nullopt if it is garbage.
  std::optional<CallNews> read(std::string_view bytes);
  void hear(CallNews news);

  std::unique_ptr<HandoverLink> link_;
  Logger& log_;
  AgentCalls* calls_ = nullptr;
  Estate estate_;
  std::function<void(CallDropped)> tell_earlier_;
  bool gone_ = false;
};

/// The earlier process's side.
class Succession {
 public:
  static constexpr int kRebirthsMost = 5;          // then the calls are given up with us
  static constexpr std::size_t kVisitorsMost = 4;  // who say that they are the successor

  struct Parts {
    Shard& shard;
    Logger& log;
    AgentCalls& calls;
    lifecycle::Announcer& announcer;
    std::string data;  // the data directory
    std::function<Daemon*()> daemon;
    std::function<ProcessOptions()> options;  // as they are now; asked while there is a daemon
    std::function<bool()> may_begin;          // serving, not stopping, and without a predecessor
    std::function<bool()> stopping;
  };
  explicit Succession(Parts parts);

  /// From now on a process that nobody spawned may take over, too.
  Result<void> open_door(const std::string& path);
  /// Begins. kConflict: one is on its way, or this process is not serving.
  Result<void> ask();
  /// The same as soon as it may be. kConflict: a newer one was asked for meanwhile, or this process
  /// stops; kUnavailable: the successor is to be asked. May be destroyed: then it was never asked.
  Task<Result<void>> ask_in_turn();
  /// What a restart waits for has changed.
  void look_again() { changed_.pulse(); }
  /// This process is about to stop: the successor that is on its way is killed.
  void call_off();
  /// Why the last one came to nothing; empty if it did not.
  const std::string& failed() const { return failed_; }
  /// The store is being closed for the successor, or is closed: there is no way back.
  bool leaving() const { return leaving_; }
  /// Set when it is closed.
  Event& left() { return left_; }
  /// Leftovers::ask
  Task<Result<AgentReply>> ask_agent(std::string agent, TurnRequest request, std::string prompt,
                                     milliseconds most) {
    return leftovers_.ask(std::move(agent), std::move(request), std::move(prompt), most);
  }
  /// Once leaving: the successor is to stop as well, and is not replaced.
  void stop();
  /// From then on: until the successor stands alone. The process's exit code.
  Task<int> linger();

 private:
  struct Born {
    pid_t pid = -1;
    std::unique_ptr<HandoverLink> link;
    services::Descriptor process;  // its pidfd, if it is no child of ours
  };
  Result<void> may_begin() const;
  Task<void> hand_over();
  Task<void> hand_over_to(Born born);
  Task<void> answer_door();
  Task<void> receive(HandoverDoor::Visitor visitor);
  static Result<Born> spawn(Shard& shard, const std::string& program);
  /// kUnavailable: it is gone; kTimeout; kInvalidArgument: it is no successor of ours.
  Task<Result<void>> until_ready(Born* born);
  Result<void> check_hello(const std::string& hello) const;
  /// The same for one that we have spawned, which is ended if it fails, and how in words.
  Task<Result<void>> until_child_ready(Born* born);
  Task<Result<void>> give(Born* born);
  Task<void> rebirth();
  /// Its exit, in words; ends it if it does not end by itself.
  Task<std::string> bury(Born* born);
  Task<std::string> bury_stranger(Born* born);
  static void send_signal(const Born& born, int signal);
  void take_news(std::string_view bytes);
  /// The next word about calls; false at the end of the stream.
  Task<bool> hear();

  Parts parts_;
  std::string program_;  // where this process was started from
  Leftovers leftovers_;
  std::optional<Estate> estate_;
  pid_t awaited_ = -1;  // a child that is not ready yet
  std::unique_ptr<HandoverDoor> door_;
  std::optional<Born> successor_;
  bool busy_ = false;
  bool leaving_ = false;
  bool stopping_ = false;
  std::string failed_;
  std::uint64_t newest_ = 0;  // of those that wait for their turn
  Event changed_;
  Event left_;
  TaskGroup tasks_;
  TaskGroup visits_;
};

}  // namespace sluice::app
