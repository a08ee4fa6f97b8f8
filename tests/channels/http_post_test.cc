// What is posted, and what is refused.

#include "tests/channels/http_fixture.h"

namespace sluice::http {
namespace {

using test::Answer;
using test::EventReader;
using test::HttpChannelTest;
using test::RawSocket;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(HttpChannelTest, AcceptsAMessageAndAnswersInTheLog) {
  start();
  const Answer answer = say("alice", "m1", "hello");
  EXPECT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(answer.text("status"), "accepted");
  EXPECT_EQ(answer.text("id"), "m1");
  EXPECT_GT(answer.number("message"), 0);
  EventReader reader = follow("alice");
  EXPECT_EQ(reader.line_text(), "hello");
  EXPECT_EQ(reader.line_text(), "echo: hello");
}

TEST_F(HttpChannelTest, ARepeatedMessageIsTheSameMessage) {
  start();
  const Answer first = say("alice", "m1", "hello");
  const Answer second = say("alice", "m1", "hello\\r\\n");
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(second.number("message"), first.number("message"));
  EXPECT_TRUE(second.json().at("duplicate").as_bool());
  EventReader reader = follow("alice");
  EXPECT_THAT(reader.lines_until("echo: hello"), ElementsAre("hello", "echo: hello"));
  EXPECT_EQ(agent_calls(), 1);
}

TEST_F(HttpChannelTest, ARepeatedIdWithAnotherTextIsRefused) {
  start();
  const Answer first = say("alice", "m1", "hello");
  const Answer second = say("alice", "m1", "goodbye");
  EXPECT_EQ(second.status, 422);
  EXPECT_EQ(second.text("type"), "urn:sluice:problem:id-reused");
  EXPECT_EQ(second.json().at("results").at(0).at("message"), first.number("message"));
}

TEST_F(HttpChannelTest, AnIdIsKnownAfterACrashToo) {
  start();
  const Answer first = say("alice", "m1", "hello");
  crash();
  start();
  EXPECT_EQ(say("alice", "m1", "hello").number("message"), first.number("message"));
  EXPECT_EQ(say("alice", "m1", "other").status, 422);
}

TEST_F(HttpChannelTest, TheIdempotencyKeyHeaderIsTheId) {
  start();
  const auto send = [this] {
    return request("POST", "/v1/conversations/main/messages", "alice", R"({"text":"hello"})",
                   "Idempotency-Key: \"k-1\"\r\n");
  };
  const Answer first = send();
  EXPECT_EQ(first.status, 202) << first.body;
  EXPECT_EQ(first.text("id"), "k-1");
  EXPECT_EQ(send().status, 200);
}

TEST_F(HttpChannelTest, ABatchIsAnsweredEventByEvent) {
  start();
  say("alice", "m1", "one");
  const Answer answer = post("alice", R"([{"id":"m1","text":"one"},{"id":"m2","text":"two"}])");
  EXPECT_EQ(answer.status, 202) << answer.body;
  const auto results = answer.json().at("results").as_array();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].at("duplicate"), true);
  EXPECT_EQ(results[1].at("duplicate"), false);
  EXPECT_EQ(results[1].at("id"), "m2");
}

TEST_F(HttpChannelTest, ABatchWithAnythingWrongIsRefusedWhole) {
  start();
  const Answer answer = post("alice", R"([{"id":"m1","text":"one"},{"id":"m2","txt":"two"}])");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.text("detail"), HasSubstr("event 2: unknown field \"txt\""));
  std::string many = "[";
  for (int i = 0; i < 101; ++i) {
    many += std::string(i == 0 ? "" : ",") + R"({"id":"b)" + std::to_string(i) + R"(","text":"x"})";
  }
  EXPECT_EQ(post("alice", many + "]").status, 413);
  const Answer log = request("GET", "/v1/conversations/main/history", "alice");
  EXPECT_TRUE(log.json().at("lines").as_array().empty());
  EXPECT_EQ(agent_calls(), 0);
}

TEST_F(HttpChannelTest, RefusesBodiesThatAreNotMessages) {
  start();
  for (const char* body : {"{", "5", "[]", "{\"id\":\"1\"}", "{\"id\":\"1\",\"text\":\"\"}",
                           "{\"id\":\"1\",\"text\":\" \\n\"}", "{\"id\":\"1\",\"text\":\"\xff\"}",
                           "[[{\"id\":\"1\"}]]", "{\"id\":\"1\",\"text\":\"a\",\"x\":1}"}) {
    const Answer answer = post("alice", body);
    EXPECT_EQ(answer.status, 400) << body << answer.body;
    EXPECT_THAT(answer.head, HasSubstr("application/problem+json"));
  }
}

TEST_F(HttpChannelTest, RefusesWhatIsTooLarge) {
  options_.body_max = 600 * 1024;
  start();
  EXPECT_EQ(say("alice", "m1", std::string(300 * 1024, 'x')).status, 413) << "text";
  EXPECT_EQ(say("alice", std::string(2'000, 'x'), "hello").status, 413) << "id";
  EXPECT_EQ(say("alice", "m1", std::string(700 * 1024, 'x')).status, 413) << "body";
  EXPECT_EQ(say("alice", "m1", std::string(200 * 1024, 'x')).status, 202);
}

TEST_F(HttpChannelTest, RefusesOtherContentTypes) {
  start();
  const auto send = [this](std::string_view headers) {
    return request("POST", "/v1/conversations/main/messages", "alice", R"({"id":"1","text":"a"})",
                   headers)
        .status;
  };
  EXPECT_EQ(send("Content-Type: text/plain\r\n"), 415);
  EXPECT_EQ(send("Content-Type: application/json\r\nContent-Encoding: gzip\r\n"), 415);
  EXPECT_EQ(send("Content-Type: Application/JSON; charset=utf-8\r\n"), 202);
}

TEST_F(HttpChannelTest, RefusesCallersItDoesNotKnowBeforeTheirBodies) {
  start();
  RawSocket socket = connect();
  socket.send(
      "POST /v1/conversations/main/messages HTTP/1.1\r\nHost: x\r\nContent-Type: "
      "application/json\r\nContent-Length: 100000\r\n\r\n");
  const Answer answer = read(socket);
  EXPECT_EQ(answer.status, 401);
  EXPECT_THAT(answer.head, HasSubstr("WWW-Authenticate: Bearer"));
  for (const char* path :
       {"/v1/conversations/main/events", "/v1/conversations/main/history", "/v1/messages/1"}) {
    EXPECT_EQ(request("GET", path, "nobody").status, 401) << path;
  }
}

TEST_F(HttpChannelTest, NobodyPostsForAnotherWithoutTheRight) {
  start();
  EXPECT_EQ(post("alice", R"({"id":"1","text":"a","sender":"bob"})").status, 403);
  EXPECT_EQ(post("robot", R"({"id":"1","text":"a","sender":"bob"})").status, 202);
}

TEST_F(HttpChannelTest, RefusesPeopleWhoAreNotOnTheList) {
  options_.allow = {"alice"};
  start();
  EXPECT_EQ(say("alice", "m1", "hello").status, 202);
  const Answer answer = say("bob", "m1", "hello");
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.text("type"), "urn:sluice:problem:not-on-the-list");
}

TEST_F(HttpChannelTest, ABatchWithASenderWhoIsNotOnTheListIsRefusedWhole) {
  options_.allow = {"alice"};
  start();
  const Answer answer = post("robot", R"([{"id":"1","text":"a","sender":"alice"},)"
                                      R"({"id":"2","text":"b","sender":"bob"}])");
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(agent_calls(), 0);
}

TEST_F(HttpChannelTest, TellsPathsAndMethodsThatAreNot) {
  start();
  EXPECT_EQ(request("GET", "/v1/nothing", "alice").status, 404);
  const Answer answer = request("PUT", "/v1/conversations/main/messages", "alice");
  EXPECT_EQ(answer.status, 405);
  EXPECT_THAT(answer.head, HasSubstr("Allow: POST"));
  EXPECT_EQ(request("GET", "/v1/messages/x1", "alice").status, 404);
  EXPECT_EQ(request("GET", "/v1/messages/-1", "alice").status, 404);
  EXPECT_EQ(request("POST", "/v1/conversations/a%07b/messages", "alice", R"({"id":"1","text":"a"})")
                .status,
            400);
}

TEST_F(HttpChannelTest, SlowsASenderWhoseConversationIsFull) {
  core_options_.pending_per_conversation = 2;
  start();
  say("alice", "m0", "hold it");
  EXPECT_EQ(say("alice", "m1", "a").status, 202);
  EXPECT_EQ(say("alice", "m2", "b").status, 202);
  const Answer answer = say("alice", "m3", "c");
  EXPECT_EQ(answer.status, 429);
  EXPECT_THAT(answer.head, HasSubstr("Retry-After: 1"));
  release();
  EventReader reader = follow("alice");
  reader.lines_until("echo: b");
  EXPECT_EQ(say("alice", "m3", "c").status, 202);
}

TEST_F(HttpChannelTest, SaysWhenTheDiskIsFull) {
  start();
  on_shard([](Gateway& gateway) { gateway.core().disk_low = true; });
  const Answer answer = say("alice", "m1", "hello");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.text("type"), "urn:sluice:problem:disk-full");
  EXPECT_THAT(answer.head, HasSubstr("Retry-After: 60"));
}

TEST_F(HttpChannelTest, AClientThatHangsUpDoesNotTakeItsMessageAlong) {
  start();
  {
    RawSocket socket = connect();
    socket.send(format("POST", "/v1/conversations/main/messages", "alice",
                       R"({"id":"m1","text":"hello"})", ""));
  }
  EventReader reader = follow("alice");
  EXPECT_EQ(reader.line_text(), "hello");
}

TEST_F(HttpChannelTest, AHalfClosedClientGetsItsAnswer) {
  start();
  RawSocket socket = connect();
  socket.send(format("POST", "/v1/conversations/main/messages", "alice",
                     R"({"id":"m1","text":"hello"})", ""));
  socket.shutdown_write();
  EXPECT_EQ(read(socket).status, 202);
}

TEST_F(HttpChannelTest, AnEditReplacesWhatWaits) {
  start();
  say("alice", "m0", "hold it");
  say("alice", "m1", "old");
  const Answer edit = post("alice", R"({"replaces":"m1","revision":"r1","text":"new"})");
  EXPECT_EQ(edit.status, 202) << edit.body;
  EXPECT_EQ(post("alice", R"({"replaces":"m1","revision":"r1","text":"new"})").status, 200);
  release();
  EventReader reader = follow("alice");
  EXPECT_THAT(reader.lines_until("echo: new"),
              ElementsAre("hold it", "half and half", "new", "echo: new"));
}

TEST_F(HttpChannelTest, AMessageThatWaitsCanBeWithdrawn) {
  start();
  say("alice", "m0", "hold it");
  const std::int64_t id = say("alice", "m1", "never mind").number("message");
  const std::string path = "/v1/conversations/main/messages/m1";
  EXPECT_EQ(request("DELETE", path, "alice").status, 202);
  EXPECT_EQ(request("DELETE", path, "alice").status, 200) << "said twice";
  const Answer life = request("GET", "/v1/messages/" + std::to_string(id), "alice");
  EXPECT_EQ(life.text("status"), "withdrawn");
  release();
  say("alice", "m2", "last");
  EventReader reader = follow("alice");
  EXPECT_THAT(reader.lines_until("echo: last"),
              ElementsAre("hold it", "half and half", "last", "echo: last"));
}

TEST_F(HttpChannelTest, NothingCanBeWithdrawnWhereNothingWasSaid) {
  start();
  EXPECT_EQ(request("DELETE", "/v1/conversations/main/messages/m1", "alice").status, 404);
}

TEST_F(HttpChannelTest, AStopKeepsWhatWasSeen) {
  start();
  say("alice", "m0", "hold it");
  EventReader reader = follow("alice");
  EXPECT_THAT(reader.next("delta").data, HasSubstr("half"));
  const Answer stop = request("POST", "/v1/conversations/main/stop", "alice");
  EXPECT_EQ(stop.status, 202) << stop.body;
  EXPECT_THAT(reader.lines_until("half"), ElementsAre("/stop", "Stopping.", "hold it", "half"));
  const Answer log = request("GET", "/v1/conversations/main/history?limit=1", "alice");
  EXPECT_EQ(log.json().at("lines").at(0).at("cut"), true);
}

TEST_F(HttpChannelTest, AStopThatIsSentAgainStopsOnce) {
  start();
  say("alice", "m0", "hold it");
  const auto stop = [this] {
    return request("POST", "/v1/conversations/main/stop", "alice", "", "Idempotency-Key: s1\r\n")
        .status;
  };
  EXPECT_EQ(stop(), 202);
  EXPECT_EQ(stop(), 200);
  EXPECT_EQ(request("POST", "/v1/conversations/none/stop", "alice").status, 404);
  EXPECT_EQ(request("POST", "/v1/conversations/main/stop", "alice", R"({"now":true})").status, 400);
}

}  // namespace
}  // namespace sluice::http
