#include "lifecycle/coordinator.h"

#include <gmock/gmock.h>

#include "lifecycle/lifecycle_fixture.h"
#include "lifecycle/parting.h"

namespace sluice::lifecycle {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSubsetOf;

class ShutdownCoordinatorTest : public LifecycleTest {
 protected:
  void drain_timeout(Duration d) {
    ShutdownOptions options;
    options.drain_timeout = d;
    coordinator_.set_options(options);
  }
  Guard acquire(std::string id = "r", Work work = Work::kRequest) {
    return *in_flight_.acquire(work, std::move(id), 1);
  }
};

TEST_F(ShutdownCoordinatorTest, Item1TheDefaultDrainTimeoutIsThirtySeconds) {
  EXPECT_EQ(coordinator_.drain_timeout(), seconds(30));
}

TEST_F(ShutdownCoordinatorTest, Item2AnotherDrainTimeoutIsHonoured) {
  drain_timeout(seconds(5));
  EXPECT_EQ(coordinator_.drain_timeout(), seconds(5));
  const Guard stuck = acquire();
  run(no_steps_);
  coordinator_.initiate();
  advance(milliseconds(4'999));
  EXPECT_FALSE(coordinator_.cancelled().is_set());
  advance(milliseconds(1));
  EXPECT_TRUE(coordinator_.cancelled().is_set());
}

// 100 ms in the seed, which polls.
TEST_F(ShutdownCoordinatorTest, Item3TheLastGuardsEndIsSeenInTheSameStep) {
  std::optional<Guard> last(acquire());
  run(no_steps_);
  coordinator_.initiate();
  advance(milliseconds(1'234));
  EXPECT_FALSE(report_);
  const MonoTime released = loop_.now();
  last.reset();
  settle();
  ASSERT_TRUE(report_);
  EXPECT_EQ(loop_.now(), released);
}

TEST_F(ShutdownCoordinatorTest, Item8AShutdownDrainsAndThenCancels) {
  drain_timeout(seconds(5));
  std::optional<Guard> guard(acquire());
  run(no_steps_);
  coordinator_.initiate();
  advance(milliseconds(200));
  EXPECT_FALSE(coordinator_.cancelled().is_set());
  guard.reset();
  settle();
  EXPECT_FALSE(coordinator_.is_accepting());
  EXPECT_EQ(coordinator_.in_flight(), 0u);
  EXPECT_TRUE(coordinator_.cancelled().is_set());
}

TEST_F(ShutdownCoordinatorTest, Item9ATimeoutCancelsTooAndTheGuardIsStillHeld) {
  drain_timeout(milliseconds(100));
  const Guard guard = acquire();
  run(no_steps_);
  coordinator_.initiate();
  advance(milliseconds(100));
  EXPECT_TRUE(coordinator_.cancelled().is_set());
  EXPECT_EQ(coordinator_.in_flight(), 1u);
}

TEST_F(ShutdownCoordinatorTest, Item10WithNothingUnderWayItIsOverAtOnce) {
  run(no_steps_);
  const MonoTime began = loop_.now();
  coordinator_.initiate();
  settle();
  EXPECT_TRUE(coordinator_.cancelled().is_set());
  EXPECT_TRUE(report_);
  EXPECT_EQ(loop_.now(), began);
}

TEST_F(ShutdownCoordinatorTest, Item11ARestartAcceptsNothingAndSaysThatItIsOne) {
  EXPECT_TRUE(coordinator_.is_accepting());
  run(no_steps_);
  coordinator_.initiate(ShutdownCoordinator::Why::kRestart);
  settle();
  EXPECT_FALSE(coordinator_.is_accepting());
  EXPECT_TRUE(coordinator_.is_restart());
  EXPECT_TRUE(coordinator_.cancelled().is_set());
}

TEST_F(ShutdownCoordinatorTest, Item12ARestartDrains) {
  drain_timeout(seconds(5));
  std::optional<Guard> guard(acquire());
  run(no_steps_);
  coordinator_.initiate(ShutdownCoordinator::Why::kRestart);
  advance(milliseconds(100));
  guard.reset();
  settle();
  EXPECT_EQ(coordinator_.in_flight(), 0u);
  EXPECT_FALSE(coordinator_.is_accepting());
  EXPECT_TRUE(coordinator_.cancelled().is_set());
}

TEST_F(ShutdownCoordinatorTest, Item13ARestartForcesWhatOutlivesItsTimeout) {
  drain_timeout(milliseconds(100));
  const Guard first = acquire();
  const Guard second = acquire();
  run(no_steps_);
  coordinator_.initiate(ShutdownCoordinator::Why::kRestart);
  advance(milliseconds(100));
  EXPECT_TRUE(coordinator_.cancelled().is_set());
  EXPECT_FALSE(coordinator_.is_accepting());
  EXPECT_EQ(coordinator_.in_flight(), 2u);
  ASSERT_TRUE(report_);
  EXPECT_EQ(report_->forced, 2u);
}

TEST_F(ShutdownCoordinatorTest, Item14NothingIsAcquiredDuringARestart) {
  drain_timeout(seconds(5));
  std::optional<Guard> guard(acquire());
  run(no_steps_);
  coordinator_.initiate(ShutdownCoordinator::Why::kRestart);
  advance(milliseconds(50));
  EXPECT_FALSE(in_flight_.acquire(Work::kRequest));
  guard.reset();
  settle();
  EXPECT_TRUE(report_);
}

TEST_F(ShutdownCoordinatorTest, Item15ThePhasesAreLoggedInTheirOrder) {
  std::optional<Guard> guard(acquire());
  run(no_steps_);
  coordinator_.initiate(ShutdownCoordinator::Why::kRestart);
  settle();
  guard.reset();
  settle();
  EXPECT_THAT(events(),
              ElementsAre("stopping", "drain_start", "drain_complete", "shutdown", "stopped"));
  EXPECT_THAT(log_.last("drain_start"), HasSubstr("in_flight=1"));
}

TEST_F(ShutdownCoordinatorTest, Item16WhatWasForcedIsToldWithItsOwnIdAndAge) {
  drain_timeout(seconds(2));
  const Guard old = acquire("old-one");
  advance(seconds(3));
  const Guard young = acquire("young-one", Work::kTurn);
  run(no_steps_);
  coordinator_.initiate();
  advance(seconds(2));
  EXPECT_EQ(log_.count("force_terminate"), 1u);
  EXPECT_THAT(log_.last("force_terminate"), HasSubstr("remaining=2"));
  EXPECT_THAT(log_.last("force_terminate"), HasSubstr("drain_timeout_secs=2"));
  EXPECT_EQ(log_.count("request_force_terminated"), 2u);
  ASSERT_TRUE(report_);
  ASSERT_EQ(report_->records.size(), 2u);
  EXPECT_EQ(report_->records[0].request_id, "old-one");
  EXPECT_EQ(report_->records[0].elapsed, seconds(5));
  EXPECT_EQ(report_->records[1].request_id, "young-one");
  EXPECT_EQ(report_->records[1].elapsed, seconds(2));
  EXPECT_EQ(report_->records[1].work, Work::kTurn);
  EXPECT_THAT(log_.last("request_force_terminated"), HasSubstr("elapsed_ms=2000"));
  EXPECT_FALSE(report_->clean());
}

TEST_F(ShutdownCoordinatorTest, Item18AShutdownIsNoRestart) {
  run(no_steps_);
  coordinator_.initiate();
  settle();
  EXPECT_FALSE(coordinator_.is_restart());
}

TEST_F(ShutdownCoordinatorTest, Item19ItTellsWhatItKnows) {
  EXPECT_EQ(coordinator_.in_flight(), 0u);
  EXPECT_TRUE(coordinator_.is_accepting());
  EXPECT_FALSE(coordinator_.is_restart());
  EXPECT_EQ(coordinator_.drain_timeout(), seconds(30));
  EXPECT_EQ(coordinator_.phase(), Phase::kStarting);
  coordinator_.ready();
  EXPECT_TRUE(coordinator_.is_ready());
}

TEST_F(ShutdownCoordinatorTest, Item25WhatIsUnderWayIsWaitedFor) {
  std::optional<Guard> request(acquire());
  std::optional<Guard> turn(acquire("t", Work::kTurn));
  run(no_steps_);
  coordinator_.initiate();
  advance(seconds(3));
  request.reset();
  advance(seconds(3));
  EXPECT_EQ(coordinator_.phase(), Phase::kDraining);
  turn.reset();
  settle();
  ASSERT_TRUE(report_);
  EXPECT_TRUE(report_->clean());
  EXPECT_EQ(report_->took, seconds(6));
}

TEST_F(ShutdownCoordinatorTest, Item32TheWholeHasItsTimeoutAndCompletionIsAlwaysTold) {
  struct Hangs : ShutdownSteps {
    explicit Hangs(Loop& l) : loop(l) {}
    Task<void> drain(MonoTime) override { co_await Event(loop).wait(); }
    Loop& loop;
  };
  Hangs steps(loop_);
  const Guard stuck = acquire();
  Event never(loop_);
  for (int i = 0; i < 3; ++i) {
    coordinator_.hooks().add({"hangs", 0, seconds(60), [&never]() -> Task<Result<void>> {
                                return [](Event* event) -> Task<Result<void>> {
                                  co_await event->wait();
                                  co_return Result<void>();
                                }(&never);
                              }});
  }
  run(steps);
  coordinator_.initiate();
  advance(seconds(30));
  EXPECT_TRUE(coordinator_.completed().is_set());
  ASSERT_TRUE(report_);
  EXPECT_EQ(report_->hooks_failed, 3u);
  EXPECT_LE(report_->took, seconds(30));
}

TEST_F(ShutdownCoordinatorTest, Item33ASecondInitiationChangesNothing) {
  run(no_steps_);
  EXPECT_TRUE(coordinator_.initiate());
  EXPECT_FALSE(coordinator_.initiate(ShutdownCoordinator::Why::kRestart));
  settle();
  EXPECT_FALSE(coordinator_.is_restart());
  EXPECT_EQ(log_.count("stopping"), 1u);
}

TEST_F(ShutdownCoordinatorTest, Item34SubscribersAreWokenAndLateOnesToo) {
  struct Subscriber {
    static Task<void> wait(ShutdownCoordinator* c, int* woken) {
      co_await c->initiated().wait();
      ++*woken;
    }
  };
  int woken = 0;
  tasks_.spawn("early", Subscriber::wait(&coordinator_, &woken));
  run(no_steps_);
  EXPECT_EQ(woken, 0);
  coordinator_.initiate();
  settle();
  EXPECT_EQ(woken, 1);
  tasks_.spawn("late", Subscriber::wait(&coordinator_, &woken));
  EXPECT_EQ(woken, 2);
}

TEST_F(ShutdownCoordinatorTest, Item35ItSaysWhetherItIsShuttingDown) {
  EXPECT_FALSE(coordinator_.is_shutting_down());
  coordinator_.initiate();
  EXPECT_TRUE(coordinator_.is_shutting_down());
}

TEST_F(ShutdownCoordinatorTest, Item36WaitingForCompletionReturnsAlsoAfterIt) {
  run(no_steps_);
  coordinator_.initiate();
  settle();
  struct Late {
    static Task<void> wait(ShutdownCoordinator* c, bool* seen) {
      co_await c->completed().wait();
      *seen = true;
    }
  };
  bool seen = false;
  tasks_.spawn("late", Late::wait(&coordinator_, &seen));
  EXPECT_TRUE(seen);
}

TEST_F(ShutdownCoordinatorTest, Item37ProgressIsToldOnceASecondAndThirtyTimesAtMost) {
  ShutdownOptions options;
  options.shutdown_timeout = std::chrono::minutes(10);
  options.drain_timeout = std::chrono::minutes(5);
  coordinator_.set_options(options);
  const Guard stuck = acquire();
  run(no_steps_);
  coordinator_.initiate();
  advance(milliseconds(2'500));
  EXPECT_EQ(log_.count("drain_progress"), 2u);
  EXPECT_THAT(log_.last("drain_progress"), HasSubstr("requests=1"));
  advance(std::chrono::minutes(4));
  EXPECT_EQ(log_.count("drain_progress"), 30u);
}

struct TellSteps : ShutdownSteps {
  TellSteps(Loop& l, InFlight& f) : loop(l), in_flight(f) {}
  void lame_duck() override { told.emplace_back("lame duck"); }
  void stop_accepting() override {
    told.emplace_back(in_flight.accepting() ? "flag too late" : "stop accepting");
  }
  Task<void> drain(MonoTime) override {
    told.emplace_back("drain");
    co_await part_with_followers(&in_flight, false, seconds(1));
  }
  void cut_off() override { told.emplace_back("cut off"); }
  Task<std::size_t> close_connections(MonoTime) override {
    told.emplace_back("connections");
    co_return std::size_t{0};
  }
  void stop_background() override { told.emplace_back("background"); }
  Task<Result<void>> close_store() override {
    told.emplace_back("store");
    co_return Result<void>();
  }
  void finish() override { told.emplace_back("finish"); }
  Loop& loop;
  InFlight& in_flight;
  std::vector<std::string> told;
};

Task<Result<void>> tell(std::vector<std::string>* told, std::string what) {
  told->push_back(std::move(what));
  co_return Result<void>();
}

TEST_F(ShutdownCoordinatorTest, Item38BackgroundTasksAreStoppedBeforeTheHooks) {
  TellSteps steps(loop_, in_flight_);
  run(steps);
  coordinator_.initiate();
  settle();
  EXPECT_THAT(steps.told, ElementsAre("lame duck", "stop accepting", "drain", "connections",
                                      "background", "store", "finish"));
}

struct Reader : Parts {
  Reader(InFlight& in_flight, std::vector<std::string>& t, std::string n, std::int64_t conversation)
      : told(t), name(std::move(n)), guard(in_flight.hold(Work::kRequest)) {
    guard.follow(conversation, *this);
  }
  void part(const Parting&) override {
    told.push_back(name);
    guard.release();
  }
  std::vector<std::string>& told;
  std::string name;
  Guard guard;
};

TEST_F(ShutdownCoordinatorTest, Item39EachSocketEndsWhenItsOwnTurnsHaveAndTheStoreLast) {
  TellSteps steps(loop_, in_flight_);
  coordinator_.hooks().add({"hook", 0, seconds(1), [&] { return tell(&steps.told, "hook"); }});
  std::optional<Guard> turn(in_flight_.hold(Work::kTurn, "t", 7));
  Reader busy(in_flight_, steps.told, "reader of 7", 7);
  Reader quiet(in_flight_, steps.told, "reader of 8", 8);
  run(steps);
  coordinator_.initiate();
  advance(seconds(2));
  EXPECT_THAT(steps.told, ElementsAre("lame duck", "stop accepting", "drain", "reader of 8"));
  turn.reset();
  advance(seconds(1));
  EXPECT_THAT(steps.told,
              ElementsAre("lame duck", "stop accepting", "drain", "reader of 8", "reader of 7",
                          "connections", "background", "hook", "store", "finish"));
}

TEST_F(ShutdownCoordinatorTest, Item69ASecondSignalForcesAtOnce) {
  TellSteps steps(loop_, in_flight_);
  const Guard stuck = acquire();
  run(steps);
  coordinator_.initiate();
  advance(seconds(1));
  EXPECT_FALSE(report_);
  const MonoTime hurried = loop_.now();
  coordinator_.hurry();
  settle();
  ASSERT_TRUE(report_);
  EXPECT_EQ(loop_.now(), hurried);
  EXPECT_TRUE(report_->hurried);
  EXPECT_EQ(report_->forced, 1u);
  EXPECT_THAT(steps.told, ElementsAre("lame duck", "stop accepting", "drain", "cut off",
                                      "connections", "background", "store", "finish"));
}

TEST_F(ShutdownCoordinatorTest, TheLameDuckStillServesUntilItsTimeIsOver) {
  ShutdownOptions options;
  options.pre_stop_delay = seconds(5);
  coordinator_.set_options(options);
  run(no_steps_);
  coordinator_.initiate();
  advance(seconds(4));
  EXPECT_EQ(coordinator_.phase(), Phase::kLameDuck);
  EXPECT_TRUE(in_flight_.acquire(Work::kRequest));
  advance(seconds(1));
  EXPECT_TRUE(report_);
}

TEST_F(ShutdownCoordinatorTest, TheTimeThatIsLeftIsWhatClientsAreTold) {
  const Guard stuck = acquire();
  run(no_steps_);
  coordinator_.initiate();
  advance(seconds(12));
  EXPECT_EQ(coordinator_.remaining(), seconds(18));
}

TEST_F(ShutdownCoordinatorTest, AStopBeforeItWasReadyEndsTheSameWay) {
  coordinator_.initiate();
  tasks_.spawn("stop", keep(coordinator_.run(&no_steps_), &report_));
  settle();
  coordinator_.ready();
  EXPECT_EQ(coordinator_.phase(), Phase::kStopped);
}

struct Asked final : Parts {
  Asked(Loop& l, InFlight& f) : loop(l), guard(f.hold(Work::kRequest)) { guard.follow(1, *this); }
  void part(const Parting& parting) override {
    come_back = parting.come_back;
    at = loop.now();
    guard.release();
  }
  Loop& loop;
  Guard guard;
  milliseconds come_back{0};
  MonoTime at;
};

TEST_F(ShutdownCoordinatorTest, Item67ACrowdOfReadersIsSpreadOverTheWindow) {
  std::vector<std::unique_ptr<Asked>> all;
  for (int i = 0; i < 2'000; ++i) all.push_back(std::make_unique<Asked>(loop_, in_flight_));
  const MonoTime began = loop_.now();
  tasks_.spawn("part", part_with_followers(&in_flight_, false, seconds(10)));
  advance(seconds(11));
  EXPECT_EQ(in_flight_.count(), 0u);
  std::vector<int> asked(12);
  std::vector<int> back(20);
  for (const auto& one : all) {
    ++asked[static_cast<std::size_t>((one->at - began) / seconds(1))];
    ++back[static_cast<std::size_t>((one->at - began + one->come_back) / seconds(1))];
    EXPECT_GE(one->come_back, kComeBackAfter);
    EXPECT_LE(one->come_back, kComeBackAfter + kComeBackSpread);
  }
  for (const int n : asked) EXPECT_LE(n, 300) << "1.5 times the mean";
  for (const int n : back) EXPECT_LE(n, 300) << "1.5 times the mean";
}

TEST_F(ShutdownCoordinatorTest, AFewReadersAreThroughAtOnce) {
  std::vector<std::unique_ptr<Asked>> all;
  for (int i = 0; i < 3; ++i) all.push_back(std::make_unique<Asked>(loop_, in_flight_));
  tasks_.spawn("part", part_with_followers(&in_flight_, true, seconds(10)));
  advance(milliseconds(15));
  EXPECT_EQ(in_flight_.count(), 0u);
}

TEST_F(ShutdownCoordinatorTest, ASuccessorGetsAllReadersAtOnce) {
  std::vector<std::unique_ptr<Asked>> all;
  for (int i = 0; i < 2'000; ++i) all.push_back(std::make_unique<Asked>(loop_, in_flight_));
  const Guard turn = in_flight_.hold(Work::kTurn, "t", 1);
  send_to_successor(in_flight_);
  advance(milliseconds(0));
  EXPECT_EQ(in_flight_.count(Work::kSocket), 0u);
}

TEST_F(ShutdownCoordinatorTest, ARestartDoesNotKeepReadersForTheirTurns) {
  const Asked reader(loop_, in_flight_);
  const Guard turn = in_flight_.hold(Work::kTurn, "t", 1);
  tasks_.spawn("part", part_with_followers(&in_flight_, true, Duration(0)));
  advance(milliseconds(5));
  EXPECT_EQ(in_flight_.count(Work::kSocket), 0u);
}

TEST(BudgetsTest, TheDefaultsLeaveTimeForTheEnd) {
  const Budgets b = budgets_of({});
  EXPECT_EQ(b.drain, seconds(23));
  EXPECT_EQ(b.force, seconds(2));
  EXPECT_EQ(b.hooks, seconds(3));
  EXPECT_EQ(b.store, seconds(2));
}

TEST(BudgetsTest, AShorterDrainIsKept) {
  ShutdownOptions options;
  options.drain_timeout = seconds(4);
  EXPECT_EQ(budgets_of(options).drain, seconds(4));
}

TEST(BudgetsTest, TheyNeverAddUpToMoreThanTheWhole) {
  for (const milliseconds whole :
       {milliseconds(1'000), milliseconds(3'000), milliseconds(14'001), milliseconds(3'600'000)}) {
    for (const milliseconds delay : {milliseconds(0), milliseconds(5'000)}) {
      ShutdownOptions options;
      options.shutdown_timeout = whole;
      options.pre_stop_delay = delay;
      const Budgets b = budgets_of(options);
      EXPECT_LE(b.lame_duck + b.drain + b.force + b.hooks + b.store, whole);
      EXPECT_GT(b.store, Duration(0));
      EXPECT_GT(b.hooks, Duration(0));
      EXPECT_GE(b.force, Duration(0));
    }
  }
}

}  // namespace
}  // namespace sluice::lifecycle
