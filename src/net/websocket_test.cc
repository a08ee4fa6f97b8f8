#include "net/websocket.h"

#include <gmock/gmock.h>

#include "net/http_server.h"
#include "net/websocket_fixture.h"

namespace sluice::net {
namespace {

using namespace std::chrono_literals;
using test::close_payload;
using test::frame;
using test::Frame;
using test::kBinary;
using test::kClose;
using test::kContinuation;
using test::kPing;
using test::kPong;
using test::kText;
using test::RawSocket;
using test::ShardThread;
using Client = test::WebSocketClient;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Paths: /echo answers each message; /flood writes until it fails; /listen only reads; /close
/// says goodbye; /cut reads nothing and returns; /until-gone ends as the page's socket does.
class WebSocketTest : public ::testing::Test {
 protected:
  explicit WebSocketTest(WebSocketOptions o = {}) : options(o) {
    thread.run([this] {
      HttpServerHooks hooks;
      hooks.handler = [this](HttpExchange& exchange) { return serve(this, &exchange); };
      hooks.on_access = [this](const HttpAccess& a) { status = a.status; };
      server = std::make_unique<HttpServer>(thread.shard(), HttpServerOptions{}, std::move(hooks));
      port = server->listen_tcp("127.0.0.1", 0)->port;
    });
  }
  ~WebSocketTest() override {
    thread.run([this] { server.reset(); });
  }

  static Task<void> serve(WebSocketTest* self, HttpExchange* exchange) {
    const std::string path = exchange->request().path;
    auto opened = co_await exchange->upgrade(self->options);
    if (!opened) {
      self->ended.set_value(opened.error());
      co_return;
    }
    WebSocket& socket = **opened;
    if (path == "/close") {
      co_await socket.close(WsClose::kTryAgainLater, "later");
      co_return;
    }
    if (path == "/cut") co_return;
    Result<void> written;
    while (path == "/flood" && written) written = co_await socket.write(std::string(64 << 10, 'x'));
    if (!written) self->ended.set_value(written.error());
    if (path == "/flood") co_return;
    if (path == "/until-gone") {
      co_await exchange->gone().wait();
      co_await socket.close(WsClose::kGoingAway, "restarting");
      co_return;
    }
    for (;;) {
      Result<std::string> text = co_await socket.read();
      if (!text) {
        self->ended.set_value(text.error());
        co_return;
      }
      if (path == "/echo") written = co_await socket.write(*std::move(text));
    }
  }

  WebSocketOptions options;
  ShardThread thread;
  std::unique_ptr<HttpServer> server;
  std::uint16_t port = 0;
  std::promise<Error> ended;
  int status = 0;
};

class ImpatientWebSocketTest : public WebSocketTest {
 protected:
  ImpatientWebSocketTest()
      : WebSocketTest({.message_bytes_max = 1000,
                       .stall_timeout = 50ms,
                       .ping_after = 20ms,
                       .silence_max = 100ms,
                       .close_timeout = 20ms}) {}
};

TEST_F(WebSocketTest, ShakesHandsAsTheRfcSays) {
  Client client(port);
  EXPECT_THAT(client.head, StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(client.head, HasSubstr("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

TEST_F(WebSocketTest, EchoesAMessage) {
  Client client(port);
  client.send(frame(kText, "héllo"));
  EXPECT_EQ(client.receive(), (Frame{kText, true, "héllo"}));
}

TEST_F(WebSocketTest, TakesFramesThatCameWithTheUpgrade) {
  Client client(port, "/echo", frame(kText, "one") + frame(kText, "two"));
  EXPECT_EQ(client.receive().payload, "one");
  EXPECT_EQ(client.receive().payload, "two");
}

TEST_F(WebSocketTest, ReadsWhatComesByteByByte) {
  Client client(port);
  for (const char c : frame(kText, "slowly")) client.send(std::string(1, c));
  EXPECT_EQ(client.receive().payload, "slowly");
}

TEST_F(WebSocketTest, JoinsFragmentsWithControlFramesBetweenThem) {
  Client client(port);
  client.send(frame(kText, "a\xc3", false) + frame(kPing, "p") +
              frame(kContinuation, "\xa4", false) + frame(kContinuation, "c"));
  EXPECT_EQ(client.receive(), (Frame{kPong, true, "p"}));
  EXPECT_EQ(client.receive(), (Frame{kText, true,
                                     "a\xc3\xa4"
                                     "c"}));
}

TEST_F(WebSocketTest, SendsALargeMessageInOneFrame) {
  Client client(port);
  const std::string large(60'000, 'l');
  client.send(frame(kText, large));
  EXPECT_EQ(client.receive(), (Frame{kText, true, large}));
}

TEST_F(WebSocketTest, AnswersACloseWithTheSameCode) {
  Client client(port);
  client.send(frame(kClose, close_payload(1000, "bye")));
  EXPECT_EQ(client.close_code(), 1000u);
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(ended.get_future().get().kind(), ErrorKind::kUnavailable);
}

TEST_F(WebSocketTest, EndsWhenThePeerVanishes) {
  Client client(port);
  client.socket().close();
  EXPECT_EQ(ended.get_future().get().kind(), ErrorKind::kUnavailable);
}

TEST_F(WebSocketTest, ClosesAfterAFrameWithoutAMask) {
  Client client(port);
  client.send(frame(kText, "plain", true, false));
  EXPECT_EQ(client.close_code(), 1002u);
  EXPECT_EQ(ended.get_future().get().kind(), ErrorKind::kInvalidArgument);
}

TEST_F(WebSocketTest, ClosesAfterAReservedOpcode) {
  Client client(port);
  client.send(frame(3, "?"));
  EXPECT_EQ(client.close_code(), 1002u);
}

TEST_F(WebSocketTest, ClosesAfterAControlFrameThatIsTooLong) {
  Client client(port);
  client.send(frame(kPing, std::string(126, 'p')));
  EXPECT_EQ(client.close_code(), 1002u);
}

TEST_F(WebSocketTest, ClosesAfterAContinuationOfNothing) {
  Client client(port);
  client.send(frame(kContinuation, "of what?"));
  EXPECT_EQ(client.close_code(), 1002u);
}

TEST_F(WebSocketTest, ClosesAfterTextThatIsNotUtf8) {
  Client client(port);
  client.send(frame(kText, "\xff\xfe"));
  EXPECT_EQ(client.close_code(), 1007u);
  EXPECT_EQ(ended.get_future().get().kind(), ErrorKind::kInvalidArgument);
}

TEST_F(WebSocketTest, ClosesAfterTextThatEndsInACodePoint) {
  Client client(port);
  client.send(frame(kText, "cut \xc3"));
  EXPECT_EQ(client.close_code(), 1007u);
}

TEST_F(WebSocketTest, ClosesAfterBinary) {
  Client client(port);
  client.send(frame(kBinary, "\x01"));
  EXPECT_EQ(client.close_code(), 1003u);
  client.send(frame(kClose, close_payload(1003)));
  EXPECT_EQ(ended.get_future().get().kind(), ErrorKind::kUnsupported);
}

TEST_F(WebSocketTest, SaysGoodbyeWithItsOwnCode) {
  Client client(port, "/close");
  EXPECT_EQ(client.receive(), (Frame{kClose, true, close_payload(1013, "later")}));
  client.send(frame(kClose, close_payload(1013)));
  EXPECT_TRUE(client.closed());
}

TEST_F(WebSocketTest, AHandlerThatReturnsCutsTheConnectionOff) {
  Client client(port, "/cut");
  EXPECT_TRUE(client.closed());
}

TEST_F(WebSocketTest, AStoppingServerTellsItsHandler) {
  Client client(port, "/until-gone");
  auto left = std::async(std::launch::async, [this] {
    return thread.await<std::size_t>([this] { return server->stop(thread.shard().now() + 5s); });
  });
  EXPECT_EQ(client.close_code(), 1001u);
  client.send(frame(kClose, close_payload(1001)));
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(left.get(), 0u);
}

TEST_F(WebSocketTest, RefusesAPlainGet) {
  RawSocket client = RawSocket::connect(port);
  client.send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string answer = client.read_response();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 426 "));
  EXPECT_THAT(answer, HasSubstr("Upgrade: websocket\r\n"));
}

TEST_F(WebSocketTest, RefusesAnotherVersion) {
  RawSocket client = RawSocket::connect(port);
  client.send(
      "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n");
  EXPECT_THAT(client.read_response(), HasSubstr("Sec-WebSocket-Version: 13\r\n"));
}

TEST_F(WebSocketTest, RefusesAKeyThatIsNone) {
  RawSocket client = RawSocket::connect(port);
  client.send(
      "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 400 "));
}

TEST_F(ImpatientWebSocketTest, ClosesAfterAMessageOverItsBound) {
  Client client(port, "/listen");
  client.send(frame(kText, std::string(600, 'a'), false) +
              frame(kContinuation, std::string(401, 'b')));
  EXPECT_EQ(client.close_code(), 1009u);
  EXPECT_EQ(ended.get_future().get().kind(), ErrorKind::kTooLarge);
}

TEST_F(ImpatientWebSocketTest, PingsASilentPeerAndThenGivesItUp) {
  Client client(port, "/listen");
  EXPECT_EQ(client.receive().opcode, static_cast<unsigned>(kPing));
  EXPECT_EQ(ended.get_future().get().kind(), ErrorKind::kTimeout);
}

TEST_F(ImpatientWebSocketTest, KeepsAPeerThatAnswersPings) {
  Client client(port, "/listen");
  for (int i = 0; i < 10; ++i) {
    const Frame ping = client.receive();
    ASSERT_EQ(ping.opcode, static_cast<unsigned>(kPing)) << i;
    client.send(frame(kPong, ping.payload));
  }
  client.send(frame(kClose, close_payload(1000)));
  EXPECT_EQ(ended.get_future().get().kind(), ErrorKind::kUnavailable);
}

TEST_F(ImpatientWebSocketTest, CutsOffAPeerThatReadsNothing) {
  Client client(port, "/flood");
  EXPECT_EQ(ended.get_future().get().kind(), ErrorKind::kTimeout);
}

TEST_F(ImpatientWebSocketTest, DoesNotWaitForEverForAnAnswerToItsClose) {
  Client client(port, "/close");
  EXPECT_EQ(client.close_code(), 1013u);
  EXPECT_TRUE(client.closed());
}

}  // namespace
}  // namespace sluice::net
