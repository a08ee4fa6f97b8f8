// What people can tell the gateway itself (C9).

#include "gateway/commands.h"

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CommandsTest : public GatewayTest {
 protected:
  std::string answer(const std::string& command) {
    const std::size_t before = bot().taken().size();
    say("c", command);
    const std::vector<std::string> taken = bot().taken();
    return taken.size() > before ? taken.back() : "";
  }
};

TEST(ParseCommandTest, KnowsEachCommandAloneInTheText) {
  EXPECT_EQ(parse_command("/new"), Command::kNew);
  EXPECT_EQ(parse_command("/stop"), Command::kStop);
  EXPECT_EQ(parse_command("/status"), Command::kStatus);
  EXPECT_EQ(parse_command("/help"), Command::kHelp);
  EXPECT_EQ(parse_command("/retry"), Command::kRetry);
  EXPECT_EQ(parse_command("/drop"), Command::kDrop);
}

TEST(ParseCommandTest, TakesABotsNameAndWhiteSpaceAroundIt) {
  EXPECT_EQ(parse_command("/stop@support_bot"), Command::kStop);
  EXPECT_EQ(parse_command("  /stop \r\n"), Command::kStop);
}

TEST(ParseCommandTest, LeavesEverythingElseToTheAgent) {
  for (const char* text : {"", "stop", "/", "/stop now", "/stopp", "/Stop", "please /stop",
                           "write to me@example.org", "/etc/passwd", "/@bot"}) {
    EXPECT_EQ(parse_command(text), std::nullopt) << text;
  }
}

TEST_F(CommandsTest, CommandsNeverReachAnAgent) {
  start();
  for (const char* text : {"/new", "/stop", "/status", "/help", "/retry", "/drop"}) {
    say("c", text);
    run_until_rest();
  }
  EXPECT_THAT(agents_.calls, IsEmpty());
  EXPECT_THAT(bot().taken(), SizeIs(6));
}

TEST_F(CommandsTest, UnknownSlashWordGoesToTheAgent) {
  start();
  say("c", "/weather");
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re /weather"));
}

TEST_F(CommandsTest, HelpNamesEveryCommand) {
  start();
  const std::string help = answer("/help");
  for (const char* name : {"/new", "/stop", "/status", "/retry", "/drop"}) {
    EXPECT_THAT(help, HasSubstr(name));
  }
}

TEST_F(CommandsTest, StatusIsAnsweredWhileATurnRunsAndOthersWait) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("c", "runs");
  say("c", "waits");
  advance(seconds(7));
  const std::string status = answer("/status");
  EXPECT_THAT(status, HasSubstr("for 7 s"));
  EXPECT_THAT(status, HasSubstr("attempt 1"));
  EXPECT_THAT(status, HasSubstr("1 waiting"));
}

TEST_F(CommandsTest, StatusOfAnIdleConversationSaysSo) {
  start();
  EXPECT_EQ(answer("/status"), "Idle.");
}

TEST_F(CommandsTest, StatusBetweenTwoAttemptsSaysSo) {
  agent_does([](const TurnRequest&) {
    return Act::fails(ErrorKind::kUnavailable, Retry::after(seconds(60)));
  });
  start();
  say("c", "hello");
  EXPECT_THAT(answer("/status"), HasSubstr("try again"));
}

TEST_F(CommandsTest, CommandsWithNothingToActOnSaySo) {
  start();
  EXPECT_EQ(answer("/stop"), "Nothing is running.");
  EXPECT_EQ(answer("/retry"), "There is nothing to retry.");
  EXPECT_EQ(answer("/drop"), "There is nothing to drop.");
}

TEST_F(CommandsTest, StopTouchesOnlyItsOwnConversation) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("c", "one");
  const Accepted other = say("d", "two");
  say("c", "/stop");
  advance(seconds(1));
  EXPECT_TRUE(life(other.id).pending);
}

TEST_F(CommandsTest, RepeatedDeliveryOfStopStopsOnce) {
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  say("c", "one");
  const InboundMessage stop = message("c", "/stop");
  say(stop);
  say("c", "two");
  EXPECT_EQ(say(stop).verdict, EventVerdict::kDuplicate);
  advance(seconds(1));
  EXPECT_EQ(agents_.running, 1u) << "the second turn goes on";
  EXPECT_THAT(bot().taken(), ElementsAre("Stopping.", "Stopped."));
}

TEST_F(CommandsTest, NewStartsASessionInItsPlaceAndHidesWhatWasBefore) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "before");
  say("c", "/new");
  say("c", "after");
  run_until_rest();
  ASSERT_THAT(agents_.texts(), ElementsAre("before", "after"));
  EXPECT_THAT(agents_.calls[1].request.history, IsEmpty());
  EXPECT_NE(agents_.calls[0].request.session, agents_.calls[1].request.session);
  EXPECT_THAT(bot().taken(), ElementsAre("re before", HasSubstr("new conversation"), "re after"));
}

TEST_F(CommandsTest, SessionOutlivesARestart) {
  start();
  say("c", "/new");
  say("c", "one");
  run_until_rest();
  restart();
  say("c", "two");
  run_until_rest();
  EXPECT_EQ(agents_.calls[0].request.session, agents_.calls[1].request.session);
  EXPECT_THAT(agents_.calls[1].request.history, SizeIs(2));
}

TEST_F(CommandsTest, AgentsDoNotSeeCommandsAndTheirAnswers) {
  start();
  say("c", "one");
  say("c", "/status");
  say("c", "two");
  run_until_rest();
  std::vector<std::string> seen;
  for (const HistoryRow& row : agents_.calls[1].request.history) seen.push_back(row.text);
  EXPECT_THAT(seen, ElementsAre("one", "re one"));
}

}  // namespace
}  // namespace sluice::test
