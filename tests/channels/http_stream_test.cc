// Following a conversation through everything that happens to it.

#include "tests/channels/http_fixture.h"

namespace sluice::http {
namespace {

using test::Answer;
using test::EventReader;
using test::HttpChannelTest;
using test::RawSocket;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(HttpChannelTest, StreamsAReplyAndThenItsLines) {
  start();
  EventReader reader = follow("alice");
  EXPECT_THAT(reader.head, HasSubstr("text/event-stream"));
  release();
  say("alice", "m0", "hold it");
  std::string shown;
  std::vector<std::string> phases;
  std::vector<std::string> lines;
  while (phases.empty() || phases.back() != "ended") {
    const net::SseEvent event = reader.next();
    ASSERT_FALSE(event.event.empty());
    const boost::json::value v = boost::json::parse(event.data);
    if (event.event == "delta") shown += v.at("text").as_string();
    if (event.event == "phase") phases.emplace_back(v.at("phase").as_string());
    if (event.event == "message") lines.emplace_back(v.at("kind").as_string());
  }
  EXPECT_EQ(shown, "half and half");
  EXPECT_THAT(phases, ElementsAre("running", "ended"));
  EXPECT_THAT(lines, ElementsAre("person", "agent"));
}

TEST_F(HttpChannelTest, AReaderMayComeBeforeTheConversation) {
  start();
  EventReader reader = follow("alice");
  say("alice", "m0", "hold it");
  EXPECT_THAT(reader.next("phase").data, HasSubstr("running"));
  EXPECT_THAT(reader.next().data, HasSubstr(R"("attempt":1,"offset":0,"text":"half")"));
}

TEST_F(HttpChannelTest, ANewAttemptIsToldBeforeItsText) {
  start();
  EventReader reader = follow("alice");
  say("alice", "m0", "again please");
  EXPECT_THAT(reader.next("delta").data, HasSubstr("first try"));
  release();
  EXPECT_THAT(reader.next("phase").data, HasSubstr("retrying"));
  EXPECT_THAT(reader.next("reset").data, HasSubstr(R"("attempt":2)"));
  EXPECT_THAT(reader.next("delta").data,
              HasSubstr(R"("attempt":2,"offset":0,"text":"second try")"));
  EXPECT_THAT(reader.lines_until("second try"), ElementsAre("again please", "second try"));
}

TEST_F(HttpChannelTest, AReaderWhoComesBackMissesAndRepeatsNothing) {
  start();
  say("alice", "m1", "one");
  EventReader first = follow("alice");
  first.lines_until("echo: one");
  say("alice", "m2", "hold it");
  EXPECT_THAT(first.next("delta").data, HasSubstr("half"));
  first.socket().close();
  EventReader second = follow("alice", first.last_id);
  EXPECT_EQ(second.next().event, "live");
  EXPECT_EQ(second.next().event, "reset");
  EXPECT_THAT(second.next().data, HasSubstr(R"("offset":0,"text":"half")"));
  release();
  EXPECT_THAT(second.lines_until("half and half"), ElementsAre("hold it", "half and half"));
}

TEST_F(HttpChannelTest, AReaderGoesOnAfterACrash) {
  start();
  say("alice", "m1", "one");
  EventReader first = follow("alice");
  first.lines_until("echo: one");
  say("alice", "m2", "hold it");
  first.next("delta");
  crash();
  EXPECT_EQ(first.next("message").event, "") << "the stream ended";
  start();
  EventReader second = follow("alice", first.last_id);
  release();
  // The turn runs again, by its agent's rule; what the first attempt streamed is void.
  const net::SseEvent reset = second.next("reset");
  EXPECT_THAT(reset.data, HasSubstr(R"("attempt":2)"));
  EXPECT_THAT(second.lines_until("half and half"), ElementsAre("hold it", "half and half"));
}

TEST_F(HttpChannelTest, ASlowReaderSlowsOnlyItself) {
  core_options_.feed_events_max = 8;
  start();
  EventReader slow = follow("alice");
  const int small = 128 * 1024;
  setsockopt(slow.socket().fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  EventReader quick = follow("alice");
  std::vector<std::string> expected;
  for (int i = 0; i < 120; ++i) {  // 8 MB: more than the kernel buffers
    const std::string text = "big " + std::to_string(i);
    ASSERT_EQ(say("alice", std::to_string(i), text).status, 202);
    expected.push_back(text);
    EXPECT_EQ(quick.line_text(), text);
    EXPECT_EQ(quick.line_text().size(), 65'536u);
  }
  for (const std::string& text : expected) {
    ASSERT_EQ(slow.line_text(), text);
    ASSERT_EQ(slow.line_text().size(), 65'536u);
  }
  EXPECT_GT(metrics_.value("sluice_http_streams_lagged_total", {{"account", "http"}}), 0);
}

TEST_F(HttpChannelTest, StreamsOverHttp11AreChunkedAndEndWellFormed) {
  start();
  RawSocket socket = connect();
  socket.send(format("GET", "/v1/conversations/main/events?after=0", "alice", "", ""));
  EXPECT_THAT(socket.read_until("retry: 1000\n\n"), HasSubstr("Transfer-Encoding: chunked"));
  unregister();
  EXPECT_THAT(socket.read_until("0\r\n\r\n"), ::testing::EndsWith("0\r\n\r\n"));
}

TEST_F(HttpChannelTest, AnAccountThatIsTakenOutOfServiceSaysSoAndComesBack) {
  start();
  EventReader reader = follow("alice");
  say("alice", "m1", "one");
  reader.lines_until("echo: one");
  unregister();
  EXPECT_EQ(reader.next("message").event, "") << "the stream ended";
  const Answer refused = say("alice", "m2", "two");
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 5"));
  ASSERT_TRUE(register_channel());
  EXPECT_EQ(say("alice", "m2", "two").status, 202);
  EventReader again = follow("alice", reader.last_id);
  EXPECT_THAT(again.lines_until("echo: two"), ElementsAre("two", "echo: two"));
}

TEST_F(HttpChannelTest, AStuckReaderDoesNotHoldUpTheEndOfItsAccount) {
  core_options_.channel_stop_timeout = milliseconds(50);
  start();
  EventReader stuck = follow("alice");
  const int small = 128 * 1024;
  setsockopt(stuck.socket().fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  EventReader quick = follow("alice");
  for (int i = 0; i < 80; ++i) {  // 5 MB: more than the kernel buffers
    ASSERT_EQ(say("alice", std::to_string(i), "big").status, 202);
    quick.next("message");
    quick.next("message");
  }
  unregister();
  EXPECT_EQ(quick.next("message").event, "") << "the stream ended";
  EXPECT_THAT(log_.last("channel_unregistered"), HasSubstr("cut_off=true"));
  ASSERT_TRUE(register_channel());
  EXPECT_EQ(say("alice", "after", "hello").status, 202);
  // Its request outlived the channel; it ends where the reader lets it go on.
  int lines = 0;
  while (stuck.next("message").event == "message") ++lines;
  EXPECT_LT(lines, 160);
}

TEST_F(HttpChannelTest, APersonHasOnlySoManyStreams) {
  options_.streams_per_person = 2;
  start();
  const EventReader first = follow("alice");
  {
    const EventReader second = follow("alice");
    EXPECT_THAT(follow("alice").head, HasSubstr(" 429 "));
    EXPECT_THAT(follow("bob").head, HasSubstr(" 200 "));
  }
  // The place is free once the server has seen the second reader go.
  for (int tries = 0; tries < 1'000; ++tries) {
    if (metrics_.value("sluice_http_streams", {{"account", "http"}}) < 2) break;
    request("GET", "/v1/messages/1", "alice");
  }
  EXPECT_THAT(follow("alice").head, HasSubstr(" 200 "));
}

TEST_F(HttpChannelTest, RefusesPlacesToStartThatAreNone) {
  start();
  const auto status = [this](std::string_view query) {
    return request("GET", "/v1/conversations/main/events?" + std::string(query), "alice").status;
  };
  EXPECT_EQ(status("after=x"), 400);
  EXPECT_EQ(status("after="), 400);
  EXPECT_EQ(status("after=-1"), 400);
  EXPECT_EQ(status("after=99999999999999999999"), 400);
  EXPECT_EQ(request("HEAD", "/v1/conversations/main/events", "alice").status, 200);
}

TEST_F(HttpChannelTest, TellsAReaderThatTheLogIsShorterThanItRemembers) {
  start();
  say("alice", "m1", "one");
  EventReader before = follow("alice");
  before.lines_until("echo: one");
  EventReader reader = follow("alice", "999999");
  EXPECT_EQ(reader.next().event, "rewind");
  EXPECT_THAT(reader.lines_until("echo: one"), ElementsAre("one", "echo: one"));
}

}  // namespace
}  // namespace sluice::http
