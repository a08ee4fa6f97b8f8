// Which agent answers: routes, and what people choose for their conversation.

#include "gateway/message_json.h"
#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

RouteRule rule(std::string name, std::string agent) {
  RouteRule r;
  r.name = std::move(name);
  r.agent = std::move(agent);
  return r;
}

Routes routes(std::vector<RouteRule> rules) {
  Result<Routes> made = Routes::make(std::move(rules));
  EXPECT_TRUE(made);
  return made ? std::move(*made) : Routes();
}

class RoutingTest : public GatewayTest {
 protected:
  RoutingTest() {
    agents_.known.push_back(agent("painter"));
    agents_.known.push_back(agent("clerk"));
  }
  /// Every start gets these, as from the configuration.
  void start_with(std::vector<RouteRule> rules) {
    rules_ = std::move(rules);
    start();
    gateway().set_routes(routes(rules_));
  }
  std::vector<std::string> who() {
    std::vector<std::string> names;
    for (const auto& call : agents_.calls) names.push_back(call.agent);
    return names;
  }
  RouteRule draw() {
    RouteRule r = rule("drawings", "painter");
    r.command = "/draw";
    return r;
  }
  std::vector<RouteRule> rules_;
};

TEST(RoutesTest, FirstRuleThatMatchesWins) {
  RouteRule billing = rule("billing", "clerk");
  billing.text = "(?i)invoice";
  RouteRule rest = rule("rest", "echo");
  const Routes all = routes({billing, rest});
  EXPECT_EQ(all.choose({"bot", "c", ChatKind::kDirect, "ann", "My INVOICE"}).agent, "clerk");
  EXPECT_EQ(all.choose({"bot", "c", ChatKind::kDirect, "ann", "hello"}).agent, "echo");
}

TEST(RoutesTest, ARuleMatchesOnlyIfAllItsConditionsHold) {
  RouteRule r = rule("r", "clerk");
  r.account = {"bot"};
  r.chat = {"support-*"};
  r.sender = {"ann", "bob"};
  r.chats = RouteChats::kGroup;
  const Routes all = routes({r});
  EXPECT_EQ(all.choose({"bot", "support-1", ChatKind::kGroup, "bob", "x"}).agent, "clerk");
  EXPECT_EQ(all.choose({"web", "support-1", ChatKind::kGroup, "bob", "x"}).agent, "");
  EXPECT_EQ(all.choose({"bot", "sales", ChatKind::kGroup, "bob", "x"}).agent, "");
  EXPECT_EQ(all.choose({"bot", "support-1", ChatKind::kDirect, "bob", "x"}).agent, "");
  EXPECT_EQ(all.choose({"bot", "support-1", ChatKind::kGroup, "cid", "x"}).agent, "");
}

TEST(RoutesTest, ACommandIsTheFirstWordAlsoWithTheBotsName) {
  RouteRule r = rule("r", "painter");
  r.command = "/draw";
  const Routes all = routes({r});
  for (const char* text : {"/draw", " /draw a cat", "/draw@bot a cat", "/draw\na cat"})
    EXPECT_EQ(all.choose({"bot", "c", ChatKind::kDirect, "ann", text}).agent, "painter") << text;
  for (const char* text : {"/drawing", "please /draw", ""})
    EXPECT_EQ(all.choose({"bot", "c", ChatKind::kDirect, "ann", text}).agent, "") << text;
}

TEST(RoutesTest, APatternThatRe2DoesNotTakeIsRefusedByName) {
  RouteRule r = rule("broken", "clerk");
  r.text = "(";
  const Result<Routes> made = Routes::make({r});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().to_string(), HasSubstr("broken"));
  EXPECT_FALSE(Routes::check_pattern(std::string(2'000, 'a')).empty());
}

TEST(RoutesTest, ExplainsEveryRule) {
  RouteRule billing = rule("billing", "clerk");
  billing.text = "invoice";
  RouteRule rest = rule("rest", "echo");
  rest.account = {"bot"};
  const auto steps =
      routes({billing, rest}).explain({"bot", "c", ChatKind::kDirect, "ann", "hello"});
  ASSERT_THAT(steps, SizeIs(2));
  EXPECT_FALSE(steps[0].matches);
  EXPECT_THAT(steps[0].why, HasSubstr("pattern"));
  EXPECT_TRUE(steps[1].matches);
  EXPECT_EQ(steps[1].why, "account holds");
}

TEST_F(RoutingTest, MessageGoesToTheAgentOfItsRoute) {
  start_with({draw()});
  say("c", "/draw a cat");
  say("d", "hello");
  run_until_rest();
  EXPECT_THAT(who(), ElementsAre("painter", "echo"));
}

TEST_F(RoutingTest, WaitingMessageKeepsItsAgentOverARestartWithOtherRoutes) {
  agent_does(
      [](const TurnRequest& request) { return request.text() == "first" ? Act::hang() : Act{}; });
  start_with({draw()});
  say("c", "first");
  say("c", "/draw a cat");
  kill();
  agent_does([](const TurnRequest&) { return Act{}; });
  start();
  run_until_rest();
  EXPECT_EQ(who().back(), "painter");
}

TEST_F(RoutingTest, AgentThatIsGoneIsReplacedByTheAccounts) {
  agent_does(
      [](const TurnRequest& request) { return request.text() == "first" ? Act::hang() : Act{}; });
  start_with({draw()});
  say("c", "first");
  say("c", "/draw a cat");
  kill();
  agent_does([](const TurnRequest&) { return Act{}; });
  std::erase_if(agents_.known, [](const AgentInfo& info) { return info.name == "painter"; });
  start();
  run_until_rest();
  EXPECT_EQ(who().back(), "echo");
}

TEST_F(RoutingTest, TurnCountsAgainstTheLimitOfItsOwnAgent) {
  for (AgentInfo& info : agents_.known) {
    if (info.name == "painter") info.max_turns = 1;
  }
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start_with({draw()});
  for (const char* chat : {"a", "b", "c"}) say(chat, "/draw");
  say("d", "hello");
  advance(std::chrono::milliseconds(100));
  EXPECT_THAT(who(), ElementsAre("painter", "echo"));
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(4));
}

TEST_F(RoutingTest, CollectedMessagesOfTwoAgentsAreTwoTurns) {
  bot().account.mode = LaneMode::kCollect;
  start_with({draw()});
  say("c", "one");
  say("c", "two");
  say("c", "/draw three");
  run_until_rest();
  EXPECT_THAT(agents_.texts(), ElementsAre("one\ntwo", "/draw three"));
  EXPECT_THAT(who(), ElementsAre("echo", "painter"));
}

TEST_F(RoutingTest, RouteNamesTheModelToo) {
  RouteRule r = draw();
  r.model = "big";
  start_with({r});
  say("c", "/draw");
  run_until_rest();
  EXPECT_EQ(agents_.calls.front().request.model, "big");
}

TEST_F(RoutingTest, PersonChoosesAnAgentUntilNew) {
  bot().account.choose_agents = {"painter", "clerk"};
  start_with({draw()});
  say("c", "/agent clerk");
  say("c", "hello");
  say("c", "/draw");
  say("d", "hello");
  run_until_rest();
  EXPECT_THAT(who(), ElementsAre("clerk", "clerk", "echo"));
  say("c", "/new");
  say("c", "hello again");
  run_until_rest();
  EXPECT_EQ(who().back(), "echo");
}

TEST_F(RoutingTest, ChoiceOutlivesTheProcess) {
  bot().account.choose_agents = {"clerk"};
  bot().account.choose_models = {"small"};
  start_with({});
  say("c", "/agent clerk");
  say("c", "/model small");
  restart();
  say("c", "hello");
  run_until_rest();
  EXPECT_EQ(who().back(), "clerk");
  EXPECT_EQ(agents_.calls.back().request.model, "small");
}

TEST_F(RoutingTest, OnlyWhatIsConfiguredCanBeChosen) {
  bot().account.choose_agents = {"clerk"};
  start_with({});
  say("c", "/agent painter");
  EXPECT_THAT(bot().taken().back(), HasSubstr("You can choose: clerk"));
  say("c", "/model big");
  EXPECT_THAT(bot().taken().back(), HasSubstr("no other model"));
  say("c", "/agent");
  EXPECT_THAT(bot().taken().back(), HasSubstr("Chosen agent: default"));
  say("c", "hello");
  run_until_rest();
  EXPECT_EQ(who().back(), "echo");
}

TEST_F(RoutingTest, ChoiceSentAgainDoesNotUndoALaterOne) {
  bot().account.choose_agents = {"clerk", "painter"};
  start_with({});
  const InboundMessage first = message("c", "/agent clerk");
  say(first);
  say("c", "/agent painter");
  say(first);
  say("c", "hello");
  run_until_rest();
  EXPECT_EQ(who().back(), "painter");
}

TEST_F(RoutingTest, DefaultTakesAChoiceBack) {
  bot().account.choose_agents = {"clerk"};
  start_with({});
  say("c", "/agent clerk");
  say("c", "/agent default");
  say("c", "hello");
  run_until_rest();
  EXPECT_EQ(who().back(), "echo");
}

TEST_F(RoutingTest, ExplainsWhatItWouldDo) {
  bot().account.choose_agents = {"clerk"};
  bot().account.allow = {"ann"};
  start_with({draw()});
  say("c", "/agent clerk");
  InboundMessage asked = message("c", "/draw");
  const RouteExplanation found = gateway().explain_route(asked, "bot");
  EXPECT_TRUE(found.let_in);
  EXPECT_EQ(found.chosen.agent, "clerk");
  EXPECT_EQ(found.target.agent, "clerk");
  EXPECT_TRUE(found.steps.front().matches);
  asked.sender = "mallory";
  EXPECT_FALSE(gateway().explain_route(asked, "bot").let_in);
  EXPECT_FALSE(gateway().explain_route(asked, "nowhere").account_registered);
}

}  // namespace
}  // namespace sluice::test
