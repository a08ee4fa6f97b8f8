#include "app/reload_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class ReloadPlanTest : public ::testing::Test {
 protected:
  config::Config read(const std::string& text) {
    config::SystemSecrets secrets;
    config::Loaded loaded = config::load(schema_, text, "sluice.toml", secrets);
    EXPECT_TRUE(loaded.config) << loaded.to_string();
    return loaded.config ? std::move(*loaded.config) : config::Config();
  }
  /// Both built-in channels run, and what else `before` has.
  ReloadPlan plan(const std::string& before, const std::string& after,
                  std::set<std::string> running = {"http", "cli", "shop"}) {
    before_ = read(before);
    after_ = read(after);
    return plan_reload(before_, before_, after_, std::move(running));
  }
  static std::vector<std::string> names(const std::vector<ChannelPlan>& plans) {
    std::vector<std::string> out;
    for (const ChannelPlan& plan : plans) out.push_back(plan.instance->name);
    return out;
  }
  static std::vector<std::string> names(const std::vector<const config::Instance*>& all) {
    std::vector<std::string> out;
    for (const config::Instance* one : all) out.push_back(one->name);
    return out;
  }

  const config::Schema schema_ = make_schema();
  config::Config before_;
  config::Config after_;
};

constexpr const char* kShop = "[channels.shop]\nkind = \"http\"\n";

TEST_F(ReloadPlanTest, NothingIsMadeIfNothingHasChanged) {
  const ReloadPlan p = plan(kShop, kShop);
  EXPECT_THAT(p.agents, IsEmpty());
  EXPECT_THAT(p.agents_gone, IsEmpty());
  EXPECT_THAT(p.channels, IsEmpty());
  EXPECT_THAT(p.channels_gone, IsEmpty());
  EXPECT_THAT(p.changed, IsEmpty());
  EXPECT_THAT(p.needs_restart, IsEmpty());
}

TEST_F(ReloadPlanTest, AChangedChannelIsTheOnlyOneThatIsMadeAgain) {
  const ReloadPlan p = plan(kShop, std::string(kShop) + "streams_max = 7\n");
  EXPECT_THAT(names(p.channels), ElementsAre("shop"));
  EXPECT_THAT(p.channels_gone, ElementsAre("shop"));
  EXPECT_THAT(names(p.accounts), UnorderedElementsAre("http", "cli"));
  EXPECT_THAT(p.changed, ElementsAre("channels.shop.streams_max"));
}

TEST_F(ReloadPlanTest, OptionsOfTheAccountDoNotTouchItsChannel) {
  const ReloadPlan p = plan(
      kShop, std::string(kShop) + "mode = \"collect\"\n[channels.shop.session]\nidle = \"1h\"\n");
  EXPECT_THAT(p.channels, IsEmpty());
  EXPECT_THAT(p.channels_gone, IsEmpty());
  EXPECT_EQ(p.accounts.at(0).instance->name, "shop");
  EXPECT_EQ(p.accounts.at(0).account.mode, LaneMode::kCollect);
}

TEST_F(ReloadPlanTest, TheOnlyAgentIsGivenToChannelsThatNameNone) {
  const ReloadPlan p =
      plan("", "[agents.echo]\nenabled = false\n[agents.second]\nkind = \"echo\"\n");
  EXPECT_THAT(names(p.agents), ElementsAre("second"));
  EXPECT_THAT(p.agents_gone, ElementsAre("echo"));
  EXPECT_EQ(p.accounts.at(0).account.agent, "second");
}

TEST_F(ReloadPlanTest, AChannelThatIsNotThereOrNotEnabledIsStopped) {
  EXPECT_THAT(plan(kShop, "").channels_gone, ElementsAre("shop"));
  const ReloadPlan p = plan(kShop, std::string(kShop) + "enabled = false\n");
  EXPECT_THAT(p.channels_gone, ElementsAre("shop"));
  EXPECT_THAT(p.channels, IsEmpty());
}

TEST_F(ReloadPlanTest, AChannelThatDoesNotRunIsMade) {
  EXPECT_THAT(names(plan("", kShop, {"http", "cli"}).channels), ElementsAre("shop"));
  // Nothing has changed, but it could not be started the last time.
  const ReloadPlan p = plan(kShop, kShop, {"http", "cli"});
  EXPECT_THAT(names(p.channels), ElementsAre("shop"));
  EXPECT_THAT(p.channels_gone, IsEmpty());
}

TEST_F(ReloadPlanTest, AChangedAgentIsMadeAgainAndTheOthersAreNot) {
  const std::string second = "[agents.second]\nkind = \"echo\"\n";
  const ReloadPlan p = plan(second, "[agents.echo]\nprefix = \"x\"\n" + second);
  EXPECT_THAT(names(p.agents), ElementsAre("echo"));
  EXPECT_THAT(p.agents_gone, IsEmpty());
}

TEST_F(ReloadPlanTest, TheOrderOfRoutesIsAChange) {
  const std::string a = "[routes.a]\nagent = \"echo\"\n";
  const std::string b = "[routes.b]\nagent = \"echo\"\n";
  EXPECT_THAT(plan(a + b, b + a).changed, ElementsAre("routes"));
  EXPECT_THAT(plan(a + b, a).changed, ElementsAre("routes.b"));
}

TEST_F(ReloadPlanTest, WhatNeedsARestartIsToldUntilItIsAsTheProcessStarted) {
  const config::Config started = read("");
  const config::Config changed = read("[core]\nmax_concurrent_turns = 5\n");
  const ReloadPlan first = plan_reload(started, started, changed, {});
  EXPECT_THAT(first.changed, IsEmpty());
  EXPECT_THAT(first.needs_restart, ElementsAre("core.max_concurrent_turns"));
  const ReloadPlan again = plan_reload(started, changed, changed, {});
  EXPECT_THAT(again.needs_restart, ElementsAre("core.max_concurrent_turns"));
  EXPECT_THAT(plan_reload(started, changed, started, {}).needs_restart, IsEmpty());
}

}  // namespace
}  // namespace sluice::app
