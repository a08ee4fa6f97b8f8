// Bodies that a handler reads as they come.
#include <gmock/gmock.h>

#include "net/http_server_fixture.h"

namespace sluice::net {
namespace {

using namespace std::chrono_literals;
using test::HttpServerFixture;
using test::RawSocket;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::uint64_t kBound = 8'000'000;

GateDecision streaming(const HttpRequest&) {
  GateDecision decision;
  decision.stream_body = true;
  decision.body_limit = kBound;
  return decision;
}

std::string head(std::string_view more, std::string_view path = "/upload") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(more) + "\r\n\r\n";
}

TEST(UploadTest, IsReadInPiecesAndTheConnectionGoesOn) {
  HttpServerFixture f({}, streaming);
  RawSocket client = RawSocket::connect(f.listen());
  client.send(head("Content-Length: 5000000"));
  client.send(std::string(5'000'000, 'x'));
  EXPECT_THAT(client.read_response(), EndsWith("\r\n\r\n5000000"));
  EXPECT_LE(f.largest_piece, 130'000u);
  client.send(head("Content-Length: 3") + "abc" + head("Content-Length: 0"));
  EXPECT_THAT(client.read_response(), EndsWith("\r\n\r\n3"));
  EXPECT_THAT(client.read_response(), EndsWith("\r\n\r\n0"));
  EXPECT_EQ(f.stats().accepted, 1u);
}

TEST(UploadTest, ReachesTheHandlerBeforeItsEndHasCome) {
  HttpServerFixture f({}, streaming);
  RawSocket client = RawSocket::connect(f.listen());
  client.send(head("Transfer-Encoding: chunked") + "3\r\nabc\r\n");
  EXPECT_TRUE(f.eventually([&] { return f.uploaded == 3; }));
  client.send("2\r\nde\r\n0\r\n\r\n");
  EXPECT_THAT(client.read_response(), EndsWith("\r\n\r\n5"));
}

TEST(UploadTest, StaysWithTheClientWhileTheHandlerDoesNotRead) {
  HttpServerFixture f({}, streaming);
  RawSocket client = RawSocket::connect(f.listen());
  const timeval soon{0, 200'000};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
  // More than the kernel's buffers hold.
  client.send(head("Content-Length: 8000000", "/upload-held"));
  std::size_t sent = 0;
  const std::string piece(100'000, 'x');
  while (sent < kBound && client.send(piece)) sent += piece.size();
  EXPECT_LT(sent, kBound);
  EXPECT_EQ(f.uploaded, 0u);
}

TEST(UploadTest, IsRefusedUnreadWhenItsDeclaredLengthIsOverTheBound) {
  HttpServerFixture f({}, streaming);
  RawSocket client = RawSocket::connect(f.listen());
  client.send(head("Content-Length: 8000001"));
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 413 "));
  EXPECT_EQ(f.started, 0);
}

TEST(UploadTest, EndsWithTooLargeWhenAChunkedOneGrowsOverTheBound) {
  HttpServerFixture f({}, streaming);
  RawSocket client = RawSocket::connect(f.listen());
  client.send(head("Transfer-Encoding: chunked"));
  const std::string chunk = "7a120\r\n" + std::string(500'000, 'x') + "\r\n";
  for (int i = 0; i < 17; ++i) client.send(chunk);
  const std::string answer = client.read_until("\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_EQ(f.upload_error, static_cast<int>(ErrorKind::kTooLarge));
}

TEST(UploadTest, EndsWithAnErrorWhenItIsNoHttp) {
  HttpServerFixture f({}, streaming);
  RawSocket client = RawSocket::connect(f.listen());
  client.send(head("Transfer-Encoding: chunked") + "3\r\nabc\r\n");
  EXPECT_TRUE(f.eventually([&] { return f.uploaded == 3; }));
  client.send("zz\r\n\r\n");
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 400 "));
}

TEST(UploadTest, EndsWithATimeoutWhenItIsTooSlow) {
  HttpServerFixture f({.body_timeout = 30ms}, streaming);
  RawSocket client = RawSocket::connect(f.listen());
  client.send(head("Content-Length: 10") + "abc");
  client.read_all();
  EXPECT_EQ(f.upload_error, static_cast<int>(ErrorKind::kTimeout));
}

TEST(UploadTest, EndsWithUnavailableWhenTheClientHangsUp) {
  HttpServerFixture f({}, streaming);
  {
    RawSocket client = RawSocket::connect(f.listen());
    client.send(head("Content-Length: 10") + "abc");
    ASSERT_TRUE(f.eventually([&] { return f.uploaded == 3; }));
  }
  EXPECT_TRUE(f.eventually([&] { return f.stats_now().connections == 0; }));
  EXPECT_EQ(f.upload_error, static_cast<int>(ErrorKind::kUnavailable));
}

TEST(UploadTest, ARefusalInTheMiddleCanBeReadAndClosesTheConnection) {
  HttpServerFixture f({}, streaming);
  RawSocket client = RawSocket::connect(f.listen());
  client.send(head("Content-Length: 500000", "/upload-refused"));
  client.send(std::string(500'000, 'x'));
  const std::string answer = client.read_until("\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 415 "));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
}

TEST(UploadTest, IsAskedForOnlyWhenTheHandlerReads) {
  HttpServerFixture f({}, streaming);
  RawSocket client = RawSocket::connect(f.listen());
  client.send(head("Expect: 100-continue\r\nContent-Length: 2", "/upload-held"));
  ASSERT_TRUE(f.eventually([&] { return f.started == 1; }));
  f.open_gate();
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  EXPECT_THAT(client.read_response(), EndsWith("\r\n\r\n2"));
}

}  // namespace
}  // namespace sluice::net
