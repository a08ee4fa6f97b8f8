#include "agents/service/service_agent.h"

#include <gmock/gmock.h>

#include "services/services_fixture.h"

namespace sluice {
namespace {

using services::FakePeer;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

class NoSink : public DeltaSink {
 public:
  void delta(std::string_view) override {}
};

class ServiceAgentTest : public services::ServicesTest {
 protected:
  ServiceAgentOptions options() {
    ServiceAgentOptions out;
    out.service = "tools";
    out.tool = "add";
    return out;
  }
  void ask(ServiceAgentOptions options, const std::string& text = "hello") {
    TurnRequest request;
    request.account = "http";
    request.chat = "main";
    auto message = std::make_shared<MessageRow>();
    message->text = text;
    request.messages.push_back(std::move(message));
    agent_.emplace("helper", std::move(options), *manager_, nullptr);
    tasks_.spawn("ask", keep(agent_->run(std::move(request), sink_), &reply_));
    settle();
  }
  static boost::json::value parse(std::string_view text) { return boost::json::parse(text); }

  NoSink sink_;
  std::optional<ServiceAgent> agent_;
  std::optional<Result<AgentReply>> reply_;
};

TEST_F(ServiceAgentTest, TheToolGetsTheTextAndItsTextIsTheReply) {
  FakePeer& peer = run("tools");
  peer.answers_calls = false;
  ServiceAgentOptions with = options();
  with.argument = "question";
  with.conversation_argument = "session";
  with.arguments = R"({"depth":2})";
  ask(with, "what now?");
  ASSERT_EQ(peer.calls.size(), 1u);
  EXPECT_EQ(peer.calls[0].params,
            parse(R"({"name":"add","arguments":{"depth":2,"question":"what now?",
                      "session":"http/main/"}})"));
  peer.say(services::encode_result(
      peer.calls[0].id, parse(R"({"content":[{"type":"text","text":"wait"},{"type":"image"},
                                   {"type":"text","text":"and see"}]})")));
  settle();
  ASSERT_TRUE(reply_ && *reply_);
  EXPECT_EQ((*reply_)->text, "wait\nand see");
}

TEST_F(ServiceAgentTest, OtherResultsAreTextsToo) {
  EXPECT_EQ(reply_of_tool("hi")->text, "hi");
  EXPECT_EQ(reply_of_tool(parse(R"({"text":"hi","more":1})"))->text, "hi");
  EXPECT_EQ(reply_of_tool(parse(R"({"sum":3})"))->text, R"({"sum":3})");
  EXPECT_EQ(reply_of_tool(nullptr).error().kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(reply_of_tool(parse(R"({"content":[]})")).error().kind(), ErrorKind::kBadResponse);
  const auto failed =
      reply_of_tool(parse(R"({"isError":true,"content":[{"type":"text","text":"a secret"}]})"));
  EXPECT_EQ(failed.error().kind(), ErrorKind::kInternal);
  EXPECT_THAT(failed.error().context(), Not(HasSubstr("secret")));
}

TEST_F(ServiceAgentTest, ACallThatWasLostIsNotMadeAgainUnlessThatHarmsNobody) {
  for (const bool idempotent : {false, true}) {
    const std::string name = idempotent ? "again" : "once";
    FakePeer& peer = run(name);
    peer.answers_calls = false;
    ServiceAgentOptions with = options();
    with.service = name;
    with.idempotent = idempotent;
    ask(with);
    peer.die();
    settle();
    ASSERT_TRUE(reply_ && !*reply_);
    EXPECT_EQ(reply_->error().kind(), ErrorKind::kUnavailable);
    EXPECT_EQ(reply_->error().retry().allowed(), idempotent);
    EXPECT_EQ(agent_->info().on_interrupt, idempotent ? OnInterrupt::kRerun : OnInterrupt::kAsk);
  }
}

TEST_F(ServiceAgentTest, WhatDidNotReachTheServiceMayBeTriedAgain) {
  FakePeer& peer = run("tools");
  peer.reachable = false;
  peer.die();
  advance(minutes(5));
  ask(options());
  ASSERT_TRUE(reply_ && !*reply_);
  EXPECT_TRUE(reply_->error().retry().allowed());
  EXPECT_THAT(agent_->health().error().context(), HasSubstr("tools is error"));
}

TEST_F(ServiceAgentTest, AnAnswerThatTakesTooLongEnds) {
  run("tools").answers_calls = false;
  ServiceAgentOptions with = options();
  with.timeout = seconds(2);
  ask(with);
  advance(seconds(2));
  ASSERT_TRUE(reply_ && !*reply_);
  EXPECT_EQ(reply_->error().kind(), ErrorKind::kTimeout);
  EXPECT_FALSE(reply_->error().retry().allowed());
}

}  // namespace
}  // namespace sluice
