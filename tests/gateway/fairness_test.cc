// Who runs next (C7): the seed's gateway let a quiet person wait 1 960 ms behind another's 320
// turns of 200 ms (W8).

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::SizeIs;

class FairnessTest : public GatewayTest {
 protected:
  /// How long the message takes from acceptance to its reply.
  milliseconds time_to_answer(const std::string& chat, const std::string& sender) {
    const MonoTime from = clock_.mono;
    const std::size_t before = bot().taken(chat).size();
    say(chat, "hello", sender);
    for (int ms = 0; ms < 60'000 && bot().taken(chat).size() == before; ++ms) {
      advance(milliseconds(1));
    }
    return std::chrono::duration_cast<milliseconds>(clock_.mono - from);
  }
};

TEST_F(FairnessTest, QuietPersonDoesNotWaitBehindAnothers320Turns) {
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(200)); });
  start();
  const milliseconds alone = time_to_answer("quiet", "bob");
  for (int i = 0; i < 320; ++i) say(fmt::format("c{}", i), "noise", "ann");
  const milliseconds behind = time_to_answer("quiet", "bob");
  EXPECT_LE(behind.count(), alone.count() * 12 / 10);
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(322)) << "and nobody's turn is lost";
}

TEST_F(FairnessTest, QuietAccountDoesNotWaitBehindAnotherAccountsCrowd) {
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(200)); });
  add_platform("small");
  start();
  for (int i = 0; i < 320; ++i) say(fmt::format("c{}", i), "noise", fmt::format("p{}", i));
  const MonoTime from = clock_.mono;
  const Posted posted = post("small", {message("s", "hello", "bob")});
  run_until_idle();
  while (platforms_.at("small").taken().empty()) advance(milliseconds(1));
  EXPECT_LE(clock_.mono - from, Duration(milliseconds(240)));
}

TEST_F(FairnessTest, OnePersonHoldsAtMostEightSlots) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  for (int i = 0; i < 30; ++i) say(fmt::format("c{}", i), "hello", "ann");
  run_until_rest();
  EXPECT_EQ(agents_.most_running, 8u);
}

TEST_F(FairnessTest, OneAccountHoldsAtMostThreeQuartersOfTheSlots) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  for (int i = 0; i < 60; ++i) say(fmt::format("c{}", i), "hello", fmt::format("p{}", i));
  run_until_rest();
  EXPECT_EQ(agents_.most_running, 24u);
}

TEST_F(FairnessTest, AllAccountsTogetherHoldNoMoreThanTheSlots) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  add_platform("other");
  start();
  std::vector<Posted> posted;
  for (int i = 0; i < 60; ++i) {
    say(fmt::format("c{}", i), "hello", fmt::format("p{}", i));
    posted.push_back(post("other", {message(fmt::format("o{}", i), "hi", fmt::format("q{}", i))}));
    run_until_idle();
  }
  run_until_rest();
  EXPECT_EQ(agents_.most_running, 32u);
}

TEST_F(FairnessTest, OneAgentRunsNoMoreThanItsOwnLimit) {
  agents_.known = {agent("echo"), agent("quick")};
  agents_.known[0].max_turns = 3;
  add_platform("other").account.agent = "quick";
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  for (int i = 0; i < 20; ++i) say(fmt::format("c{}", i), "hello", fmt::format("p{}", i));
  EXPECT_EQ(agents_.running, 3u);
  const Posted posted = post("other", {message("o", "hi")});
  run_until_idle();
  EXPECT_EQ(agents_.running, 4u) << "another agent's turns don't wait for it";
  run_until_rest();
}

TEST_F(FairnessTest, PersonsOfAnAccountTakeTurns) {
  options_.max_concurrent_turns = 1;
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(10)); });
  start();
  for (int i = 0; i < 6; ++i) say(fmt::format("a{}", i), "hello", "ann");
  for (int i = 0; i < 3; ++i) say(fmt::format("b{}", i), "hello", "bob");
  run_until_rest();
  std::string order;
  for (const Agents::Call& call : agents_.calls) {
    order += call.request.messages.front()->sender == "ann" ? 'a' : 'b';
  }
  EXPECT_EQ(order, "aabababaa") << "one each, while both have something";
}

TEST_F(FairnessTest, TurnThatWaitsToBeTriedAgainHoldsNoSlot) {
  options_.max_concurrent_turns = 1;
  agent_does([](const TurnRequest& request) {
    return request.text() == "bad" && request.attempt == 1
               ? Act::fails(ErrorKind::kUnavailable, Retry::after(seconds(30)))
               : Act{};
  });
  start();
  say("c", "bad");
  say("d", "good");
  EXPECT_THAT(bot().taken("d"), SizeIs(1));
  run_until_rest();
}

}  // namespace
}  // namespace sluice::test
