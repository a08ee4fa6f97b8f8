#include "agents/echo/echo_agent.h"

#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "config/config_fixture.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ManualClock : public Clock {
 public:
  MonoTime now() override { return now_; }
  UnixMillis wall() override { return UnixMillis{now_.ns / 1'000'000}; }
  MonoTime now_;
};

class CollectingSink : public DeltaSink {
 public:
  void delta(std::string_view text) override {
    deltas.emplace_back(text);
    bytes += text.size();
  }
  std::vector<std::string> deltas;
  std::size_t bytes = 0;
};

TurnRequest turn(std::string text, std::uint32_t attempt = 1) {
  TurnRequest request;
  request.turn = TurnId{1};
  request.attempt = attempt;
  auto message = std::make_shared<MessageRow>();
  message->id = MessageId{7};
  message->text = std::move(text);
  request.messages.push_back(std::move(message));
  return request;
}

class EchoAgentTest : public ::testing::Test {
 protected:
  static Task<void> keep(Task<Result<AgentReply>> run, std::optional<Result<AgentReply>>* out,
                         std::string* thrown) {
    try {
      *out = co_await std::move(run);
    } catch (const std::exception& e) {
      *thrown = e.what();
    }
  }
  /// Starts one attempt; its end is in answer_ once it has come.
  void ask(EchoOptions options, TurnRequest request) {
    agent_ = std::make_unique<EchoAgent>("echo", std::move(options), loop_);
    tasks_.spawn("ask", keep(agent_->run(std::move(request), sink_), &answer_, &thrown_));
    settle();
  }
  void settle() {
    for (std::size_t n = 0; n < 100'000 && loop_.has_ready(); ++n) loop_.run_one();
  }
  void advance(Duration d) {
    clock_.now_ = clock_.now_ + d;
    loop_.timers().advance(clock_.now_);
    settle();
  }
  /// What it has answered so far; "" if nothing yet.
  std::string text() const {
    return answer_ && answer_->has_value() ? answer_->value().text : std::string();
  }

  ManualClock clock_;
  Loop loop_{clock_, 1};
  CollectingSink sink_;
  std::unique_ptr<EchoAgent> agent_;
  std::optional<Result<AgentReply>> answer_;
  std::string thrown_;
  TaskGroup tasks_{loop_};
};

TEST_F(EchoAgentTest, AnswersAtOnceWithWhatItWasTold) {
  ask({}, turn("hello  there\n"));
  EXPECT_EQ(text(), "hello  there\n");
  EXPECT_TRUE(sink_.deltas.empty());
}

TEST_F(EchoAgentTest, AnswersAllMessagesOfATurnTogether) {
  TurnRequest request = turn("one");
  request.messages.push_back(turn("two").messages.front());
  ask({}, std::move(request));
  EXPECT_EQ(text(), "one\ntwo");
}

TEST_F(EchoAgentTest, PutsThePrefixBeforeTheText) {
  EchoOptions options;
  options.prefix = "you said: ";
  ask(options, turn("hi"));
  EXPECT_EQ(text(), "you said: hi");
}

TEST_F(EchoAgentTest, AnswersSomethingWhenThereWasNoText) {
  ask({}, turn(""));
  EXPECT_EQ(text(), "(no text)");
}

TEST_F(EchoAgentTest, WaitsForItsDelayAndForEachWord) {
  EchoOptions options;
  options.delay = seconds(2);
  options.delay_per_word = milliseconds(500);
  ask(options, turn("a b c"));
  advance(seconds(2));
  advance(milliseconds(500));
  advance(milliseconds(500));
  EXPECT_FALSE(answer_);
  advance(milliseconds(500));
  EXPECT_EQ(text(), "a b c");
}

TEST_F(EchoAgentTest, StreamsWordByWordWhatItAnswersInTheEnd) {
  EchoOptions options;
  options.stream = true;
  options.delay_per_word = milliseconds(10);
  options.prefix = "> ";
  ask(options, turn("a  b\nc"));
  advance(milliseconds(10));
  EXPECT_EQ(sink_.deltas, (std::vector<std::string>{"> "}));
  for (int i = 0; i < 3; ++i) advance(milliseconds(10));
  EXPECT_EQ(sink_.deltas, (std::vector<std::string>{"> ", "a  ", "b\n", "c"}));
  EXPECT_EQ(text(), "> a  b\nc");
}

TEST_F(EchoAgentTest, FailsWithAnErrorThatAnotherAttemptMayCure) {
  EchoOptions options;
  options.fail = EchoFail::kError;
  ask(options, turn("hi"));
  ASSERT_TRUE(answer_ && answer_->has_error());
  EXPECT_EQ(answer_->error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(answer_->error().retry(), Retry::with_backoff());
}

TEST_F(EchoAgentTest, FailsOnlyTheFirstAttemptsWhenToldHowMany) {
  EchoOptions options;
  options.fail = EchoFail::kError;
  options.fail_times = 2;
  ask(options, turn("hi", 2));
  EXPECT_TRUE(answer_ && answer_->has_error());
  ask(options, turn("hi", 3));
  EXPECT_EQ(text(), "hi");
}

TEST_F(EchoAgentTest, FailsAboutAsOftenAsTheRateSays) {
  EchoOptions options;
  options.fail = EchoFail::kError;
  options.fail_rate_percent = 30;
  int failed = 0;
  for (int i = 0; i < 1000; ++i) {
    failed += plan_echo(options, "hi", 1, loop_.random()).fail == EchoFail::kError ? 1 : 0;
  }
  EXPECT_GT(failed, 240);
  EXPECT_LT(failed, 360);
}

TEST_F(EchoAgentTest, ThrowsWhenToldTo) {
  EchoOptions options;
  options.fail = EchoFail::kThrow;
  ask(options, turn("hi"));
  EXPECT_EQ(thrown_, "echo was told to throw");
}

TEST_F(EchoAgentTest, HangsBeyondItsOwnTimeout) {
  EchoOptions options;
  options.fail = EchoFail::kHang;
  options.timeout = seconds(10);
  ask(options, turn("hi"));
  advance(seconds(11));
  EXPECT_FALSE(answer_);
}

TEST_F(EchoAgentTest, AnswersNothingOrGarbageWhenToldTo) {
  EchoOptions options;
  options.fail = EchoFail::kEmpty;
  ask(options, turn("hi"));
  ASSERT_TRUE(answer_ && answer_->has_value());
  EXPECT_EQ(text(), "");
  options.fail = EchoFail::kGarbage;
  ask(options, turn("hi"));
  EXPECT_TRUE(text().starts_with("\xff"));
}

TEST_F(EchoAgentTest, FloodsUntilItIsCutOffAndLeavesNothingBehind) {
  EchoOptions options;
  options.fail = EchoFail::kFlood;
  agent_ = std::make_unique<EchoAgent>("echo", options, loop_);
  tasks_.spawn("ask", keep(agent_->run(turn("hi"), sink_), &answer_, &thrown_));
  loop_.run_ready(1000);
  EXPECT_GT(sink_.bytes, 1u << 20);
  tasks_.cancel();
  EXPECT_FALSE(loop_.has_ready());
}

TEST_F(EchoAgentTest, EndsAFloodThatNobodyCutsOff) {
  EchoOptions options;
  options.fail = EchoFail::kFlood;
  ask(options, turn("hi"));
  EXPECT_EQ(sink_.bytes, EchoAgent::kFloodBytes);
  EXPECT_TRUE(answer_ && answer_->has_error());
}

TEST_F(EchoAgentTest, IsRunAgainAfterACrashUnlessToldOtherwise) {
  EXPECT_EQ(EchoAgent("echo", {}, loop_).info().on_interrupt, OnInterrupt::kRerun);
  EchoOptions options;
  options.on_interrupt = OnInterrupt::kAsk;
  EXPECT_EQ(EchoAgent("echo", options, loop_).info().on_interrupt, OnInterrupt::kAsk);
}

class PlaygroundTest : public ::testing::Test {
 protected:
  EchoPlan plan(std::string text, std::uint32_t attempt = 1) {
    EchoOptions options;
    options.playground = true;
    return plan_echo(options, std::move(text), attempt, random_);
  }
  Random random_{1};
};

TEST_F(PlaygroundTest, ACommandIsOnlyTextWhenThePlaygroundIsClosed) {
  const EchoPlan closed = plan_echo(EchoOptions{}, "!fail", 1, random_);
  EXPECT_EQ(closed.fail, EchoFail::kNone);
  EXPECT_EQ(closed.text, "!fail");
}

TEST_F(PlaygroundTest, SlowTakesADurationAndAText) {
  const EchoPlan slow = plan("!slow 5s good morning");
  EXPECT_EQ(slow.delay, seconds(5));
  EXPECT_EQ(slow.text, "good morning");
}

TEST_F(PlaygroundTest, SlowHasADelayOfItsOwnAndAnUpperBound) {
  EXPECT_EQ(plan("!slow").delay, seconds(3));
  EXPECT_EQ(plan("!slow good morning").text, "good morning");
  EXPECT_EQ(plan("!slow 9000h").delay, std::chrono::hours(1));
}

TEST_F(PlaygroundTest, StreamAnswersWordByWord) {
  const EchoPlan stream = plan("!stream one two");
  EXPECT_TRUE(stream.stream);
  EXPECT_EQ(stream.delay_per_word, milliseconds(100));
  EXPECT_EQ(stream.text, "one two");
}

TEST_F(PlaygroundTest, FailuresAreForAllAttemptsOrTheFirstFew) {
  EXPECT_EQ(plan("!fail", 3).fail, EchoFail::kError);
  EXPECT_EQ(plan("!fail 2", 2).fail, EchoFail::kError);
  EXPECT_EQ(plan("!fail 2", 3).fail, EchoFail::kNone);
  EXPECT_EQ(plan("!throw").fail, EchoFail::kThrow);
  EXPECT_EQ(plan("!hang").fail, EchoFail::kHang);
  EXPECT_EQ(plan("!empty").fail, EchoFail::kEmpty);
  EXPECT_EQ(plan("!flood").fail, EchoFail::kFlood);
  EXPECT_EQ(plan("!garbage").fail, EchoFail::kGarbage);
}

TEST_F(PlaygroundTest, WhatIsNoCommandIsEchoed) {
  EXPECT_EQ(plan("!sudo make me a sandwich").text, "!sudo make me a sandwich");
  EXPECT_EQ(plan("!").text, "!");
  EXPECT_EQ(plan("!failure").fail, EchoFail::kNone);
}

TEST(EchoOptionsTest, CanBeWrittenInTheConfiguration) {
  config::Schema schema;
  config::Kinds kinds;
  kinds.add<EchoOptions>("echo", "Says what it was told.");
  schema.instances("agents", "Who answers.", std::move(kinds));
  config::example::FakeSecrets secrets;
  const config::Loaded loaded = config::load(
      schema, "[agents.e]\nkind = \"echo\"\ndelay = \"2s\"\nfail = \"hang\"\nfail_times = 1\n",
      "test.toml", secrets);
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  const auto& options = loaded.config->instances("agents").front().get<EchoOptions>();
  EXPECT_EQ(options.delay, seconds(2));
  EXPECT_EQ(options.fail, EchoFail::kHang);
  EXPECT_EQ(options.fail_times, 1u);
}

}  // namespace
}  // namespace sluice
