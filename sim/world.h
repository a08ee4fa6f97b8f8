#pragma once
// World: one seeded run of the real core on the real store over the lossy disk, with everything
// around it simulated: people, platforms, agents, clocks, crashes. The same seed replays exactly.
//
// A run has two phases. In the storm everything may fail and the process dies a few times; in the
// calm nothing new fails, and all that was accepted must come to an end that somebody can see. Then
// the checkers compare what the outside saw with what the store says.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/gateway.h"
#include "gateway/succession.h"
#include "observe/memory_logger.h"
#include "sim/lossy_vfs.h"
#include "sim/outside.h"
#include "sim/sim_agent.h"
#include "sim/sim_channel.h"
#include "sim/stepped_store.h"

namespace sluice::sim {

class SimClock : public Clock {
 public:
  MonoTime now() override { return mono; }
  UnixMillis wall() override { return UnixMillis{mono.ns / 1'000'000 + offset_ms}; }
  MonoTime mono;
  std::int64_t offset_ms = 1'800'000'000'000;
};

/// One life of the daemon.
struct Process {
  Process(Clock& clock, std::uint64_t seed, std::size_t reply_bytes_max)
      : loop(clock, seed), calls(loop, reply_bytes_max), tasks(loop) {}
  Loop loop;
  Metrics metrics;
  MemoryLogger log;
  std::function<void(CallDropped)> tell_earlier;  // of calls that run there; outlives the calls
  AgentCalls calls;
  std::unique_ptr<SteppedStore> store;
  std::unique_ptr<Gateway> gateway;
  std::vector<SimChannel*> channels;
  TaskGroup tasks;
  bool storage_failed = false;
  bool handing_over = false;  // its channels are being stopped for a successor
  bool prepared = false;      // … and it writes nothing any more
};

/// A process that has handed over, and what is on its way between it and its successor.
struct Earlier {
  explicit Earlier(std::unique_ptr<Process> p)
      : process(std::move(p)), leftovers(process->loop, process->calls) {}
  std::unique_ptr<Process> process;
  Leftovers leftovers;
  std::deque<CallNews> to_successor;
  std::deque<CallDropped> to_earlier;
};

struct WorldReport {
  std::vector<Violation> violations;
  std::map<std::string, std::uint64_t> situations;
  std::uint64_t steps = 0;
  std::uint64_t trace = 0;  // hash of every choice; equal for equal seeds
  int crashes = 0;
  int acknowledged = 0;
};

class World {
 public:
  World(std::uint64_t seed, bool verbose);
  ~World();
  WorldReport run();

 private:
  static constexpr std::uint32_t kStrictAtOnce = 1;  // turns of the agent "strict" (C7)

  // script.cc: who exists and what they send.
  void write_script();
  void add_event(int n, const std::string& account, const std::string& chat,
                 const std::string& person, const std::string& word, std::int64_t at_ms);
  // world.cc: life and death.
  /// handed_over: the process before this one ended in good order.
  bool boot(bool handed_over = false);
  void crash(bool power_loss);
  // world_succession.cc: one process hands over to the next, and either may die.
  void read_early();
  void begin_hand_over();
  void hand_over();
  void attach_earlier(Process& successor);
  void lose_earlier();
  bool step_earlier();
  /// Its end is on its way to the process that it runs in.
  bool is_being_dropped(const AgentCall& call) const;
  void maybe_hand_over();
  bool step();
  bool at_rest();
  void run_until_rest();
  // world_people.cc: what people, platforms and operators do.
  bool was_told_nothing(const SentEvent& answer);
  void deliver_due();
  void keep_promises();
  void maybe_strike();
  void operate();
  // world_watch.cc: what must hold at each call and each send.
  void observe_call(const AgentCall& call);
  void observe_send(const std::string& account, const SendRequest& request);
  void trace(std::uint64_t what) { trace_ = (trace_ ^ what) * 0x100000001b3u; }
  SimChannel* channel(const std::string& account);

  const std::uint64_t seed_;
  const bool verbose_;
  Random random_;
  SimClock clock_;
  LossyDisk disk_;
  CoreOptions options_;
  Outside outside_;
  std::vector<ChannelInfo> accounts_;
  std::map<std::string, AccountOptions> account_options_;
  std::unique_ptr<Earlier> earlier_;  // still runs calls for process_
  std::unique_ptr<Process> process_;
  std::shared_ptr<EarlyRead> early_;  // a successor's, which waits
  std::string identity_ = "machine-1";
  int crashes_left_ = 0;
  int hand_overs_left_ = 0;
  int deaths_by_poison_ = 0;
  int crashes_ = 0;
  bool sync_fault_pending_ = false;
  std::uint64_t faults_seen_ = 0;
  MonoTime next_operation_;
  MonoTime disk_low_since_;
  milliseconds upkeep_ahead_{0};
  std::uint64_t steps_ = 0;
  std::uint64_t trace_ = 0xcbf29ce484222325u;
};

/// checkers.cc: what must hold at rest, each under the name of its sentence.
void check_at_rest(Outside& outside, StoreReader& reader, const std::vector<ChannelInfo>& channels,
                   Gateway& gateway);
void check_erasure(Outside& outside, SqliteEngine& engine, LossyDisk& disk,
                   const std::string& account, const std::string& person);

}  // namespace sluice::sim
