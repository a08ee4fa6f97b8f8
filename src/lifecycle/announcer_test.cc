#include "lifecycle/announcer.h"

#include <gmock/gmock.h>

#include "lifecycle/lifecycle_fixture.h"

namespace sluice::lifecycle {
namespace {

using std::chrono::seconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class AnnouncerTest : public LifecycleTest {
 protected:
  struct Told : System {
    void notify(std::string_view state) override { told.emplace_back(state); }
    std::optional<Duration> watchdog() override { return every; }
    std::int64_t process_id() override { return 4711; }
    std::vector<std::string> told;
    std::optional<Duration> every;
  };
  Told system_;
  Announcer announcer_{loop_, system_};
};

TEST_F(AnnouncerTest, Item68ItTellsItsStateInTheWordsOfSdNotify) {
  announcer_.ready();
  announcer_.reloading();
  announcer_.reloaded();
  announcer_.stopping();
  EXPECT_THAT(system_.told, ElementsAre(HasSubstr("READY=1\nMAINPID=4711"),
                                        HasSubstr("RELOADING=1\nMONOTONIC_USEC=1000000"),
                                        HasSubstr("READY=1"), HasSubstr("STOPPING=1")));
}

TEST_F(AnnouncerTest, Item68TheWatchdogIsToldTwiceInItsTime) {
  system_.every = seconds(20);
  tasks_.spawn("alive", announcer_.tell_alive());
  advance(seconds(40));
  EXPECT_THAT(system_.told, SizeIs(5));
  EXPECT_THAT(system_.told, Each(std::string("WATCHDOG=1")));
}

TEST_F(AnnouncerTest, WithoutAWatchdogNothingIsToldToIt) {
  tasks_.spawn("alive", announcer_.tell_alive());
  advance(seconds(100));
  EXPECT_THAT(system_.told, SizeIs(0));
}

TEST_F(AnnouncerTest, Item68AStopAsksForTimeUntilItIsOverOrLate) {
  Event over(loop_);
  tasks_.spawn("time", announcer_.ask_for_time(&over, loop_.now() + seconds(30)));
  advance(seconds(12));
  EXPECT_THAT(system_.told, SizeIs(3));
  EXPECT_THAT(system_.told, Each(std::string("EXTEND_TIMEOUT_USEC=10000000")));
  advance(seconds(100));
  EXPECT_THAT(system_.told, SizeIs(6)) << "a stop that hangs is not covered up";
  over.set();
  settle();
  tasks_.spawn("time", announcer_.ask_for_time(&over, MonoTime::max()));
  EXPECT_THAT(system_.told, SizeIs(6));
}

}  // namespace
}  // namespace sluice::lifecycle
