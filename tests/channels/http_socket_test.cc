// Following a conversation over a WebSocket: the events are those of the stream.

#include "tests/channels/http_fixture.h"

namespace sluice::http {
namespace {

using net::test::close_payload;
using net::test::frame;
using net::test::kClose;
using net::test::kText;
using net::test::WebSocketClient;
using test::HttpChannelTest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// What a page does with the frames.
class SocketReader {
 public:
  explicit SocketReader(WebSocketClient client) : client_(std::move(client)) {}

  /// The next event of that name; null when the socket closed.
  boost::json::value next(std::string_view name) {
    for (;;) {
      while (!events_.empty()) {
        boost::json::value event = std::move(events_.front());
        events_.erase(events_.begin());
        if (event.at("event") == "message") last_id = event.at("data").at("id").as_int64();
        if (event.at("event").as_string() == name) return event.at("data");
      }
      const net::test::Frame got = client_.receive();
      if (got.opcode != kText) return {};
      const boost::json::value frame = boost::json::parse(got.payload);
      for (const auto& event : frame.as_array()) events_.push_back(event);
    }
  }
  std::vector<std::string> lines_until(std::string_view last) {
    std::vector<std::string> lines;
    do {
      const boost::json::value line = next("message");
      lines.emplace_back(line.is_null() ? "(closed)" : line.at("text").as_string().c_str());
    } while (lines.back() != last && lines.back() != "(closed)");
    return lines;
  }
  WebSocketClient& client() { return client_; }
  std::int64_t last_id = 0;

 private:
  WebSocketClient client_;
  std::vector<boost::json::value> events_;
};

TEST_F(HttpChannelTest, ASocketTellsAReplyAndThenItsLines) {
  start();
  SocketReader reader(follow_by_socket("alice"));
  EXPECT_THAT(reader.client().head, StartsWith("HTTP/1.1 101 "));
  say("alice", "m0", "hold it");
  EXPECT_EQ(reader.next("phase").at("phase"), "running");
  EXPECT_EQ(reader.next("delta").at("text"), "half");
  release();
  EXPECT_THAT(reader.lines_until("half and half"), ElementsAre("hold it", "half and half"));
}

TEST_F(HttpChannelTest, ASocketTellsHtmlToWhoAsksForIt) {
  start();
  SocketReader reader(follow_by_socket("alice", "?after=0&html=1"));
  say("alice", "m0", "hold it");
  const boost::json::value html = reader.next("html");
  EXPECT_EQ(html.at("from"), 0);
  EXPECT_EQ(html.at("blocks").at(0), "<p>half</p>\n");
  release();
  EXPECT_FALSE(reader.next("message").as_object().contains("html")) << "a person's words are text";
  EXPECT_EQ(reader.next("message").at("html"), "<p>half and half</p>\n");
}

TEST_F(HttpChannelTest, ASocketSaysThatANewAttemptBegins) {
  start();
  SocketReader reader(follow_by_socket("alice"));
  say("alice", "m0", "again please");
  EXPECT_EQ(reader.next("delta").at("text"), "first try");
  release();
  EXPECT_EQ(reader.next("reset").at("attempt"), 2);
  EXPECT_EQ(reader.next("delta").at("text"), "second try");
}

TEST_F(HttpChannelTest, AReaderWhoseSocketBrokeGoesOnWhereItWas) {
  start();
  say("alice", "m1", "one");
  std::int64_t last = 0;
  {
    SocketReader reader(follow_by_socket("alice"));
    EXPECT_THAT(reader.lines_until("one"), ElementsAre("one"));
    last = reader.last_id;
    reader.client().socket().close();
  }
  say("alice", "m2", "two");
  SocketReader again(follow_by_socket("alice", "?after=" + std::to_string(last)));
  EXPECT_THAT(again.lines_until("two").size(), 2u) << "the answer to one, and two";
}

TEST_F(HttpChannelTest, ASocketNeedsAToken) {
  start();
  EXPECT_THAT(follow_by_socket("").head, StartsWith("HTTP/1.1 401 "));
}

TEST_F(HttpChannelTest, ASocketByCookieNeedsAnOrigin) {
  start();
  EXPECT_THAT(follow_by_socket("", "", "Cookie: alice\r\n").head, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(follow_by_socket("", "", "Cookie: alice\r\nOrigin: http://localhost\r\n").head,
              StartsWith("HTTP/1.1 101 "));
}

TEST_F(HttpChannelTest, AReaderWhoSpeaksIsToldToPost) {
  start();
  WebSocketClient client = follow_by_socket("alice", "?after=latest");
  client.send(frame(kText, R"({"text":"hello"})"));
  for (;;) {
    const net::test::Frame got = client.receive();
    if (got.opcode == kText) continue;
    EXPECT_EQ(got.opcode, static_cast<unsigned>(kClose));
    EXPECT_THAT(got.payload, StartsWith(close_payload(1008)));
    break;
  }
  client.send(frame(kClose, close_payload(1008)));
}

TEST_F(HttpChannelTest, ASocketSaysGoodbyeWhenItsAccountLeaves) {
  start();
  SocketReader reader(follow_by_socket("alice"));
  say("alice", "m1", "one");
  reader.lines_until("one");
  auto left = std::async(std::launch::async, [this] { unregister(); });
  for (;;) {
    const net::test::Frame got = reader.client().receive();
    if (got.opcode == kText) continue;
    EXPECT_THAT(got.payload, StartsWith(close_payload(1001)));
    break;
  }
  reader.client().send(frame(kClose, close_payload(1001)));
  left.get();
}

TEST_F(HttpChannelTest, AnAccountDoesNotWaitForTheAnswerToItsGoodbye) {
  core_options_.channel_stop_timeout = milliseconds(200);
  start();
  SocketReader reader(follow_by_socket("alice"));
  say("alice", "m1", "one");
  reader.lines_until("one");
  unregister();
  EXPECT_THAT(log_.last("channel_unregistered"), HasSubstr("cut_off=false"));
  net::test::Frame got = reader.client().receive();
  while (got.opcode == kText) got = reader.client().receive();
  EXPECT_THAT(got.payload, StartsWith(close_payload(1001)));
}

TEST_F(HttpChannelTest, SocketsCountAmongAPersonsStreams) {
  options_.streams_per_person = 1;
  start();
  SocketReader reader(follow_by_socket("alice"));
  EXPECT_THAT(follow_by_socket("alice").head, StartsWith("HTTP/1.1 429 "));
}

}  // namespace
}  // namespace sluice::http
