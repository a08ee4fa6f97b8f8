// An agent is asked beside a turn, for what works for that turn (Gateway::ask).

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AskTest : public GatewayTest {
 protected:
  AskTest() {
    agents_.known.push_back(agent("helper"));
    agents_.known.back().max_turns = 1;
    agents_.known.back().timeout = milliseconds(1'000);
    // Who is asked beside a turn has a request id of its own here.
    agent_does([this](const TurnRequest& request) {
      if (request.request_id != "aside") {
        turn_ = request;
        return Act{};
      }
      asked_.push_back(request.text());
      return helper_does_;
    });
  }
  /// A turn has come and gone; who asks for its person knows it.
  void have_a_turn() {
    say("c", "hello", "ann");
    run_until_rest();
    turn_.request_id = "aside";
  }
  std::string ask(const std::string& name, milliseconds most = milliseconds(0)) {
    const Begun<Result<AgentReply>> asked = begin_to_ask(name, most);
    run_until_idle();
    return word(asked);
  }
  Begun<Result<AgentReply>> begin_to_ask(const std::string& name, milliseconds most) {
    return begin(gateway().ask(name, turn_, "what is it?", most));
  }
  static std::string word(const Begun<Result<AgentReply>>& asked) {
    if (!*asked) return "waits";
    return **asked ? (**asked)->text : std::string(to_string((*asked)->error().kind()));
  }
  static Act costs(std::uint64_t tokens) {
    Act act = Act::says("so much");
    (*act.result)->usage.output_tokens = tokens;
    return act;
  }

  TurnRequest turn_;
  std::vector<std::string> asked_;
  Act helper_does_ = Act::says("this");
};

TEST_F(AskTest, TheAnswerIsNotInTheConversation) {
  start();
  have_a_turn();
  EXPECT_EQ(ask("helper"), "this");
  EXPECT_THAT(asked_, ElementsAre("what is it?"));
  EXPECT_THAT(bot().taken("c"), SizeIs(1));
  EXPECT_EQ(ask("nobody"), "not_found");
}

TEST_F(AskTest, TheAgentsLimitHoldsAndNobodyWaitsForIt) {
  start();
  have_a_turn();
  helper_does_ = Act::slow(milliseconds(500));
  const auto first = begin_to_ask("helper", milliseconds(0));
  EXPECT_EQ(ask("helper"), "overloaded");
  advance(milliseconds(500));
  EXPECT_NE(word(first), "waits");
  helper_does_ = Act::says("this");
  EXPECT_EQ(ask("helper"), "this");
}

TEST_F(AskTest, ItTakesNoLongerThanItMay) {
  start();
  have_a_turn();
  helper_does_ = Act::hang();
  const auto brief = begin_to_ask("helper", milliseconds(10));
  advance(milliseconds(10));
  EXPECT_EQ(word(brief), "timeout");
  const auto whole = begin_to_ask("helper", milliseconds(0));
  advance(milliseconds(999));
  EXPECT_EQ(word(whole), "waits");
  advance(milliseconds(1));
  EXPECT_EQ(word(whole), "timeout");
}

TEST_F(AskTest, ItIsCountedInThePersonsBudgetAlsoAfterAStart) {
  bot().account.tokens_per_day = 100;
  start();
  have_a_turn();
  helper_does_ = costs(60);
  EXPECT_EQ(ask("helper"), "so much");
  EXPECT_EQ(ask("helper"), "so much");
  EXPECT_EQ(ask("helper"), "rate_limited");
  restart();
  EXPECT_EQ(ask("helper"), "rate_limited");
  turn_.messages.clear();
  auto bobs = std::make_shared<MessageRow>();
  bobs->sender = "bob";
  turn_.messages.push_back(std::move(bobs));
  EXPECT_EQ(ask("helper"), "so much");
}

TEST_F(AskTest, WhatIsNoAnswerIsAnError) {
  start();
  have_a_turn();
  helper_does_ = Act::fails(ErrorKind::kUnavailable);
  EXPECT_EQ(ask("helper"), "unavailable");
  helper_does_ = Act::says("");
  EXPECT_EQ(ask("helper"), "bad_response");
  helper_does_ = Act::says("");
  (*helper_does_.result)->parked_for = milliseconds(1'000);
  EXPECT_EQ(ask("helper"), "unsupported");
}

TEST_F(AskTest, NobodyIsAskedOnceASuccessorHasTheStore) {
  start();
  have_a_turn();
  process_->calls.hand_over();
  EXPECT_EQ(ask("helper"), "unavailable");
  EXPECT_THAT(asked_, IsEmpty());
  process_->calls.take_back();
}

}  // namespace
}  // namespace sluice::test
