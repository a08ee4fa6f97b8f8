#pragma once
// World: a gateway with one account, the echo agent and people who talk to it, on a shard of its
// own. Any store goes in: the null store, the real one, or a plain file.
//
// Everything runs on the thread that calls run(); between two runs all stands still, so that two
// worlds can be measured in turn. Abort on anything unexpected: a lost or reordered reply would
// make the figures worthless.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agents/echo/echo_agent.h"
#include "gateway/gateway.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "runtime/shard.h"

namespace sluice::bench {

/// People: each talks in a conversation of their own, with up to `depth` messages unanswered.
/// Checks that answers come in the order of the messages.
class People {
 public:
  People(Loop& loop, std::size_t conversations, std::size_t depth);

  using Say = std::function<Task<void>(InboundMessage)>;  // returns when it was accepted
  /// Everybody begins, and says the next thing as soon as an answer came.
  void start(Say say);
  /// Everybody falls silent once their last message was answered.
  void hush() { quiet_ = true; }
  /// Nobody says anything any more, and what was being said is dropped.
  void stop() { tasks_.cancel(); }
  /// What was answered in this chat: "NUMBER of SOMETHING".
  void answered(std::string_view chat, std::string_view text);

  InboundMessage message(std::size_t person, std::uint64_t number);
  std::uint64_t turns() const { return turns_; }
  std::uint64_t answered_in(std::size_t person) const { return conversations_[person].answered; }

 private:
  struct Place {
    explicit Place(Loop& loop) : free(loop) {}
    Event free;
  };
  struct Conversation {
    std::uint64_t said = 0;
    std::uint64_t answered = 0;
    std::deque<Place> places;  // by number modulo depth
  };
  Task<void> talk(std::size_t person, Say* say);

  Loop& loop_;
  std::size_t depth_;
  std::deque<Conversation> conversations_;
  Say say_;
  std::uint64_t turns_ = 0;
  bool quiet_ = false;
  TaskGroup tasks_;
};

/// A channel that pushes into People, or one that pulls: then a reader follows each conversation.
class BenchChannel : public Channel {
 public:
  using OnSend = std::function<void(const SendRequest&)>;
  BenchChannel(Loop& loop, People& people, bool pull, OnSend on_send);
  const ChannelInfo& info() const override { return info_; }
  const AccountOptions& account() const override { return options_; }
  void set_account(const AccountOptions& account) override { options_ = account; }
  Task<Result<void>> start(ChannelHost& host) override;
  Task<void> stop() override;
  Task<SendOutcome> send(SendRequest request) override;

  ChannelHost& host() { return *host_; }
  /// Follows the conversation, once; for a channel that pulls.
  void follow(LaneId lane, std::string chat);

 private:
  Task<void> read(LaneId lane, std::string chat);

  People& people_;
  const OnSend on_send_;
  ChannelInfo info_;
  AccountOptions options_;
  ChannelHost* host_ = nullptr;
  std::unordered_map<LaneId, bool> followed_;
  TaskGroup tasks_;
};

class World {
 public:
  struct Setup {
    std::size_t conversations = 64;
    std::size_t depth = 4;
    bool pull = false;
    CoreOptions core;
    EchoOptions echo;
    /// Called with what is sent, in place of the people.
    std::function<void(const SendRequest&)> on_send;
  };
  using MakeStore = std::function<std::unique_ptr<Store>(World&)>;

  /// recovered: what the store found; empty for a new one.
  World(Setup setup, const MakeStore& make_store);
  ~World();

  /// Runs everything for so long. What it returns happened in that time.
  struct Sample {
    std::uint64_t turns = 0;
    double seconds = 0;
    double shard_cpu = 0;    // seconds
    double process_cpu = 0;  // seconds, of all threads
  };
  Sample run(double seconds);
  /// Runs until the task is done.
  void run_task(Task<void> task);
  /// People begin to talk.
  void start_people();
  Task<Result<std::vector<Accepted>>> accept(InboundMessage message);

  Shard& shard() { return shard_; }
  Clock& clock() { return clock_; }
  Logger& log() { return log_; }
  Metrics& metrics() { return metrics_; }
  Gateway& gateway() { return *gateway_; }
  Store& store() { return *store_; }
  People& people() { return people_; }
  BenchChannel& channel() { return *channel_; }
  /// For MakeStore: what the gateway is to take over.
  Recovered recovered;
  HashKey hash_key{};

 private:
  Task<void> say(InboundMessage message);
  static Task<void> stop_after(Shard* shard, double seconds);
  static Task<void> stop_when_done(Shard* shard, Task<void> task);
  Task<void> open(std::unique_ptr<BenchChannel> channel);

  const Setup setup_;
  SystemClock clock_;
  Shard shard_;
  NullLogger log_;
  Metrics metrics_;
  People people_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Gateway> gateway_;
  BenchChannel* channel_ = nullptr;
  TaskGroup tasks_;
};

}  // namespace sluice::bench
