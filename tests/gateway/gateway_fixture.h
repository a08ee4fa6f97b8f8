#pragma once
// A daemon in small without a thread and without real time: the real core on the real store over a
// disk in memory, between scripted platforms and agents. Time passes only in advance(). The process
// can be killed, lose power or stop in good order, and start again on the same disk.

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/gateway.h"
#include "gateway/succession.h"
#include "observe/memory_logger.h"
#include "sim/lossy_vfs.h"
#include "sim/stepped_store.h"
#include "tests/gateway/scripted.h"

namespace sluice::test {

class ManualClock : public Clock {
 public:
  MonoTime now() override { return mono; }
  UnixMillis wall() override { return UnixMillis{mono.ns / 1'000'000 + offset_ms}; }
  MonoTime mono{1'000'000'000};
  std::int64_t offset_ms = 1'800'000'000'000;
};

/// The result of something that was begun: empty until it is there.
template <class T>
using Begun = std::shared_ptr<std::optional<T>>;
using Posted = Begun<Result<std::vector<Accepted>>>;

class GatewayTest : public ::testing::Test {
 protected:
  static constexpr HashKey kKey = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

  GatewayTest() : disk_("gateway-test", 1) {
    agents_.known.push_back(agent("echo"));
    add_platform("bot");
  }
  ~GatewayTest() override {
    end();
    earlier_.reset();
  }

  // ---- who there is; before start()

  static AgentInfo agent(std::string name, OnInterrupt rule = OnInterrupt::kRerun) {
    AgentInfo info;
    info.name = std::move(name);
    info.kind = "test";
    info.on_interrupt = rule;
    return info;
  }
  Platform& add_platform(const std::string& name) {
    Platform& platform = platforms_[name];
    platform.info.name = name;
    platform.info.kind = "test";
    platform.account.agent = "echo";
    return platform;
  }
  Platform& bot() { return platforms_.at("bot"); }
  void agent_does(std::function<Act(const TurnRequest&)> script) {
    agents_.script = std::move(script);
  }

  // ---- life and death

  struct Process {
    Process(Clock& clock, std::uint64_t seed, std::size_t reply_bytes_max)
        : loop(clock, seed), calls(loop, reply_bytes_max), leftovers(loop, calls), tasks(loop) {}
    Loop loop;
    std::function<void(CallDropped)> tell_earlier = [](CallDropped) {};
    AgentCalls calls;
    Leftovers leftovers;
    Metrics metrics;
    MemoryLogger log;
    std::unique_ptr<sim::SteppedStore> store;
    std::unique_ptr<Gateway> gateway;
    std::unique_ptr<AsksForEarlier> asks;
    TaskGroup tasks;
    std::map<std::string, ScriptedChannel*> channels;
    bool storage_failed = false;
  };

  /// Opens the store and the gateway without any channel.
  void open(bool handed_over = false) {
    process_ = std::make_unique<Process>(clock_, 7, options_.reply_bytes_max);
    if (earlier_ != nullptr) attach_earlier();
    StoreOptions options;
    options.now = clock_.wall();
    options.vfs = disk_.vfs_name().c_str();
    options.rename = [this](const std::string& from, const std::string& to) -> Result<void> {
      if (disk_.rename_durably(from, to)) return {};
      return Error(ErrorKind::kStorageFailed, "the disk is gone");
    };
    options.hash_key = kKey;
    options.identity = identity_;
    options.keys_in_memory = 200'000;
    options.log_is_synced = handed_over;
    options.early = std::exchange(early_, nullptr);
    auto engine = SqliteEngine::open(std::move(options));
    ASSERT_TRUE(engine) << engine.error().to_string();
    Recovered recovered = std::move((*engine)->recovered());
    process_->store = std::make_unique<sim::SteppedStore>(process_->loop, std::move(*engine));
    Gateway::Parts parts{
        process_->loop, *process_->store, process_->log, process_->metrics, kKey, {}, {}};
    parts.calls = &process_->calls;
    parts.free_disk_bytes = [this] { return free_disk_bytes_; };
    parts.on_storage_failed = [p = process_.get()](const Error&) { p->storage_failed = true; };
    process_->gateway = std::make_unique<Gateway>(std::move(parts), options_);
    process_->asks = std::make_unique<AsksForEarlier>(
        gateway(), [this](CallNews news) { to_earlier_.push_back(std::move(news)); });
    for (const AgentInfo& info : agents_.known) {
      const Result<void> added =
          gateway().add_agent(std::make_unique<ScriptedAgent>(loop(), agents_, info));
      ASSERT_TRUE(added) << added.error().to_string();
    }
    gateway().recover(std::move(recovered), handed_over);
  }
  void start(bool handed_over = false) {
    open(handed_over);
    for (auto& [name, platform] : platforms_) {
      const Result<void> registered = connect(name);
      ASSERT_TRUE(registered) << registered.error().to_string();
    }
  }
  /// The process is gone at once: nothing is written any more.
  void kill() {
    disk_.kill();
    end();
  }
  /// … and what was not synced may be lost.
  void lose_power() {
    disk_.crash();
    end();
  }
  /// As on SIGTERM: returns how many turns were left to the next start.
  std::size_t stop(milliseconds patience) {
    const auto left = begin(gateway().stop(loop().now() + patience));
    for (int i = 0; i < 100'000 && !*left; ++i) advance(milliseconds(5));
    EXPECT_TRUE(left->has_value()) << "the gateway does not stop";
    end();
    return left->value_or(999'999);
  }
  /// Hands over to a successor, with a connection between the two that loses nothing.
  void hand_over() {
    auto early = EarlyRead::of(files::join("", files::kDatabase), disk_.vfs_name().c_str());
    ASSERT_TRUE(early) << early.error().to_string();
    early_ = std::move(*early);
    const Begun<bool> rests = begin(gateway().rest_sends(loop().now() + milliseconds(5'000)));
    while (!*rests) advance(milliseconds(1));
    const Begun<bool> quiet = begin(gateway().quiesce(loop().now() + milliseconds(1'000)));
    const Begun<bool> stopped = begin(gateway().stop_channels());
    while (!*quiet || !*stopped) advance(milliseconds(1));
    gateway().leave_calls();
    process_->tasks.cancel();
    gateway().cut_off();
    while (store().queued() > 0) store().write(store().queued());
    process_->asks.reset();
    process_->gateway.reset();
    process_->store.reset();
    earlier_ = std::move(process_);
    start(true);
  }
  /// The process that handed over dies.
  void kill_earlier() {
    to_earlier_.clear();
    process_->tell_earlier = [](CallDropped) {};
    earlier_.reset();
    pass_on();
    process_->calls.lose_adopted();
    run_until_idle();
  }
  void restart() {
    kill();
    start();
  }

  Gateway& gateway() { return *process_->gateway; }
  Loop& loop() { return process_->loop; }
  sim::SteppedStore& store() { return *process_->store; }
  MemoryLogger& log() { return process_->log; }
  std::int64_t metric(std::string_view name, const Metrics::Labels& labels = {}) {
    return process_->metrics.value(name, labels);
  }

  // ---- time

  /// Runs everything that can run without time passing. hold_store_: nothing is written meanwhile.
  void run_until_idle() {
    for (int rounds = 0; rounds < 1'000'000; ++rounds) {
      loop().run_ready(SIZE_MAX);
      if (earlier_ != nullptr) earlier_->loop.run_ready(SIZE_MAX);
      const bool told = pass_on();
      if (hold_store_) return;
      sim::SteppedStore& s = store();
      const bool ready = loop().has_ready() || (earlier_ != nullptr && earlier_->loop.has_ready());
      if (s.queued() + s.untold() + s.reads() == 0 && !ready && !told) return;
      if (s.queued() > 0) s.write(s.queued());
      while (s.untold() > 0) s.tell_one();
      while (s.reads() > 0) s.read_one(0);
    }
    FAIL() << "the gateway is busy for ever";
  }
  /// Lets time pass, from one deadline to the next.
  void advance(Duration d) {
    run_until_idle();
    const MonoTime until = clock_.mono + d;
    for (;;) {
      MonoTime next = loop().timers().next();
      if (earlier_ != nullptr) next = std::min(next, earlier_->loop.timers().next());
      if (next > until) break;
      clock_.mono = std::max(clock_.mono, next);
      loop().timers().advance(clock_.mono);
      if (earlier_ != nullptr) earlier_->loop.timers().advance(clock_.mono);
      run_until_idle();
    }
    clock_.mono = until;
    run_until_idle();
  }
  /// Until nothing waits, runs or is on its way out. Returns how long that took.
  milliseconds run_until_rest(milliseconds at_most = std::chrono::hours(1)) {
    const MonoTime from = clock_.mono;
    run_until_idle();
    while (!at_rest() && clock_.mono - from < at_most) advance(milliseconds(1));
    EXPECT_TRUE(at_rest()) << "messages or parts are left";
    return std::chrono::duration_cast<milliseconds>(clock_.mono - from);
  }
  bool at_rest() {
    const GatewayStatus status = gateway().status();
    return status.pending == 0 && status.outbox == 0 && status.running.empty();
  }

  // ---- doing things

  template <class T>
  Begun<T> begin(Task<T> task) {
    auto slot = std::make_shared<std::optional<T>>();
    process_->tasks.spawn("test", keep(std::move(task), slot));
    return slot;
  }
  Begun<bool> begin(Task<void> task) {
    auto slot = std::make_shared<std::optional<bool>>();
    process_->tasks.spawn("test", note_end(std::move(task), slot));
    return slot;
  }
  /// Runs until idle; the task must be done by then.
  template <class T>
  T await(Task<T> task) {
    const Begun<T> slot = begin(std::move(task));
    run_until_idle();
    if (!*slot) throw std::runtime_error("the task waits for time to pass");
    return std::move(**slot);
  }

  Result<void> connect(const std::string& name) {
    const Begun<Result<void>> done = begin_connect(name);
    run_until_idle();
    if (!*done) throw std::runtime_error("the channel does not start");
    return **done;
  }
  Begun<Result<void>> begin_connect(const std::string& name) {
    auto channel = std::make_unique<ScriptedChannel>(loop(), platforms_.at(name));
    process_->channels[name] = channel.get();
    return begin(gateway().register_channel(std::move(channel)));
  }
  void disconnect(const std::string& name) {
    const Result<void> gone = await(gateway().unregister(name));
    ASSERT_TRUE(gone);
  }
  ChannelHost& host(const std::string& account) { return *process_->channels.at(account)->host(); }

  /// An event that nobody has sent before.
  InboundMessage message(const std::string& chat, const std::string& text,
                         const std::string& sender = "ann") {
    InboundMessage m;
    m.chat = chat;
    m.sender = sender;
    m.event = fmt::format("e{}", ++events_);
    m.text = text;
    m.reply_to = "to " + m.event;
    return m;
  }
  Posted post(const std::string& account, std::vector<InboundMessage> body,
              std::optional<std::string> cursor = std::nullopt) {
    return begin(host(account).accept(std::move(body), std::move(cursor)));
  }
  Posted post(InboundMessage event) {
    std::vector<InboundMessage> body;
    body.push_back(std::move(event));
    return post("bot", std::move(body));
  }
  /// One message that must be accepted now, to "bot".
  Accepted say(InboundMessage event) {
    const Posted posted = post(std::move(event));
    run_until_idle();
    EXPECT_TRUE(*posted) << "not answered";
    if (!*posted || !**posted) {
      ADD_FAILURE() << "not accepted: " << (*posted ? (*posted)->error().to_string() : "");
      return {};
    }
    return (**posted)->front();
  }
  Accepted say(const std::string& chat, const std::string& text,
               const std::string& sender = "ann") {
    return say(message(chat, text, sender));
  }
  /// Why a message is not accepted.
  Error refusal(InboundMessage event) {
    const Posted posted = post(std::move(event));
    run_until_idle();
    if (!*posted || **posted) {
      ADD_FAILURE() << (*posted ? "accepted" : "not answered");
      return {};
    }
    return (*posted)->error();
  }

  // ---- looking

  MessageLife life(MessageId id) {
    const auto found = store().reader().life(id);
    if (!found || !*found) {
      ADD_FAILURE() << "message " << id.value << " left no trace";
      return {};
    }
    return **found;
  }
  MessageOutcome outcome(MessageId id) {
    const MessageLife found = life(id);
    EXPECT_FALSE(found.pending) << "message " << id.value << " is pending";
    return found.end.outcome;
  }
  std::vector<HistoryRow> history(LaneId lane) {
    const auto rows = store().reader().history(gateway().head(lane), HistoryId{}, 1'000, 1 << 20);
    EXPECT_TRUE(rows);
    return rows ? *rows : std::vector<HistoryRow>();
  }
  std::vector<std::string> history_texts(LaneId lane) {
    std::vector<std::string> texts;
    for (const HistoryRow& row : history(lane)) texts.push_back(row.text);
    return texts;
  }
  std::vector<DeadLetter> dead_letters() {
    const auto rows = store().reader().dead_letters(100, INT64_MAX);
    EXPECT_TRUE(rows);
    return rows ? *rows : std::vector<DeadLetter>();
  }

  ManualClock clock_;
  sim::LossyDisk disk_;
  CoreOptions options_;
  Agents agents_;
  std::map<std::string, Platform> platforms_;
  std::unique_ptr<Process> earlier_;  // it has handed over, and runs calls
  std::deque<CallNews> to_successor_;
  std::deque<CallNews> to_earlier_;
  std::unique_ptr<Process> process_;
  std::shared_ptr<EarlyRead> early_;  // the successor's
  std::string identity_ = "machine-1";
  std::uint64_t free_disk_bytes_ = 1ull << 40;
  bool hold_store_ = false;
  int events_ = 0;

 private:
  void attach_earlier() {
    to_successor_.clear();
    to_earlier_.clear();
    process_->tell_earlier = [this](CallDropped dropped) { to_earlier_.push_back(dropped); };
    for (CallNews& news : earlier_->leftovers.attach(
             [this](CallNews news) { to_successor_.push_back(std::move(news)); }))
      hear_from_earlier(process_->calls, std::move(news), process_->tell_earlier);
  }
  /// What the two have told each other; true if that was anything.
  bool pass_on() {
    const bool any = !to_successor_.empty() || !to_earlier_.empty();
    while (!to_successor_.empty()) {
      CallNews news = std::move(to_successor_.front());
      to_successor_.pop_front();
      if (process_->asks != nullptr) process_->asks->hear(news);
      hear_from_earlier(process_->calls, std::move(news), process_->tell_earlier);
    }
    while (!to_earlier_.empty()) {
      CallNews news = std::move(to_earlier_.front());
      to_earlier_.pop_front();
      if (earlier_ == nullptr) continue;
      if (auto* dropped = std::get_if<CallDropped>(&news)) earlier_->leftovers.heard(*dropped);
      if (auto* answer = std::get_if<AgentAnswered>(&news))
        earlier_->leftovers.heard(std::move(*answer));
    }
    return any;
  }
  void end() {
    if (process_ == nullptr) return;
    process_->tell_earlier = [](CallDropped) {};
    process_->tasks.cancel();
    process_->asks.reset();
    process_->gateway.reset();
    process_.reset();
    hold_store_ = false;
  }
  template <class T>
  static Task<void> keep(Task<T> task, Begun<T> slot) {
    slot->emplace(co_await std::move(task));
  }
  static Task<void> note_end(Task<void> task, Begun<bool> slot) {
    co_await std::move(task);
    slot->emplace(true);
  }
};

}  // namespace sluice::test
