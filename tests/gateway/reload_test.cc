// Agents and options that change while turns run and messages wait.

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ReloadTest : public GatewayTest {
 protected:
  /// Puts an agent in its place, as a reload does.
  void put(AgentInfo info) {
    gateway().set_agent(std::make_unique<ScriptedAgent>(loop(), agents_, std::move(info)));
    run_until_idle();
  }
  void start_with_painter() {
    AgentInfo painter = agent("painter");
    painter.max_turns = 1;
    agents_.known.push_back(painter);
    start();
    RouteRule all;
    all.name = "all";
    all.agent = "painter";
    Result<Routes> routes = Routes::make({all});
    ASSERT_TRUE(routes);
    gateway().set_routes(std::move(*routes));
  }
  std::vector<std::string> who() {
    std::vector<std::string> names;
    for (const auto& call : agents_.calls) names.push_back(call.agent);
    return names;
  }
};

TEST_F(ReloadTest, ACallUnderWayKeepsItsAgent) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(10)); });
  start();
  say("c", "one");
  put(agent("echo"));
  gateway().remove_agent("echo");
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re one"));
}

TEST_F(ReloadTest, AMessageThatIsBeingAcceptedIsAnsweredByTheAgentThatItWasAcceptedFor) {
  start_with_painter();
  hold_store_ = true;
  const Posted posted = post(message("a", "one"));
  run_until_idle();
  gateway().remove_agent("painter");
  hold_store_ = false;
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re one"));
  EXPECT_THAT(who(), ElementsAre("painter"));
}

TEST_F(ReloadTest, WhatWaitsGetsThePlacesOfTheNewAgent) {
  agents_.known[0].max_turns = 1;
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("a", "one", "ann");
  say("b", "two", "ben");
  EXPECT_THAT(agents_.texts(), ElementsAre("one"));
  AgentInfo larger = agent("echo");
  larger.max_turns = 2;
  put(larger);
  EXPECT_THAT(agents_.texts(), ElementsAre("one", "two"));
}

TEST_F(ReloadTest, FewerPlacesHoldForTheNextCalls) {
  agents_.known[0].max_turns = 2;
  agent_does([](const TurnRequest&) { return Act::slow(seconds(10)); });
  start();
  say("a", "one", "ann");
  say("b", "two", "ben");
  AgentInfo smaller = agent("echo");
  smaller.max_turns = 1;
  put(smaller);
  say("c", "three", "cem");
  say("d", "four", "dee");
  EXPECT_EQ(agents_.running, 2u);
  advance(seconds(10));
  EXPECT_EQ(agents_.running, 1u);
  run_until_rest();
  EXPECT_EQ(bot().taken().size(), 4u);
}

TEST_F(ReloadTest, WhatWaitsForAnAgentThatGoesIsAnsweredByTheAccountsOwn) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start_with_painter();
  say("a", "one", "ann");
  say("b", "two", "ben");
  EXPECT_THAT(who(), ElementsAre("painter"));
  gateway().remove_agent("painter");
  run_until_idle();
  EXPECT_THAT(who(), ElementsAre("painter", "echo"));
  EXPECT_THAT(agents_.texts(), ElementsAre("one", "two"));
}

TEST_F(ReloadTest, ATurnThatWasToBeTriedAgainByAnAgentThatWentEndsInTheOpen) {
  agent_does([](const TurnRequest&) {
    return Act::fails(ErrorKind::kUnavailable, Retry::after(seconds(1)));
  });
  start_with_painter();
  const Accepted asked = say("a", "one");
  gateway().remove_agent("painter");
  run_until_rest();
  EXPECT_THAT(who(), ElementsAre("painter"));
  EXPECT_EQ(bot().taken().size(), 1u) << "the person is told";
  EXPECT_NE(outcome(asked.id), MessageOutcome::kAnswered);
}

TEST_F(ReloadTest, AnAgentThatComesBackIsAskedAgain) {
  start_with_painter();
  gateway().remove_agent("painter");
  say("a", "one");
  put(agent("painter"));
  say("a", "two");
  run_until_rest();
  EXPECT_THAT(who(), ElementsAre("echo", "painter"));
}

TEST_F(ReloadTest, AnAgentThatWentIsNotShown) {
  start_with_painter();
  gateway().remove_agent("painter");
  const GatewayStatus status = gateway().status();
  ASSERT_EQ(status.agents.size(), 1u);
  EXPECT_EQ(status.agents[0].name, "echo");
  gateway().remove_agent("nobody");
}

TEST_F(ReloadTest, OptionsOfAnAccountCountForWhatWaitsAlready) {
  bot().account.mode = LaneMode::kCollect;
  options_.collect_quiet = hours(1);
  options_.collect_longest = hours(1);
  start();
  say("a", "one");
  EXPECT_THAT(agents_.calls, IsEmpty());
  AccountOptions options = bot().account;
  options.mode = LaneMode::kFollowup;
  gateway().set_account("bot", options);
  run_until_idle();
  EXPECT_THAT(agents_.texts(), ElementsAre("one"));
  gateway().set_account("nobody", options);
}

TEST_F(ReloadTest, AnotherAgentOfAnAccountAnswersWhatWaitsForAPlace) {
  agents_.known[0].max_turns = 1;
  agents_.known.push_back(agent("clerk"));
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("a", "one", "ann");
  say("b", "two", "ben");
  AccountOptions options = bot().account;
  options.agent = "clerk";
  gateway().set_account("bot", options);
  run_until_idle();
  EXPECT_THAT(who(), ElementsAre("echo", "clerk"));
}

}  // namespace
}  // namespace sluice::test
