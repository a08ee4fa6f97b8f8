#pragma once
// Services that exist in tests only, in simulated time: a peer that greets, answers and dies as it
// is told.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/json.hpp>

#include "observe/memory_logger.h"
#include "runtime/simulated_fixture.h"
#include "runtime/task_group.h"
#include "services/service_manager.h"

namespace sluice::services {

/// The far end. It outlives its links.
struct FakePeer {
  explicit FakePeer(Loop& l) : loop(l), changed(l) {}

  bool reachable = true;
  bool greets = true;
  bool answers_pings = true;
  bool answers_calls = true;
  bool closes_when_asked = true;
  bool own_protocol = false;  // not MCP's
  std::string version = "2025-06-18";
  int connects = 0;
  int cuts = 0;                      // links that were destroyed without being closed
  int closes = 0;                    // links that were closed in order
  std::vector<std::string> heard;    // methods, in their order
  std::vector<RpcMessage> calls;     // of tools
  std::vector<std::string> answers;  // to what it asked

  Loop& loop;
  std::deque<std::string> frames;  // on their way to the gateway
  bool dead = false;               // the present link has ended
  Event changed;

  void say(std::string frame) {
    frames.push_back(std::move(frame));
    changed.pulse();
  }
  void die() {
    dead = true;
    changed.pulse();
  }
  std::size_t count(std::string_view method) const {
    return static_cast<std::size_t>(std::count(heard.begin(), heard.end(), method));
  }
  void hear(const std::string& text) {
    for (RpcMessage& message : *decode_rpc(text)) {
      if (message.type == RpcMessage::Type::kResponse) {
        answers.push_back(text);
        continue;
      }
      heard.push_back(message.method);
      if (message.method == "initialize" && own_protocol) {
        say(encode_result(message.id, boost::json::parse(R"({"name":"fake","version":"3",
            "capabilities":[{"name":"tools","config":{"tools":[{"name":"add"}]}}]})")));
      } else if (message.method == "initialize" && greets) {
        say(encode_result(message.id, boost::json::parse(R"({"protocolVersion":")" + version + R"(",
                              "capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"3"}})")));
      } else if (message.method == "tools/list") {
        say(encode_result(
            message.id, boost::json::parse(R"({"tools":[{"name":"add","description":"Adds."}]})")));
      } else if (message.method == "ping" && answers_pings) {
        say(encode_result(message.id, boost::json::object()));
      } else if (message.method == "tools/call" || message.method == "tool.execute") {
        if (answers_calls) say(encode_result(message.id, boost::json::object{{"sum", 3}}));
        calls.push_back(std::move(message));
      }
    }
  }
};

class FakeLink : public Link {
 public:
  explicit FakeLink(FakePeer& peer) : peer_(peer) {
    peer_.dead = false;
    peer_.frames.clear();
  }
  ~FakeLink() override { ++(closed_ ? peer_.closes : peer_.cuts); }
  Task<Result<std::string>> receive() override {
    for (;;) {
      if (!peer_.frames.empty()) {
        std::string frame = std::move(peer_.frames.front());
        peer_.frames.pop_front();
        co_return frame;
      }
      if (peer_.dead) {
        co_return Error(ErrorKind::kUnavailable, "the process ended with signal 9",
                        ErrorSource::kPeer, Retry::with_backoff());
      }
      co_await peer_.changed.wait();
    }
  }
  Task<Result<void>> send(std::string message, MonoTime) override {
    peer_.hear(message);
    co_return Result<void>();
  }
  Task<void> close(MonoTime deadline) override {
    if (!peer_.closes_when_asked) co_await sleep_until(peer_.loop, deadline);
    closed_ = true;
  }

 private:
  FakePeer& peer_;
  bool closed_ = false;
};

class FakeConnector : public Connector {
 public:
  explicit FakeConnector(FakePeer& peer) : peer_(peer) {}
  Task<Result<std::unique_ptr<Link>>> connect(MonoTime, LogRing*) override {
    ++peer_.connects;
    if (!peer_.reachable) {
      co_return Error(ErrorKind::kUnavailable, "nobody is there", ErrorSource::kPeer,
                      Retry::with_backoff());
    }
    co_return std::unique_ptr<Link>(std::make_unique<FakeLink>(peer_));
  }
  std::string_view kind() const override { return "fake"; }

 private:
  FakePeer& peer_;
};

class ServicesTest : public SimulatedTest {
 protected:
  using What = ServiceEvent::What;
  using Answer = Service::Answer;

  ServiceManager::Parts manager_parts() {
    return {loop_, log_, metrics_, "0.1",
            [this] { return "a token of many bytes, number " + std::to_string(++tokens_); }};
  }
  FakePeer& add(const std::string& name, ServiceSettings settings = {}) {
    FakePeer& peer = *peers_.emplace_back(std::make_unique<FakePeer>(loop_));
    const auto added =
        manager_->add({name, settings, std::make_unique<FakeConnector>(peer), false, {}});
    EXPECT_TRUE(added);
    return peer;
  }
  /// Added, started and running.
  FakePeer& run(const std::string& name, ServiceSettings settings = {}) {
    FakePeer& peer = add(name, settings);
    EXPECT_TRUE(manager_->start(name));
    settle();
    EXPECT_EQ(status(name), "running");
    return peer;
  }
  std::string status(const std::string& name) const {
    const auto info = manager_->find(name);
    return info ? std::string(to_string(info->status)) : "none";
  }
  /// What has happened since it was asked last, in words; heartbeats only if asked for.
  std::vector<std::string> events(bool heartbeats = false) {
    std::vector<std::string> out;
    while (const auto event = subscriber_.try_next()) {
      if (event->what == What::kHeartbeat && !heartbeats) continue;
      std::string words = event->service + " " + std::string(to_string(event->what));
      if (event->what == What::kStatusChanged) {
        words += std::string(" ") + std::string(to_string(event->from)) + " " +
                 std::string(to_string(event->to));
      }
      if (event->what == What::kReconnecting) {
        words += " " + std::to_string(event->attempt) + "/" + std::to_string(event->attempts_most);
      }
      out.push_back(std::move(words));
    }
    return out;
  }
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>* out) {
    out->emplace(co_await std::move(task));
  }
  static Task<void> note(Task<void> task, bool* done) {
    co_await std::move(task);
    *done = true;
  }
  std::shared_ptr<std::optional<Answer>> call(const std::string& name,
                                              Duration timeout = Duration(0)) {
    auto answer = std::make_shared<std::optional<Answer>>();
    answers_.push_back(answer);
    tasks_.spawn("call",
                 keep(manager_->call(name, "add", boost::json::object(), timeout), answer.get()));
    settle();
    return answer;
  }
  std::shared_ptr<std::optional<Result<void>>> stop(const std::string& name) {
    auto done = std::make_shared<std::optional<Result<void>>>();
    stops_.push_back(done);
    tasks_.spawn("stop", keep(manager_->stop(name), done.get()));
    settle();
    return done;
  }

  std::vector<std::unique_ptr<FakePeer>> peers_;
  std::vector<std::shared_ptr<std::optional<Answer>>> answers_;
  std::vector<std::shared_ptr<std::optional<Result<void>>>> stops_;
  std::uint64_t tokens_ = 0;
  MemoryLogger log_;
  Metrics metrics_;
  std::optional<ServiceManager> manager_{std::in_place, manager_parts()};
  ServiceEvents::Subscriber subscriber_{loop_, manager_->events()};
  TaskGroup tasks_{loop_};
};

}  // namespace sluice::services
