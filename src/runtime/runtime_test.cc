#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/shard.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

class ManualClock : public Clock {
 public:
  MonoTime now() override { return now_; }
  UnixMillis wall() override { return UnixMillis{now_.ns / 1'000'000}; }
  MonoTime now_;
};

class RuntimeTest : public ::testing::Test {
 protected:
  void settle() {
    while (loop_.has_ready()) loop_.run_one();
  }
  void advance(Duration d) {
    clock_.now_ = clock_.now_ + d;
    loop_.timers().advance(clock_.now_);
    settle();
  }
  ManualClock clock_;
  Loop loop_{clock_, 1};
  std::vector<std::string> log_;
};

Task<int> answer() { co_return 42; }
Task<int> failing() {
  throw std::runtime_error("no");
  co_return 0;
}
Task<void> store(Task<int> task, int* out) { *out = co_await std::move(task); }

struct Guard {
  int* count;
  explicit Guard(int* c) : count(c) { ++*count; }
  ~Guard() { --*count; }
  Guard(const Guard&) = delete;
};
Task<void> wait_forever(Event* event, int* live) {
  Guard guard(live);
  co_await event->wait();
}
Task<int> slow(Loop* loop, Duration d, int* live) {
  Guard guard(live);
  co_await sleep_for(*loop, d);
  co_return 7;
}
Task<void> bounded(Loop* loop, Duration takes, Duration allowed, Event* stop, int* live,
                   std::vector<std::string>* log) {
  const auto outcome =
      co_await run_until(*loop, slow(loop, takes, live), loop->now() + allowed, stop);
  log->push_back(outcome.ended == Ended::kDone       ? "done " + std::to_string(*outcome.value)
                 : outcome.ended == Ended::kDeadline ? "deadline"
                                                     : "stopped");
}

TEST_F(RuntimeTest, ATaskReturnsItsValueToItsAwaiter) {
  int out = 0;
  TaskGroup group(loop_);
  group.spawn("store", store(answer(), &out));
  EXPECT_EQ(out, 42);
  EXPECT_EQ(group.size(), 0u);
}

Task<void> expect_throw(bool* caught) {
  try {
    co_await failing();
  } catch (const std::runtime_error&) {
    *caught = true;
  }
}
TEST_F(RuntimeTest, AnExceptionReachesTheAwaiter) {
  bool caught = false;
  TaskGroup group(loop_);
  group.spawn("t", expect_throw(&caught));
  EXPECT_TRUE(caught);
}

Task<void> inline_loop(int n, int* sum) {
  for (int i = 0; i < n; ++i) *sum += co_await answer();
}
TEST_F(RuntimeTest, AMillionInlineCompletionsNeedNoStack) {
  int sum = 0;
  TaskGroup group(loop_);
  group.spawn("t", inline_loop(1'000'000, &sum));
  EXPECT_EQ(sum, 42'000'000);
}

TEST_F(RuntimeTest, DestroyingAGroupDestroysWaitingFrames) {
  int live = 0;
  Event never(loop_);
  {
    TaskGroup group(loop_);
    group.spawn("a", wait_forever(&never, &live));
    group.spawn("b", wait_forever(&never, &live));
    EXPECT_EQ(live, 2);
  }
  EXPECT_EQ(live, 0);
  never.set();
  settle();
}

TEST_F(RuntimeTest, AFrameDestroyedWhileReadyIsNotResumed) {
  int live = 0;
  Event event(loop_);
  TaskGroup group(loop_);
  group.spawn("a", wait_forever(&event, &live));
  event.set();
  group.cancel();
  EXPECT_EQ(live, 0);
  EXPECT_FALSE(loop_.has_ready());
}

TEST_F(RuntimeTest, RunUntilReturnsTheValueInTime) {
  int live = 0;
  TaskGroup group(loop_);
  group.spawn("t", bounded(&loop_, milliseconds(5), milliseconds(10), nullptr, &live, &log_));
  advance(milliseconds(5));
  EXPECT_EQ(log_, std::vector<std::string>{"done 7"});
}

TEST_F(RuntimeTest, RunUntilDestroysTheTaskAtItsDeadline) {
  int live = 0;
  TaskGroup group(loop_);
  group.spawn("t", bounded(&loop_, milliseconds(50), milliseconds(10), nullptr, &live, &log_));
  EXPECT_EQ(live, 1);
  advance(milliseconds(10));
  EXPECT_EQ(log_, std::vector<std::string>{"deadline"});
  EXPECT_EQ(live, 0);
}

TEST_F(RuntimeTest, RunUntilDestroysTheTaskWhenStopped) {
  int live = 0;
  Event stop(loop_);
  TaskGroup group(loop_);
  group.spawn("t", bounded(&loop_, milliseconds(50), milliseconds(100), &stop, &live, &log_));
  stop.set();
  settle();
  EXPECT_EQ(log_, std::vector<std::string>{"stopped"});
  EXPECT_EQ(live, 0);
}

TEST_F(RuntimeTest, JoinReturnsHowManyStillRun) {
  struct Helper {
    static Task<void> join(TaskGroup* group, MonoTime deadline, std::size_t* left) {
      *left = co_await group->join(deadline);
    }
  };
  int live = 0;
  std::size_t left = 99;
  Event never(loop_);
  TaskGroup group(loop_), outer(loop_);
  group.spawn("t", wait_forever(&never, &live));
  outer.spawn("join", Helper::join(&group, loop_.now() + milliseconds(5), &left));
  advance(milliseconds(5));
  EXPECT_EQ(left, 1u);
  never.set();
  outer.spawn("join", Helper::join(&group, loop_.now() + milliseconds(5), &left));
  settle();
  EXPECT_EQ(left, 0u);
}

class CountingTimer : public Timer {
 public:
  CountingTimer(std::vector<int>* fired, int id) : fired_(fired), id_(id) {}
  void fire() override { fired_->push_back(id_); }
  std::vector<int>* fired_;
  int id_;
};

TEST_F(RuntimeTest, TimersFireInOrderOfTimeThenOfArming) {
  std::vector<int> fired;
  std::vector<std::unique_ptr<CountingTimer>> timers;
  Random random(3);
  std::vector<std::pair<std::int64_t, int>> expected;
  for (int i = 0; i < 2000; ++i) {
    timers.push_back(std::make_unique<CountingTimer>(&fired, i));
    const auto when = static_cast<std::int64_t>(random.below(500));
    loop_.timers().arm(*timers.back(), MonoTime{when});
    expected.emplace_back(when, i);
  }
  for (int i = 0; i < 2000; i += 3) timers[static_cast<std::size_t>(i)]->disarm();
  std::erase_if(expected, [](const auto& e) { return e.second % 3 == 0; });
  std::sort(expected.begin(), expected.end());  // by time, then by arming
  loop_.timers().advance(MonoTime{1000});
  std::vector<int> order;
  for (const auto& e : expected) order.push_back(e.second);
  EXPECT_EQ(fired, order);
  EXPECT_TRUE(loop_.timers().empty());
}

TEST(ShardTest, CoroutinesThatWakeOneAnotherWithoutEndDoNotHoldUpDeadlines) {
  /// Each look by a coroutine takes long.
  class SlowClock : public Clock {
   public:
    MonoTime now() override { return now_; }
    UnixMillis wall() override { return UnixMillis{}; }
    MonoTime now_;
  } clock;
  Shard shard(clock, 1);
  struct Tasks {
    static Task<void> flood(Shard* s, SlowClock* c, const bool* over) {
      while (!*over) {
        c->now_ = c->now_ + std::chrono::microseconds(100);
        co_await yield(*s);
      }
    }
    static Task<void> wait(Shard* s, SlowClock* c, bool* over, MonoTime* woken) {
      co_await sleep_for(*s, std::chrono::milliseconds(5));
      *woken = c->now_;
      *over = true;
      s->stop();
    }
  };
  bool over = false;
  MonoTime woken;
  TaskGroup tasks(shard);
  tasks.spawn("wait", Tasks::wait(&shard, &clock, &over, &woken));
  tasks.spawn("flood", Tasks::flood(&shard, &clock, &over));
  shard.run();
  EXPECT_LT(woken - MonoTime{}, std::chrono::milliseconds(5 + 3)) << "a round and a slice later";
}

TEST(ShardTest, TimersAndPostsFromOtherThreadsRunOnTheShard) {
  SystemClock clock;
  Shard shard(clock, 1);
  struct Helper {
    static Task<void> sleep_then_stop(Shard* s, int* steps) {
      co_await sleep_for(*s, milliseconds(2));
      ++*steps;
      co_await yield(*s);
      ++*steps;
      s->stop();
    }
  };
  int steps = 0;
  TaskGroup group(shard);
  std::thread other([&] {
    shard.post_from_any_thread([&] { group.spawn("t", Helper::sleep_then_stop(&shard, &steps)); });
  });
  shard.run();
  other.join();
  EXPECT_EQ(steps, 2);
}

}  // namespace
}  // namespace sluice
