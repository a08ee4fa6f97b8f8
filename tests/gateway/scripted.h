#pragma once
// The two ends of the core, played by a test: a platform behind a channel, and an agent. What they
// saw is kept outside of them, in Platform and Agents, so that it outlives a crash of the daemon.

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gateway/agent.h"
#include "gateway/channel.h"
#include "runtime/wait.h"

namespace sluice::test {

/// One account's platform: what it answers, and what reached it. Values; owned by the fixture.
struct Platform {
  struct Try {
    SendRequest request;
    MonoTime at;
    SendOutcome::What outcome = SendOutcome::What::kUnknown;
  };

  ChannelInfo info;
  AccountOptions account;

  // What it does.
  std::deque<SendOutcome> next;  // of the next sends; then `otherwise`
  SendOutcome otherwise = SendOutcome::sent("platform-id");
  milliseconds takes{0};  // a send
  bool hangs = false;     // sends get no answer
  bool throws = false;    // sends throw
  bool start_throws = false;
  bool stop_throws = false;
  bool find_throws = false;
  bool throws_a_number = false;
  bool stop_hangs = false;  // the channel does not heed stop()
  bool finds = false;       // looking back finds every part
  milliseconds start_takes{0};
  std::optional<Error> start_fails;
  std::vector<InboundMessage> events_at_start;  // accepted within start()

  // What it saw.
  std::vector<Try> tries;
  std::vector<PartId> looked_for;
  int starts = 0;
  int live = 0;  // channels alive
  std::optional<Result<std::vector<Accepted>>> accepted_at_start;

  /// Texts that the platform took, in order.
  std::vector<std::string> taken(const std::string& chat = {}) const {
    std::vector<std::string> texts;
    for (const Try& t : tries) {
      if (t.outcome != SendOutcome::What::kSent) continue;
      if (chat.empty() || t.request.chat == chat) texts.push_back(t.request.text);
    }
    return texts;
  }
};

class ScriptedChannel : public Channel {
 public:
  ScriptedChannel(Loop& loop, Platform& platform) : loop_(loop), platform_(platform) {
    ++platform_.live;
  }
  ~ScriptedChannel() override { --platform_.live; }

  const ChannelInfo& info() const override { return platform_.info; }
  const AccountOptions& account() const override { return platform_.account; }
  void set_account(const AccountOptions& account) override { platform_.account = account; }

  Task<Result<void>> start(ChannelHost& host) override {
    host_ = &host;
    ++platform_.starts;
    if (platform_.start_throws) throw std::runtime_error("a bug at the start");
    if (!platform_.events_at_start.empty()) {
      std::vector<InboundMessage> events = std::exchange(platform_.events_at_start, {});
      platform_.accepted_at_start = co_await host.accept(std::move(events), std::nullopt);
    }
    if (platform_.start_takes.count() > 0) co_await sleep_for(loop_, platform_.start_takes);
    if (platform_.start_fails) co_return *platform_.start_fails;
    co_return Result<void>();
  }
  Task<void> stop() override {
    if (platform_.stop_throws) throw std::runtime_error("a bug at the end");
    if (!platform_.stop_hangs) co_return;
    Event never(loop_);
    co_await never.wait();
  }
  Task<SendOutcome> send(SendRequest request) override {
    const std::size_t index = platform_.tries.size();
    platform_.tries.push_back({std::move(request), loop_.now(), SendOutcome::What::kUnknown});
    if (platform_.throws) throw std::runtime_error("a channel's bug");
    if (platform_.throws_a_number) throw 42;
    if (platform_.takes.count() > 0) co_await sleep_for(loop_, platform_.takes);
    if (platform_.hangs) {
      Event never(loop_);
      co_await never.wait();
    }
    SendOutcome outcome = platform_.otherwise;
    if (!platform_.next.empty()) {
      outcome = platform_.next.front();
      platform_.next.pop_front();
    }
    platform_.tries[index].outcome = outcome.what;
    co_return outcome;
  }
  Task<Result<std::optional<std::string>>> find_sent(SendRequest request) override {
    platform_.looked_for.push_back(request.part);
    if (platform_.find_throws) throw std::runtime_error("a bug when it looks back");
    if (platform_.finds) co_return std::optional<std::string>("found");
    co_return std::optional<std::string>();
  }

  ChannelHost* host() { return host_; }

 private:
  Loop& loop_;
  Platform& platform_;
  ChannelHost* host_ = nullptr;
};

/// What an agent does with one attempt; by default it answers "re TEXT" at once.
struct Act {
  std::vector<std::string> streams;  // told first, piece by piece
  milliseconds takes{0};             // then this long
  bool hangs = false;
  bool throws = false;
  bool throws_a_number = false;
  std::optional<Result<AgentReply>> result;

  static Act slow(milliseconds time) {
    Act act;
    act.takes = time;
    return act;
  }
  static Act hang(std::vector<std::string> streams = {}) {
    Act act;
    act.hangs = true;
    act.streams = std::move(streams);
    return act;
  }
  static Act says(std::string text) {
    Act act;
    act.result = AgentReply{std::move(text), std::nullopt, {}, {}};
    return act;
  }
  static Act fails(ErrorKind kind, Retry retry = Retry::never()) {
    Act act;
    act.result = Error(kind, "on purpose", ErrorSource::kPeer, retry);
    return act;
  }
};

/// What all agents were asked, in order; owned by the fixture.
struct Agents {
  struct Call {
    std::string agent;
    TurnRequest request;
    MonoTime began;
    std::optional<MonoTime> ended;  // however its frame ended
  };
  std::vector<AgentInfo> known;
  std::function<Act(const TurnRequest&)> script;
  std::vector<Call> calls;
  std::size_t running = 0;
  std::size_t most_running = 0;

  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const Call& call : calls) all.push_back(call.request.text());
    return all;
  }
};

class ScriptedAgent : public Agent {
 public:
  ScriptedAgent(Loop& loop, Agents& agents, AgentInfo info)
      : loop_(loop), agents_(agents), info_(std::move(info)) {}
  const AgentInfo& info() const override { return info_; }

  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override {
    const CallMark mark(*this, request);
    const std::string text = request.text();
    const Act act = agents_.script ? agents_.script(request) : Act{};
    for (const std::string& piece : act.streams) sink.delta(piece);
    if (act.throws) throw std::runtime_error("an agent's bug");
    if (act.throws_a_number) throw 42;
    if (act.takes.count() > 0) co_await sleep_for(loop_, act.takes);
    if (act.hangs) {
      Event never(loop_);
      co_await never.wait();
    }
    if (act.result) co_return *act.result;
    co_return AgentReply{"re " + text, std::nullopt, {}, {}};
  }

 private:
  struct CallMark {
    CallMark(ScriptedAgent& agent, const TurnRequest& request)
        : self(agent), index(agent.agents_.calls.size()) {
      self.agents_.calls.push_back({self.info_.name, request, self.loop_.now(), std::nullopt});
      self.agents_.most_running = std::max(self.agents_.most_running, ++self.agents_.running);
    }
    ~CallMark() {
      --self.agents_.running;
      self.agents_.calls[index].ended = self.loop_.now();
    }
    CallMark(const CallMark&) = delete;
    CallMark& operator=(const CallMark&) = delete;
    ScriptedAgent& self;
    const std::size_t index;
  };

  Loop& loop_;
  Agents& agents_;
  const AgentInfo info_;
};

}  // namespace sluice::test
