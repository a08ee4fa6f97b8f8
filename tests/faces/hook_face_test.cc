// A hook that answers in the response, together with the real gateway, store and server, over
// loopback.

#include "tests/faces/hook_fixture.h"

namespace sluice::hook {
namespace {

using test::Answer;
using test::EventReader;
using test::HookFaceTest;
using test::RawSocket;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

std::string text_of(const boost::json::value& value, std::string_view field) {
  return std::string(value.as_object().at(field).as_string());
}

std::string link_of(const Answer& answer) { return text_of(answer.json(), "link"); }

TEST_F(HookFaceTest, AnswersInTheResponse) {
  start();
  const Answer answer = post(body("m1", "hello", "wait"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(text_of(answer.json(), "text"), "echo: hello");
  EXPECT_EQ(text_of(answer.json(), "status"), "answered");
}

TEST_F(HookFaceTest, ARepeatedPostGetsTheSameAnswerAndRunsNoSecondTurn) {
  start();
  const Answer first = post(body("m1", "hello", "wait"));
  EXPECT_EQ(post(body("m1", "hello", "wait")).body, first.body);
  EXPECT_THAT(agent_texts(), SizeIs(1));
}

TEST_F(HookFaceTest, AnAnswerThatTakesTooLongIsFetchedByItsLink) {
  options_.wait_timeout = milliseconds(1);
  start();
  const Answer late = post(body("m1", "hold it", "wait"));
  EXPECT_EQ(late.status, 202);
  EXPECT_THAT(late.head, HasSubstr("Location: " + link_of(late)));
  const Answer pending = get(link_of(late));
  EXPECT_EQ(pending.status, 202);
  EXPECT_EQ(text_of(pending.json(), "status"), "accepted");
  release();
  Answer answer = get(link_of(late));
  wait_until([&] {
    if (answer.status == 202) answer = get(link_of(late));
    return answer.status != 202;
  });
  EXPECT_EQ(text_of(answer.json(), "text"), "half and half");
}

TEST_F(HookFaceTest, ALinkIsForCallersWithCredentials) {
  start();
  EXPECT_EQ(post(body("m1", "hello", "wait")).status, 200);
  EXPECT_EQ(get("/hook/desk/messages/2", "").status, 401);
  EXPECT_EQ(get("/hook/desk/messages/2").status, 200);
}

TEST_F(HookFaceTest, ALinkCanBeSigned) {
  options_.receive_secret = config::Secret("key");
  start();
  EXPECT_EQ(post(body("m1", "hello", "wait")).status, 200);
  const std::string header =
      "X-Sluice-Signature: " + auth::signature("key", "GET /hook/desk/messages/2", wall()) + "\r\n";
  EXPECT_EQ(get("/hook/desk/messages/3", "", header).status, 401);
  EXPECT_EQ(get("/hook/desk/messages/2", "", header).status, 200);
  EXPECT_EQ(get("/hook/desk/messages/2", "", header).status, 409);
}

TEST_F(HookFaceTest, WhatIsNoMessageIsNotFound) {
  start();
  EXPECT_EQ(get("/hook/desk/messages/4711").status, 404);
  EXPECT_EQ(get("/hook/desk/messages/x").status, 404);
  EXPECT_EQ(get("/hook/desk/messages/-1").status, 404);
}

TEST_F(HookFaceTest, StreamsTheAnswerAsItComes) {
  start();
  EventReader events = stream("m1", "hold it");
  EXPECT_EQ(events.next().event, "accepted");
  const net::SseEvent delta = events.next();
  EXPECT_EQ(delta.event, "delta");
  EXPECT_THAT(delta.data, HasSubstr(R"("offset":0,"text":"half")"));
  release();
  EXPECT_THAT(events.next().data, HasSubstr(R"("offset":4,"text":" and half")"));
  const net::SseEvent answer = events.next();
  EXPECT_EQ(answer.event, "answer");
  EXPECT_EQ(text_of(boost::json::parse(answer.data), "text"), "half and half");
  EXPECT_EQ(events.next().event, "");
}

TEST_F(HookFaceTest, ANewAttemptIsToldBeforeItsText) {
  start();
  post(body("m0", "hello", "wait"));
  EventReader events = stream("m1", "again");
  EXPECT_EQ(events.next().event, "accepted");
  EXPECT_THAT(events.next().data, HasSubstr("first try"));
  release();
  EXPECT_EQ(events.next().event, "reset");
  EXPECT_THAT(events.next().data, HasSubstr(R"("attempt":2,"offset":0,"text":"second try")"));
  EXPECT_EQ(events.next().event, "answer");
}

TEST_F(HookFaceTest, NeverShowsAnotherMessagesTurn) {
  start();
  EventReader first = stream("m1", "hold it");
  EXPECT_EQ(first.next().event, "accepted");
  EXPECT_EQ(first.next().event, "delta");
  EventReader second = stream("m2", "next");
  EXPECT_EQ(second.next().event, "accepted");
  release();
  const net::SseEvent answer = second.next();
  EXPECT_EQ(answer.event, "answer");
  EXPECT_THAT(answer.data, HasSubstr("echo: next"));
}

TEST_F(HookFaceTest, ACallerThatLeavesFindsItsAnswerLater) {
  start();
  {
    EventReader events = stream("m1", "hold it");
    EXPECT_EQ(events.next().event, "accepted");
    events.socket().close();
  }
  release();
  EXPECT_EQ(text_of(post(body("m1", "hold it", "wait")).json(), "text"), "half and half");
  EXPECT_THAT(agent_texts(), SizeIs(1));
}

TEST_F(HookFaceTest, AFailedTurnSaysSo) {
  start();
  const Answer answer = post(body("m1", "mine", "wait"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(text_of(answer.json(), "status"), "failed");
  EXPECT_EQ(text_of(answer.json(), "error"), "internal");
  EXPECT_THAT(answer.body, Not(HasSubstr("a secret")));
}

TEST_F(HookFaceTest, AnInterruptedTurnAsks) {
  start();
  EventReader events = stream("m1", "hold it");
  events.next();
  events.next();
  crash();
  start();
  EXPECT_EQ(text_of(post(body("m1", "hold it", "wait")).json(), "status"), "asking");
  release();
  EXPECT_EQ(text_of(post(body("m2", "/retry", "wait")).json(), "text"), "Trying again.");
  EXPECT_EQ(text_of(post(body("m1", "hold it", "wait")).json(), "text"), "half and half");
}

TEST_F(HookFaceTest, WhoeverWaitsGetsALinkWhenTheChannelStops) {
  start();
  RawSocket waiting = send(body("m1", "hold it", "wait"));
  wait_for_agent_calls(1);
  unregister();
  EXPECT_EQ(read(waiting).status, 202);
}

TEST_F(HookFaceTest, RequestsThatWaitAreBounded) {
  options_.waits_max = 1;
  start();
  EventReader events = stream("m1", "hold it");
  EXPECT_EQ(events.next().event, "accepted");
  const Answer refused = post(body("m2", "hello", "wait"));
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 1"));
  EXPECT_THAT(agent_texts(), SizeIs(1));
}

TEST_F(HookFaceTest, AHugePostIsRefusedUnread) {
  start();
  RawSocket socket = RawSocket::connect(port());
  socket.send(
      "POST /hook/desk HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n"
      "Content-Type: application/json\r\nContent-Length: 100000000\r\n\r\n");
  EXPECT_EQ(read(socket).status, 413);
}

TEST_F(HookFaceTest, AnAnswerInTheResponseIsNotPostedAnywhere) {
  options_.callback = "http://127.0.0.1:1/nowhere";
  start();
  EXPECT_EQ(post(body("m1", "hello", "wait")).status, 200);
  wait_until([this] { return metrics_.value("sluice_parts_sent_total") == 1; });
}

}  // namespace
}  // namespace sluice::hook
