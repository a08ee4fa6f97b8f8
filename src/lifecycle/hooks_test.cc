#include "lifecycle/hooks.h"

#include <stdexcept>

#include <gmock/gmock.h>

#include "lifecycle/lifecycle_fixture.h"

namespace sluice::lifecycle {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HooksTest : public LifecycleTest {
 protected:
  static Task<Result<void>> say(std::vector<std::string>* said, std::string what) {
    said->push_back(std::move(what));
    co_return Result<void>();
  }
  static Task<Result<void>> fail() { co_return Error(ErrorKind::kUnavailable, "nobody there"); }
  static Task<Result<void>> raise() {
    throw std::runtime_error("oh");
    co_return Result<void>();
  }
  static Task<Result<void>> hang(Event* never) {
    co_await never->wait();
    co_return Result<void>();
  }
  void add(std::string name, int priority) {
    hooks_.add({name, priority, seconds(1), [this, name] { return say(&said_, name); }});
  }
  static Task<void> keep(Task<std::size_t> task, std::optional<std::size_t>* out) {
    *out = co_await std::move(task);
  }
  void run_hooks(Duration within = seconds(10)) {
    tasks_.spawn("hooks", keep(hooks_.run(loop_.now() + within, &hurry_), &failed_));
    settle();
  }
  Hooks hooks_{loop_, log_};
  Event hurry_{loop_};
  Event never_{loop_};
  std::vector<std::string> said_;
  std::optional<std::size_t> failed_;
};

TEST_F(HooksTest, Item29TheyRunByPriorityAndEqualOnesInTheOrderOfAdding) {
  add("late", -100);
  add("first of two", 0);
  add("early", 100);
  add("second of two", 0);
  run_hooks();
  EXPECT_THAT(said_, ElementsAre("early", "first of two", "second of two", "late"));
  EXPECT_EQ(failed_, 0u);
}

TEST_F(HooksTest, Item30OneThatFailsIsNamedAndTheOthersRun) {
  hooks_.add({"fails", 2, seconds(1), [] { return fail(); }});
  hooks_.add({"throws", 1, seconds(1), [] { return raise(); }});
  add("runs", 0);
  run_hooks();
  EXPECT_EQ(failed_, 2u);
  EXPECT_THAT(said_, ElementsAre("runs"));
  EXPECT_EQ(log_.count("shutdown_hook_failed"), 2u);
  EXPECT_THAT(log_.lines()[0], HasSubstr("hook=fails"));
  EXPECT_THAT(log_.lines()[0], HasSubstr("nobody there"));
  EXPECT_THAT(log_.lines()[1], HasSubstr("oh"));
}

TEST_F(HooksTest, Item31ThePrioritiesAreThoseThatWerePromised) {
  EXPECT_EQ(Hook{}.priority, 0);
  EXPECT_EQ(kFlushMetricsPriority, 100);
  EXPECT_EQ(kSaveStatePriority, 50);
  EXPECT_EQ(kClearCachePriority, 0);
  EXPECT_EQ(kNotifyServicesPriority, -100);
}

TEST_F(HooksTest, OneThatTakesTooLongIsCutOffAndTheNextRuns) {
  hooks_.add({"hangs", 1, seconds(2), [this] { return hang(&never_); }});
  add("runs", 0);
  run_hooks();
  EXPECT_FALSE(failed_);
  advance(seconds(2));
  EXPECT_EQ(failed_, 1u);
  EXPECT_THAT(said_, ElementsAre("runs"));
  EXPECT_THAT(log_.last("shutdown_hook_failed"), HasSubstr("too long"));
}

TEST_F(HooksTest, AfterTheDeadlineNoneBegins) {
  hooks_.add({"hangs", 1, seconds(60), [this] { return hang(&never_); }});
  add("never runs", 0);
  run_hooks(seconds(3));
  advance(seconds(3));
  EXPECT_EQ(failed_, 2u);
  EXPECT_THAT(said_, ElementsAre());
}

TEST_F(HooksTest, AHurryCutsThemOff) {
  hooks_.add({"hangs", 1, seconds(60), [this] { return hang(&never_); }});
  add("never runs", 0);
  run_hooks();
  hurry_.set();
  settle();
  EXPECT_EQ(failed_, 2u);
  EXPECT_THAT(said_, ElementsAre());
}

}  // namespace
}  // namespace sluice::lifecycle
