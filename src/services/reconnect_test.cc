#include "services/reconnect.h"

#include <gmock/gmock.h>

namespace sluice::services {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ReconnectTest, Item49OneSettingLeavesTheOthers) {
  ReconnectPolicy policy;
  policy.attempts_most = 3;
  EXPECT_EQ(policy.delay, seconds(1));
  EXPECT_EQ(policy.delay_most, seconds(30));
}

TEST(ReconnectTest, Item50WaitsGrowAndNeverExceedTheCap) {
  Random random(1);
  const ReconnectPolicy policy;
  for (int i = 0; i < 10'000; ++i) {
    Duration before{0};
    for (std::uint32_t attempt = 1; attempt <= 5; ++attempt) {
      const Duration wait = reconnect_delay(policy, attempt, random);
      EXPECT_GT(wait, before);  // 1.1 of one is less than 0.9 of the next
      before = wait;
    }
    EXPECT_LE(reconnect_delay(policy, 1'000'000, random), policy.delay_most);
  }
}

TEST(ReconnectTest, Item50ChanceGoesBothWaysByATenth) {
  Random random(1);
  const ReconnectPolicy policy;
  int shorter = 0;
  int longer = 0;
  for (int i = 0; i < 10'000; ++i) {
    const Duration wait = reconnect_delay(policy, 2, random);
    EXPECT_GE(wait, milliseconds(1800));
    EXPECT_LE(wait, milliseconds(2200));
    ++(wait < seconds(2) ? shorter : longer);
  }
  EXPECT_GT(shorter, 4500);
  EXPECT_GT(longer, 4500);
}

TEST(ReconnectTest, Item71FiveLossesInAMinuteAreAllowedAndNoMore) {
  RestartIntensity intensity;
  MonoTime now{1};
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(intensity.allow(now = now + seconds(10)));
  EXPECT_FALSE(intensity.allow(now + seconds(5)));
  EXPECT_TRUE(intensity.allow(now + seconds(20)));  // the first is a minute ago
}

}  // namespace
}  // namespace sluice::services
