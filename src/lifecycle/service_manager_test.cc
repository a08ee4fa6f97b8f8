#include "lifecycle/service_manager.h"

#include <gmock/gmock.h>

#include "lifecycle/lifecycle_fixture.h"

namespace sluice::lifecycle {
namespace {

using std::chrono::seconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ServiceManagerTest : public LifecycleTest {
 protected:
  struct Told : System {
    void notify(std::string_view state) override { told.emplace_back(state); }
    std::optional<Duration> watchdog() override { return every; }
    std::int64_t process_id() override { return 4711; }
    std::vector<std::string> told;
    std::optional<Duration> every;
  };
  Told system_;
  ServiceManager manager_{loop_, system_};
};

TEST_F(ServiceManagerTest, Item68ItTellsItsStateInTheWordsOfSdNotify) {
  manager_.ready();
  manager_.reloading();
  manager_.reloaded();
  manager_.stopping();
  EXPECT_THAT(system_.told, ElementsAre(HasSubstr("READY=1\nMAINPID=4711"),
                                        HasSubstr("RELOADING=1\nMONOTONIC_USEC=1000000"),
                                        HasSubstr("READY=1"), HasSubstr("STOPPING=1")));
}

TEST_F(ServiceManagerTest, Item68TheWatchdogIsToldTwiceInItsTime) {
  system_.every = seconds(20);
  tasks_.spawn("alive", manager_.tell_alive());
  advance(seconds(40));
  EXPECT_THAT(system_.told, SizeIs(5));
  EXPECT_THAT(system_.told, Each(std::string("WATCHDOG=1")));
}

TEST_F(ServiceManagerTest, WithoutAWatchdogNothingIsToldToIt) {
  tasks_.spawn("alive", manager_.tell_alive());
  advance(seconds(100));
  EXPECT_THAT(system_.told, SizeIs(0));
}

TEST_F(ServiceManagerTest, Item68AStopAsksForTimeUntilItIsOverOrLate) {
  Event over(loop_);
  tasks_.spawn("time", manager_.ask_for_time(&over, loop_.now() + seconds(30)));
  advance(seconds(12));
  EXPECT_THAT(system_.told, SizeIs(3));
  EXPECT_THAT(system_.told, Each(std::string("EXTEND_TIMEOUT_USEC=10000000")));
  advance(seconds(100));
  EXPECT_THAT(system_.told, SizeIs(6)) << "a stop that hangs is not covered up";
  over.set();
  settle();
  tasks_.spawn("time", manager_.ask_for_time(&over, MonoTime::max()));
  EXPECT_THAT(system_.told, SizeIs(6));
}

}  // namespace
}  // namespace sluice::lifecycle
