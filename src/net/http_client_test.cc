#include "net/http_client.h"

#include <gmock/gmock.h>

#include "net/http_server_fixture.h"
#include "net/sse.h"

namespace sluice::net {
namespace {

using namespace std::chrono_literals;
using test::HttpServerFixture;
using test::RawServer;
using test::RawSocket;
using ::testing::HasSubstr;

Url url_of(std::uint16_t port, const std::string& path) {
  return *Url::parse("http://127.0.0.1:" + std::to_string(port) + path);
}

class HttpClientTest : public ::testing::Test {
 protected:
  explicit HttpClientTest(HttpClientOptions options = {}) {
    f_.thread().run([&] { client_.emplace(f_.thread().shard(), options); });
  }
  ~HttpClientTest() override {
    f_.thread().run([this] {
      f_.thread().group().cancel();
      client_.reset();
    });
  }
  FetchResult<HttpClientResponse> fetch(HttpClientRequest request) {
    return f_.thread().await<FetchResult<HttpClientResponse>>(
        [&] { return client_->fetch(std::move(request)); });
  }
  FetchResult<HttpClientResponse> get(const Url& url) { return fetch({.url = url}); }
  std::size_t idle() {
    std::size_t n = 0;
    f_.thread().run([&] { n = client_->idle(); });
    return n;
  }

  HttpServerFixture f_;
  std::optional<HttpClient> client_;
};

TEST_F(HttpClientTest, FetchesAndReusesItsConnection) {
  const std::uint16_t port = f_.listen();
  for (int i = 0; i < 3; ++i) {
    const auto got = fetch({.method = "POST", .url = url_of(port, "/echo?q=1"), .body = "hello"});
    ASSERT_TRUE(got);
    EXPECT_EQ(got->status, 200);
    EXPECT_EQ(got->body, "POST /echo hello");
  }
  EXPECT_EQ(f_.stats().accepted, 1u);
  EXPECT_EQ(idle(), 1u);
}

TEST_F(HttpClientTest, SendsAndReceivesLargeBodies) {
  const std::uint16_t port = f_.listen();
  const std::string body(1'000'000, 'x');
  const auto got = fetch({.method = "POST", .url = url_of(port, "/echo"), .body = body});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body.size(), body.size() + 11);
}

TEST_F(HttpClientTest, SpeaksOverAUnixSocket) {
  test::TempDir dir;
  f_.thread().run([&] { ASSERT_TRUE(f_.server().listen_unix(dir.file("s"))); });
  const auto got = fetch({.url = *Url::parse("http://localhost/who"), .unix_path = dir.file("s")});
  ASSERT_TRUE(got);
  EXPECT_THAT(got->body, HasSubstr("unix "));
}

TEST_F(HttpClientTest, ConnectsToTheChosenAddressAndSendsTheNamesHost) {
  std::string request;
  RawServer server([&](RawSocket& peer) {
    request = peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 204 No Content\r\n\r\n");
  });
  const auto got = fetch({.url = *Url::parse("http://name.invalid:81/x"),
                          .connect_to = Endpoint{*IpAddress::parse("127.0.0.1"), server.port()}});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 204);
  EXPECT_THAT(request, HasSubstr("GET /x HTTP/1.1\r\nHost: name.invalid:81\r\n"));
}

TEST_F(HttpClientTest, ReturnsRedirectsAndDoesNotFollow) {
  RawServer server([](RawSocket& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
  });
  const auto got = get(url_of(server.port(), "/"));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 302);
}

TEST_F(HttpClientTest, SkipsInterimAnswers) {
  RawServer server([](RawSocket& peer) {
    peer.read_until("\r\n\r\n");
    peer.send(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  const auto got = get(url_of(server.port(), "/"));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body, "ok");
}

TEST_F(HttpClientTest, ARefusedConnectionWasNotSent) {
  std::uint16_t port = 0;
  {
    port = RawServer([](RawSocket&) {}, 0).port();
  }
  const auto got = get(url_of(port, "/"));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().sent, SentState::kNotSent);
  EXPECT_EQ(got.error().error.kind(), ErrorKind::kUnavailable);
  EXPECT_TRUE(got.error().error.retry().allowed());
}

TEST_F(HttpClientTest, ANameThatDoesNotResolveWasNotSent) {
  const auto got = get(*Url::parse("http://nowhere.invalid/"));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().sent, SentState::kNotSent);
}

TEST_F(HttpClientTest, AConnectionClosedAfterTheRequestMayHaveSentIt) {
  RawServer server([](RawSocket& peer) { peer.read_until("\r\n\r\n"); });
  const auto got = get(url_of(server.port(), "/"));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().sent, SentState::kMaybeSent);
  EXPECT_FALSE(got.error().status);
}

TEST_F(HttpClientTest, AnAnswerThatNeverComesMayHaveBeenSent) {
  std::promise<void> end;
  RawServer server([&](RawSocket& peer) {
    peer.read_until("\r\n\r\n");
    end.get_future().wait();
  });
  const auto got = fetch({.url = url_of(server.port(), "/"), .timeout = 50ms});
  end.set_value();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.kind(), ErrorKind::kTimeout);
  EXPECT_EQ(got.error().sent, SentState::kMaybeSent);
}

TEST_F(HttpClientTest, ABodyThatIsCutOffTellsItsStatus) {
  RawServer server([](RawSocket& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
  });
  const auto got = get(url_of(server.port(), "/"));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().status, 200);
}

TEST_F(HttpClientTest, GarbageIsABadResponse) {
  RawServer server([](RawSocket& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("SSH-2.0-x\r\n\r\n");
  });
  const auto got = get(url_of(server.port(), "/"));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(got.error().sent, SentState::kMaybeSent);
}

TEST_F(HttpClientTest, BoundsTheResponse) {
  const std::uint16_t port = f_.listen();
  const auto got = fetch({.url = url_of(port, "/big"), .max_response_bytes = 1000});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.kind(), ErrorKind::kTooLarge);
  EXPECT_EQ(got.error().status, 200);
}

TEST_F(HttpClientTest, DoesNotReuseAConnectionThatTheServerHasClosed) {
  std::promise<void> closed[2];
  int served = 0;
  RawServer server(
      [&](RawSocket& peer) {
        peer.read_until("\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        peer.close();
        closed[served++].set_value();
      },
      2);
  ASSERT_TRUE(get(url_of(server.port(), "/")));
  closed[0].get_future().wait();
  ASSERT_TRUE(get(url_of(server.port(), "/")));
}

TEST_F(HttpClientTest, HearsAServerThatAnswersAndClosesBeforeItHasReadAll) {
  RawServer server([](RawSocket& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    peer.shutdown_write();
  });
  const auto got = fetch(
      {.method = "POST", .url = url_of(server.port(), "/"), .body = std::string(8'000'000, 'x')});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 413);
}

class ShortIdleClientTest : public HttpClientTest {
 protected:
  ShortIdleClientTest() : HttpClientTest({.tls = {}, .keep_idle = 20ms}) {}
};

TEST_F(ShortIdleClientTest, ClosesConnectionsThatIdleTooLong) {
  ASSERT_TRUE(get(url_of(f_.listen(), "/echo")));
  EXPECT_TRUE(
      f_.eventually([&] { return client_->idle() == 0 && f_.stats_now().connections == 0; }));
}

Task<void> fetch_and_forget(HttpClient* client, HttpClientRequest request) {
  auto got = co_await client->fetch(std::move(request));
  (void)got;
}

TEST_F(HttpClientTest, DestroyingTheTaskClosesTheConnection) {
  const std::uint16_t port = f_.listen();
  TaskGroup group(f_.thread().shard());
  f_.thread().run([&] {
    group.spawn("fetch", fetch_and_forget(&*client_, {.url = url_of(port, "/hold-cancellable")}));
  });
  ASSERT_TRUE(f_.eventually([&] { return f_.started == 1; }));
  f_.thread().run([&] { group.cancel(); });
  EXPECT_TRUE(f_.eventually([&] { return f_.destroyed == 1; }));
}

Task<std::string> read_stream(HttpClient* client, Shard* shard, HttpClientRequest request) {
  auto stream = co_await client->open_stream(std::move(request));
  if (!stream) co_return "not opened: " + stream.error().error.to_string();
  std::string all;
  for (;;) {
    auto piece = co_await stream->next(shard->now() + 5s);
    if (!piece) co_return all + "failed: " + piece.error().error.to_string();
    if (!*piece) co_return all;
    all += **piece;
  }
}

Task<std::string> read_rest(HttpClient* client, Shard* shard, HttpClientRequest request,
                            std::uint64_t most) {
  auto stream = co_await client->open_stream(std::move(request));
  if (!stream) co_return "not opened: " + stream.error().error.to_string();
  auto rest = co_await stream->rest(most, shard->now() + 5s);
  co_return rest ? std::move(*rest) : rest.error().error.to_string();
}

TEST_F(HttpClientTest, ReadsAStreamToItsEnd) {
  const std::uint16_t port = f_.listen();
  const std::string all = f_.thread().await<std::string>([&] {
    return read_stream(&*client_, &f_.thread().shard(), {.url = url_of(port, "/stream")});
  });
  EXPECT_EQ(all, "one,two,three");
  EXPECT_EQ(idle(), 1u);
}

TEST_F(HttpClientTest, ReadsServerSentEvents) {
  const std::uint16_t port = f_.listen();
  const std::string all = f_.thread().await<std::string>(
      [&] { return read_stream(&*client_, &f_.thread().shard(), {.url = url_of(port, "/sse")}); });
  SseParser parser;
  std::vector<SseEvent> events;
  ASSERT_TRUE(parser.put(all, events));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2], (SseEvent{"tick", "line\nof 3", "3"}));
}

TEST_F(HttpClientTest, ReadsTheRestOfAStreamUpToABound) {
  const std::uint16_t port = f_.listen();
  const auto rest = [&](std::uint64_t most) {
    return f_.thread().await<std::string>([&, most] {
      return read_rest(&*client_, &f_.thread().shard(), {.url = url_of(port, "/stream")}, most);
    });
  };
  EXPECT_EQ(rest(13), "one,two,three");
  EXPECT_EQ(idle(), 1u);
  EXPECT_THAT(rest(12), ::testing::StartsWith("too_large"));
}

TEST_F(HttpClientTest, AStreamThatIsCutOffIsAnError) {
  RawServer server([](RawSocket& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  });
  const std::string all = f_.thread().await<std::string>([&] {
    return read_stream(&*client_, &f_.thread().shard(), {.url = url_of(server.port(), "/")});
  });
  EXPECT_THAT(all, ::testing::StartsWith("abcfailed: unavailable"));
}

}  // namespace
}  // namespace sluice::net
