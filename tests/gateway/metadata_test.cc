// What travels beside the text: the caller's ids to the agent, the agent's account of its work to
// the channel and the log.

#include <boost/json.hpp>

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class MetadataTest : public GatewayTest {
 protected:
  static Act tells_everything() {
    Act act;
    ResponseMeta meta;
    meta.session = "s-1";
    meta.project = "p-1";
    meta.project_tag = "blue";
    meta.seed = "seed-7";
    meta.phase = "evaluate";
    meta.evaluation_passed = true;
    act.result = AgentReply{"done", meta, {}, {}};
    return act;
  }
  boost::json::object meta_of(const Platform::Try& t) {
    return boost::json::parse(t.request.meta).as_object();
  }
};

TEST_F(MetadataTest, SessionProjectsAndRequestIdOfTheCallerReachTheAgent) {
  start();
  InboundMessage event = message("c", "hello");
  event.session = "session-9";
  event.projects = {"alpha", "beta"};
  event.request_id = "req-1";
  event.thread = "t";
  event.chat_kind = ChatKind::kGroup;
  say(event);
  run_until_rest();
  const TurnRequest& request = agents_.calls[0].request;
  EXPECT_EQ(request.session, "session-9");
  EXPECT_THAT(request.projects, ElementsAre("alpha", "beta"));
  EXPECT_EQ(request.request_id, "req-1");
  EXPECT_EQ(request.account, "bot");
  EXPECT_EQ(request.channel_kind, "test");
  EXPECT_EQ(request.chat, "c");
  EXPECT_EQ(request.thread, "t");
  EXPECT_EQ(request.chat_kind, ChatKind::kGroup);
}

TEST_F(MetadataTest, TheySurviveAWaitOnDisk) {
  options_.inbox_capacity = 1;
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "runs");
  InboundMessage event = message("c", "hello");
  event.session = "session-9";
  event.projects = {"alpha", "beta"};
  event.request_id = "req-1";
  event.attachments = {"photo"};
  say(event);
  say("c", "pushes it out of the window");
  restart();
  run_until_rest();
  const auto call = std::find_if(agents_.calls.begin(), agents_.calls.end(),
                                 [](const auto& c) { return c.request.text() == "hello"; });
  ASSERT_NE(call, agents_.calls.end());
  EXPECT_EQ(call->request.session, "session-9");
  EXPECT_THAT(call->request.projects, ElementsAre("alpha", "beta"));
  EXPECT_EQ(call->request.request_id, "req-1");
}

TEST_F(MetadataTest, RequestIdIsTheMessagesWhereTheCallerHasNone) {
  start();
  const Accepted one = say("c", "one");
  const Accepted two = say("c", "two");
  run_until_rest();
  EXPECT_EQ(agents_.calls[0].request.request_id, fmt::format("{}", one.id.value));
  EXPECT_EQ(agents_.calls[1].request.request_id, fmt::format("{}", two.id.value));
}

TEST_F(MetadataTest, EveryFieldOfTheAgentsAccountReachesTheChannelAndTheLog) {
  agent_does([](const TurnRequest&) { return tells_everything(); });
  start();
  const Accepted asked = say("c", "hello");
  run_until_rest();
  const boost::json::object meta = meta_of(bot().tries[0]);
  EXPECT_EQ(meta.at("session"), "s-1");
  EXPECT_EQ(meta.at("project"), "p-1");
  EXPECT_EQ(meta.at("project_tag"), "blue");
  EXPECT_EQ(meta.at("seed"), "seed-7");
  EXPECT_EQ(meta.at("phase"), "evaluate");
  EXPECT_EQ(meta.at("evaluation_passed"), true);
  EXPECT_FALSE(meta.contains("error"));
  EXPECT_EQ(history(asked.lane).back().meta, bot().tries[0].request.meta);
}

TEST_F(MetadataTest, TurnWithoutAnAccountCarriesNone) {
  start();
  say("c", "hello");
  run_until_rest();
  EXPECT_THAT(bot().tries[0].request.meta, IsEmpty());
}

TEST_F(MetadataTest, EvaluationThatNeverWasIsNeitherPassedNorFailed) {
  agent_does([](const TurnRequest&) {
    Act act;
    act.result = AgentReply{"chat", ResponseMeta{}, {}, {}};
    act.result->value().meta->phase = "interview";
    return act;
  });
  start();
  say("c", "hello");
  run_until_rest();
  EXPECT_FALSE(meta_of(bot().tries[0]).contains("evaluation_passed"));
}

// The seed's clock started after the wait for a slot, whatever its comment said.
TEST_F(MetadataTest, DurationIncludesTheWaitForASlot) {
  options_.max_concurrent_turns = 1;
  agent_does([](const TurnRequest&) {
    Act act = tells_everything();
    act.takes = seconds(3);
    return act;
  });
  start();
  say("c", "first");
  say("d", "second");
  run_until_rest();
  EXPECT_EQ(meta_of(bot().tries[0]).at("duration_ms"), 3'000);
  EXPECT_EQ(meta_of(bot().tries[1]).at("duration_ms"), 6'000);
}

TEST_F(MetadataTest, FailureKeepsTheSessionAndNamesTheError) {
  agent_does([](const TurnRequest&) { return Act::fails(ErrorKind::kTimeout); });
  start();
  InboundMessage event = message("c", "hello");
  event.session = "session-9";
  say(event);
  run_until_rest();
  const boost::json::object meta = meta_of(bot().tries[0]);
  EXPECT_EQ(meta.at("error"), "timeout");
  ASSERT_TRUE(meta.contains("session"));
  EXPECT_EQ(meta.at("session"), "session-9");
}

TEST_F(MetadataTest, InterruptedTurnThatFailsKeepsTheSessionToo) {
  agents_.known = {agent("echo", OnInterrupt::kFail)};
  agent_does([](const TurnRequest&) { return Act::hang(); });
  start();
  InboundMessage event = message("c", "hello");
  event.session = "session-9";
  say(event);
  restart();
  run_until_rest();
  const boost::json::object meta = meta_of(bot().tries.back());
  EXPECT_EQ(meta.at("error"), "interrupted");
  ASSERT_TRUE(meta.contains("session"));
  EXPECT_EQ(meta.at("session"), "session-9");
}

TEST_F(MetadataTest, AccountTravelsWithTheLastPartOnly) {
  bot().info.can.part_bytes_max = 100;
  agent_does([](const TurnRequest&) {
    Act act = tells_everything();
    act.result->value().text = std::string(250, 'x');
    return act;
  });
  start();
  say("c", "hello");
  run_until_rest();
  ASSERT_THAT(bot().tries, SizeIs(3));
  EXPECT_THAT(bot().tries[0].request.meta, IsEmpty());
  EXPECT_THAT(bot().tries[2].request.meta, HasSubstr("seed-7"));
}

TEST_F(MetadataTest, LogsCarryWhoHowLongAndHowFarButNeverTheText) {
  agent_does([](const TurnRequest&) {
    Act act = tells_everything();
    act.takes = milliseconds(250);
    return act;
  });
  start();
  InboundMessage event = message("c", "my secret");
  event.request_id = "req-1";
  say(event);
  run_until_rest();
  const std::string received = log().last("message_received");
  for (const char* field : {"account=bot", "user=ann", "bytes=9", "request_id=req-1"}) {
    EXPECT_THAT(received, HasSubstr(field));
  }
  const std::string ended = log().last("turn_ended");
  for (const char* field : {"account=bot", "request_id=req-1", "phase=evaluate", "seed=seed-7",
                            "duration_ms=250", "turn=", "lane=", "message="}) {
    EXPECT_THAT(ended, HasSubstr(field));
  }
  for (const std::string& line : log().lines()) {
    EXPECT_THAT(line, ::testing::Not(HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace sluice::test
