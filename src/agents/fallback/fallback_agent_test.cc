#include "agents/fallback/fallback_agent.h"

#include <deque>
#include <map>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "observe/memory_logger.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ManualClock : public Clock {
 public:
  MonoTime now() override { return now_; }
  UnixMillis wall() override { return UnixMillis{now_.ns / 1'000'000}; }
  MonoTime now_;
};

class CollectingSink : public DeltaSink {
 public:
  void delta(std::string_view text) override { seen.append(text); }
  std::string seen;
};

/// Answers as it is told, each time it is asked.
class Scripted : public Agent {
 public:
  Scripted(std::string name, Loop& loop, std::vector<std::string>& asked)
      : info_{std::move(name), "test"}, loop_(loop), asked_(asked) {
    info_.timeout = seconds(60);
  }
  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest, DeltaSink& sink) override {
    asked_.push_back(info_.name);
    if (!streams.empty()) sink.delta(streams);
    if (throws) throw std::runtime_error("a bug");
    if (hangs) {
      Event never(loop_);
      co_await never.wait();
    }
    if (parks) {
      AgentReply later;
      later.parked_for = parks;
      co_return later;
    }
    if (fails) co_return Error(*fails, "no", ErrorSource::kPeer, Retry::with_backoff());
    co_return AgentReply{info_.name + " answers", std::nullopt, {}, {}};
  }
  AgentInfo info_;
  std::optional<ErrorKind> fails;
  std::string streams;
  std::optional<milliseconds> parks;
  bool hangs = false;
  bool throws = false;

 private:
  Loop& loop_;
  std::vector<std::string>& asked_;
};

class FallbackAgentTest : public ::testing::Test {
 protected:
  FallbackAgentTest() {
    FallbackOptions options;
    options.agents = {"first", "second"};
    options.failures = 3;
    options.rest = seconds(30);
    agent_ = std::make_unique<FallbackAgent>(
        "chain", std::move(options),
        FallbackAgent::Parts{loop_, metrics_, log_, [this](std::string_view name) {
                               Agent* const found = name == "first"    ? &first_
                                                    : name == "second" ? &second_
                                                                       : nullptr;
                               // Ours: it must not be deleted.
                               return std::shared_ptr<Agent>(std::shared_ptr<void>(), found);
                             }});
  }
  using Answer = std::optional<Result<AgentReply>>;
  static Task<void> keep(Task<Result<AgentReply>> run, Answer* out) {
    *out = co_await std::move(run);
  }
  void settle() {
    for (int n = 0; n < 10'000 && loop_.has_ready(); ++n) loop_.run_one();
  }
  void advance(Duration d) {
    clock_.now_ = clock_.now_ + d;
    loop_.timers().advance(clock_.now_);
    settle();
  }
  Answer& ask() {
    Answer& answer = answers_.emplace_back();
    tasks_.spawn("ask", keep(agent_->run(TurnRequest(), sink_), &answer));
    settle();
    return answer;
  }
  static std::string said(const Answer& answer) {
    return !answer ? "nothing" : *answer ? (*answer)->text : (*answer).error().to_string();
  }
  std::int64_t open(const std::string& backend) {
    return metrics_.value("sluice_agent_breaker_open", {{"agent", "chain"}, {"backend", backend}});
  }

  ManualClock clock_;
  Loop loop_{clock_, 1};
  Metrics metrics_;
  MemoryLogger log_;
  std::vector<std::string> asked_;
  Scripted first_{"first", loop_, asked_};
  Scripted second_{"second", loop_, asked_};
  CollectingSink sink_;
  std::unique_ptr<FallbackAgent> agent_;
  std::deque<Answer> answers_;
  TaskGroup tasks_{loop_};
};

TEST_F(FallbackAgentTest, AsksTheFirstAndNobodyElseWhileItAnswers) {
  EXPECT_EQ(said(ask()), "first answers");
  EXPECT_THAT(asked_, ElementsAre("first"));
}

TEST_F(FallbackAgentTest, AsksTheNextWhenOneFails) {
  first_.fails = ErrorKind::kUnavailable;
  EXPECT_EQ(said(ask()), "second answers");
}

TEST_F(FallbackAgentTest, WhoAsksForTimeGetsIt) {
  first_.parks = std::chrono::minutes(5);
  const auto& answer = ask();
  ASSERT_TRUE(answer && *answer) << said(answer);
  EXPECT_EQ((*answer)->parked_for, std::chrono::minutes(5));
  EXPECT_THAT(asked_, ElementsAre("first"));
}

TEST_F(FallbackAgentTest, AsksTheNextWhenOneThrows) {
  first_.throws = true;
  EXPECT_EQ(said(ask()), "second answers");
}

TEST_F(FallbackAgentTest, AsksTheNextWhenOneDoesNotAnswerInItsTime) {
  first_.hangs = true;
  const auto& answer = ask();
  EXPECT_EQ(said(answer), "nothing");
  advance(seconds(60));
  EXPECT_EQ(said(answer), "second answers");
}

TEST_F(FallbackAgentTest, TakesNothingBackThatPeopleHaveSeen) {
  first_.streams = "half an ans";
  first_.fails = ErrorKind::kUnavailable;
  EXPECT_THAT(said(ask()), HasSubstr("no"));
  EXPECT_EQ(sink_.seen, "half an ans");
  EXPECT_THAT(asked_, ElementsAre("first"));
}

TEST_F(FallbackAgentTest, TellsTheLastErrorWhenAllFail) {
  first_.fails = ErrorKind::kUnavailable;
  second_.fails = ErrorKind::kUnauthenticated;
  const auto& answer = ask();
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ((*answer).error().kind(), ErrorKind::kUnauthenticated);
}

TEST_F(FallbackAgentTest, LeavesABackendAloneAfterSoManyFailures) {
  first_.fails = ErrorKind::kUnavailable;
  for (int n = 0; n < 3; ++n) ask();
  EXPECT_EQ(open("first"), 1);
  asked_.clear();
  EXPECT_EQ(said(ask()), "second answers");
  EXPECT_THAT(asked_, ElementsAre("second"));
}

TEST_F(FallbackAgentTest, LetsOneTurnTryARestedBackendAndComesBackToItWhenItAnswers) {
  first_.fails = ErrorKind::kUnavailable;
  for (int n = 0; n < 3; ++n) ask();
  first_.fails.reset();
  first_.hangs = true;
  advance(seconds(30));
  asked_.clear();
  ask();  // tries, and hangs
  EXPECT_EQ(said(ask()), "second answers");
  EXPECT_THAT(asked_, ElementsAre("first", "second"));
  advance(seconds(60));  // the trial has failed: at rest again
  first_.hangs = false;
  EXPECT_EQ(said(ask()), "second answers");
  advance(seconds(30));
  EXPECT_EQ(said(ask()), "first answers");
  EXPECT_EQ(open("first"), 0);
}

TEST_F(FallbackAgentTest, TrialThatWasCutOffLetsAnotherTry) {
  first_.fails = ErrorKind::kUnavailable;
  for (int n = 0; n < 3; ++n) ask();
  first_.fails.reset();
  first_.hangs = true;
  advance(seconds(30));
  ask();
  tasks_.cancel();  // as /stop does
  first_.hangs = false;
  EXPECT_EQ(said(ask()), "first answers");
}

TEST_F(FallbackAgentTest, OnePersonsBadRequestsCloseNobodyOut) {
  first_.fails = ErrorKind::kTooLarge;
  for (int n = 0; n < 10; ++n) EXPECT_EQ(said(ask()), "second answers");
  EXPECT_EQ(open("first"), 0);
}

TEST_F(FallbackAgentTest, SaysWhenToComeBackIfEverybodyRests) {
  first_.fails = second_.fails = ErrorKind::kUnavailable;
  for (int n = 0; n < 3; ++n) ask();
  asked_.clear();
  const auto& answer = ask();
  EXPECT_THAT(asked_, IsEmpty());
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ((*answer).error().kind(), ErrorKind::kUnavailable);
  EXPECT_GT((*answer).error().retry().delay, seconds(29));
  EXPECT_FALSE(agent_->health());
}

TEST_F(FallbackAgentTest, PassesOverABackendThatIsAtItsLimit) {
  first_.info_.max_turns = 1;
  first_.hangs = true;
  ask();
  EXPECT_EQ(said(ask()), "second answers");
}

TEST_F(FallbackAgentTest, IsOverloadedWhenAllAreAtTheirLimits) {
  first_.info_.max_turns = second_.info_.max_turns = 0;
  const auto& answer = ask();
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ((*answer).error().kind(), ErrorKind::kOverloaded);
}

}  // namespace
}  // namespace sluice
