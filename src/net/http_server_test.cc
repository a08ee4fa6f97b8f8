#include "net/http_server.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/resource.h>

#include "net/http_server_fixture.h"

namespace sluice::net {
namespace {

using namespace std::chrono_literals;
using test::HttpServerFixture;
using test::RawSocket;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kGet = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n";
std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"; }
std::string post(const std::string& body) {
  return "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

TEST(HttpServerTest, AnswersAGetAndKeepsTheConnection) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send(kGet);
  const std::string first = client.read_response();
  EXPECT_THAT(first, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
  EXPECT_THAT(first, EndsWith("\r\n\r\nGET /echo "));
  EXPECT_THAT(first, Not(HasSubstr("Connection:")));
  client.send(post("again"));
  EXPECT_THAT(client.read_response(), EndsWith("POST /echo again"));
  EXPECT_EQ(f.stats().accepted, 1u);
}

TEST(HttpServerTest, ReadsAChunkedBodyThatComesByteByByte) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  const std::string request =
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: dropped\r\n\r\n";
  for (const char c : request) client.send(std::string_view(&c, 1));
  EXPECT_THAT(client.read_response(), EndsWith("POST /echo hello world"));
}

TEST(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  std::string all;
  for (int i = 0; i < 100; ++i) all += get("/echo/" + std::to_string(i));
  client.send(all);
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(client.read_response(), EndsWith("GET /echo/" + std::to_string(i) + " "));
  }
}

TEST(HttpServerTest, AnswersAHeadWithTheLengthAndWithoutTheBody) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send("HEAD /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("Content-Length: 11"));
  client.send(kGet);
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServerTest, ClosesAfterAnHttp10Request) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.read_all(), HasSubstr("Connection: close"));
}

TEST(HttpServerTest, AnswersAClientThatHasShutDownItsSendingSide) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send(get("/hold"));
  client.shutdown_write();
  ASSERT_TRUE(f.eventually([&] { return f.started == 1; }));
  f.open_gate();
  EXPECT_THAT(client.read_all(), EndsWith("GET /hold "));
}

TEST(HttpServerTest, RunsAHandlerToItsEndWhenTheClientHasGone) {
  HttpServerFixture f;
  {
    RawSocket client = RawSocket::connect(f.listen());
    client.send(get("/hold"));
    ASSERT_TRUE(f.eventually([&] { return f.started == 1; }));
  }
  f.open_gate();
  EXPECT_TRUE(f.eventually([&] { return f.finished == 1 && f.stats_now().connections == 0; }));
}

TEST(HttpServerTest, CancelsAHandlerThatAskedForItWhenTheClientHasGone) {
  HttpServerFixture f;
  {
    RawSocket client = RawSocket::connect(f.listen());
    client.send(get("/hold-cancellable"));
    ASSERT_TRUE(f.eventually([&] { return f.started == 1; }));
  }
  EXPECT_TRUE(f.eventually([&] { return f.destroyed == 1; }));
  EXPECT_EQ(f.finished, 0);
}

TEST(HttpServerTest, RefusesAHeadOverItsBoundWith431) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(20'000, 'x'));
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(answer, HasSubstr("application/problem+json"));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
}

TEST(HttpServerTest, RefusesTooManyHeadersWith431) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  std::string request = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 200; ++i) request += "a: b\r\n";
  client.send(request + "\r\n");
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 431 "));
}

TEST(HttpServerTest, RefusesADeclaredBodyOverItsBoundWithoutReadingIt) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n");
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 413 "));
  EXPECT_EQ(f.started, 0);
}

TEST(HttpServerTest, RefusesAChunkedBodyOverItsBound) {
  HttpServerFixture f({.limits = {.body_bytes = 1000}});
  RawSocket client = RawSocket::connect(f.listen());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.send("400\r\n" + std::string(1024, 'x') + "\r\n");
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 413 "));
}

TEST(HttpServerTest, LetsARefusedClientReadWhyWhileItStillSends) {
  HttpServerFixture f({.limits = {.body_bytes = 1000}});
  RawSocket client = RawSocket::connect(f.listen());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n");
  client.send(std::string(500'000, 'x'));
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
}

class BadRequestTest : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(BadRequestTest, IsRefusedAndTheConnectionClosed) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send(GetParam().first);
  EXPECT_THAT(client.read_all(), StartsWith(std::string("HTTP/1.1 ") + GetParam().second));
  EXPECT_EQ(f.started, 0);
}

INSTANTIATE_TEST_SUITE_P(
    HttpServerTest, BadRequestTest,
    ::testing::Values(
        std::pair{"garbage\r\n\r\n", "400"}, std::pair{"GET / HTTP/2.0\r\n\r\n", "505"},
        std::pair{"GET / HTTP/1.1\r\n\r\n", "400"},                        // no Host
        std::pair{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},  // two
        std::pair{"GET /?a=%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        std::pair{"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        std::pair{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                  "400"},
        std::pair{
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400"},
        std::pair{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
        std::pair{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
                  "400"},
        std::pair{"POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 1\r\n\r\nx",
                  "417"}));

GateDecision strict_gate(const HttpRequest& request) {
  if (request.path == "/large") {
    GateDecision decision;
    decision.body_limit = 3'000'000;
    return decision;
  }
  if (!request.headers.contains("authorization")) {
    return GateDecision::refuse(HttpResponse::problem(401, "unauthenticated", "Unauthorized"));
  }
  return GateDecision::pass();
}

TEST(HttpServerTest, TheGateRefusesBeforeTheBodyIsRead) {
  HttpServerFixture f({}, strict_gate);
  RawSocket client = RawSocket::connect(f.listen());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_EQ(f.started, 0);
}

TEST(HttpServerTest, ARefusedRequestWithoutABodyKeepsTheConnection) {
  HttpServerFixture f({}, strict_gate);
  RawSocket client = RawSocket::connect(f.listen());
  client.send(kGet);
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 401 "));
  client.send("GET /echo HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\n\r\n");
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServerTest, TheGateCanAllowALargerBody) {
  HttpServerFixture f({}, strict_gate);
  RawSocket client = RawSocket::connect(f.listen());
  client.send("POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n");
  client.send(std::string(2'000'000, 'x'));
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServerTest, SaysContinueOnlyToWhoMayGoOn) {
  HttpServerFixture f({}, strict_gate);
  const std::uint16_t port = f.listen();
  RawSocket refused = RawSocket::connect(port);
  refused.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_THAT(refused.read_all(), StartsWith("HTTP/1.1 401 "));
  RawSocket client = RawSocket::connect(port);
  client.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\nExpect: 100-continue\r\n"
      "Content-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  EXPECT_THAT(client.read_response(), EndsWith("POST /echo hi"));
}

TEST(HttpServerTest, CutsOffAClientWhoseHeadTakesTooLong) {
  HttpServerFixture f({.header_timeout = 30ms});
  RawSocket client = RawSocket::connect(f.listen());
  client.send("GET / HT");
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServerTest, CutsOffAClientWhoseBodyTakesTooLong) {
  HttpServerFixture f({.body_timeout = 30ms});
  RawSocket client = RawSocket::connect(f.listen());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServerTest, ClosesAnIdleConnectionWithoutAWord) {
  HttpServerFixture f({.idle_timeout = 30ms});
  RawSocket client = RawSocket::connect(f.listen());
  EXPECT_TRUE(client.closed_by_peer());
}

TEST(HttpServerTest, GivesUpOnAClientThatReadsNothing) {
  HttpServerFixture f({.stall_timeout = 50ms});
  RawSocket client = RawSocket::connect(f.listen());
  client.send(get("/flood"));
  EXPECT_TRUE(f.eventually([&] { return f.finished == 1 && f.stats_now().connections == 0; }));
  EXPECT_EQ(f.delivered(), std::vector<bool>{false});
}

TEST(HttpServerTest, SendsALargeAnswerToASlowReader) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send(get("/big"));
  EXPECT_GT(client.read_response().size(), 1024u * 1024u);
  client.send(kGet);
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServerTest, StreamsInChunksAndKeepsTheConnection) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send(get("/stream"));
  const std::string answer = client.read_until("0\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_THAT(answer, EndsWith("4\r\none,\r\n4\r\ntwo,\r\n5\r\nthree\r\n0\r\n\r\n"));
  client.send(kGet);
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServerTest, StreamsToHttp10UntilItCloses) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send("GET /stream HTTP/1.0\r\n\r\n");
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, Not(HasSubstr("chunked")));
  EXPECT_THAT(answer, EndsWith("\r\n\r\none,two,three"));
}

TEST(HttpServerTest, EndsAStreamWhoseClientHasGone) {
  HttpServerFixture f;
  {
    RawSocket client = RawSocket::connect(f.listen());
    client.send(get("/endless"));
    client.read_until("begun");
  }
  EXPECT_TRUE(f.eventually([&] { return f.destroyed == 1 && f.stats_now().connections == 0; }));
  EXPECT_EQ(f.finished, 0);
}

TEST(HttpServerTest, AnswersForAHandlerThatThrowsOrForgets) {
  HttpServerFixture f;
  const std::uint16_t port = f.listen();
  RawSocket throwing = RawSocket::connect(port);
  throwing.send(get("/throw"));
  EXPECT_THAT(throwing.read_all(), StartsWith("HTTP/1.1 500 "));
  RawSocket forgetting = RawSocket::connect(port);
  forgetting.send(get("/nothing"));
  EXPECT_THAT(forgetting.read_all(), StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(f.errors(), ::testing::Contains(HasSubstr("on purpose")));
}

TEST(HttpServerTest, TurnsAwayConnectionsOverItsBound) {
  HttpServerFixture f({.max_connections = 2});
  const std::uint16_t port = f.listen();
  RawSocket a = RawSocket::connect(port);
  RawSocket b = RawSocket::connect(port);
  ASSERT_TRUE(f.eventually([&] { return f.stats_now().connections == 2; }));
  RawSocket c = RawSocket::connect(port);
  EXPECT_THAT(c.read_all(), StartsWith("HTTP/1.1 503 "));
  a.send(kGet);
  EXPECT_THAT(a.read_response(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(f.stats().refused_connections, 1u);
}

Task<bool> sleep_once(Loop* loop) {
  co_await sleep_for(*loop, 1ns);
  co_return true;
}

TEST(HttpServerTest, WaitsForADescriptorWhenTheyHaveRunOut) {
  HttpServerFixture f({.accept_backoff = 5ms});
  RawSocket client = RawSocket::connect(f.listen());
  ASSERT_TRUE(f.eventually([&] { return f.stats_now().connections == 1; }));
  // UBSan opens a pipe when it first sees a class, which it could not do later.
  f.thread().await<bool>([&] { return sleep_once(&f.thread().shard()); });
  RawSocket waiting(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int next = ::dup(client.fd());
  ::close(next);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getpeername(client.fd(), reinterpret_cast<sockaddr*>(&address), &size);
  ::connect(waiting.fd(), reinterpret_cast<sockaddr*>(&address), size);
  const bool reported = f.eventually([&] { return !f.errors().empty(); });
  ::setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_TRUE(reported);
  EXPECT_THAT(f.errors()[0], HasSubstr("accept: Too many open files"));
  waiting.send(kGet);
  EXPECT_THAT(waiting.read_response(), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServerTest, GivesASlowBodyMoreTimeAsItComes) {
  // A second for each byte: three bytes are worth more than the whole test.
  HttpServerFixture f({.body_timeout = 30ms, .body_min_rate = 1});
  RawSocket client = RawSocket::connect(f.listen());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabc");
  pollfd readable{client.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 100), 0) << "cut off too early";
  client.send("d");
  EXPECT_THAT(client.read_response(), EndsWith("abcd"));
}

TEST(HttpServerTest, SkipsEmptyLinesBetweenRequests) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send(std::string("\r\n\r\n") + kGet + "\r\n" + kGet);
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServerTest, ServesWhileTwoThousandConnectionsIdle) {
  HttpServerFixture f;
  const std::uint16_t port = f.listen();
  std::vector<RawSocket> idle;
  for (int i = 0; i < 2000; ++i) idle.push_back(RawSocket::connect(port));
  ASSERT_TRUE(f.eventually([&] { return f.stats_now().connections == 2000; }));
  RawSocket client = RawSocket::connect(port);
  client.send(kGet);
  EXPECT_THAT(client.read_response(), StartsWith("HTTP/1.1 200 "));
  idle[1999].send(kGet);
  EXPECT_THAT(idle[1999].read_response(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(f.stop(5s), 0u);
}

TEST(HttpServerTest, StopLetsARunningExchangeEndAndClosesIdleOnes) {
  HttpServerFixture f;
  const std::uint16_t port = f.listen();
  RawSocket idle = RawSocket::connect(port);
  RawSocket busy = RawSocket::connect(port);
  busy.send(get("/hold"));
  ASSERT_TRUE(f.eventually([&] { return f.started == 1; }));
  std::future<std::size_t> left = std::async(std::launch::async, [&] { return f.stop(10s); });
  EXPECT_TRUE(idle.closed_by_peer());
  f.open_gate();
  const std::string answer = busy.read_all();
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_THAT(answer, EndsWith("GET /hold "));
  EXPECT_EQ(left.get(), 0u);
}

TEST(HttpServerTest, StopCutsOffWhatIsLeftAtTheDeadline) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send(get("/hold"));
  ASSERT_TRUE(f.eventually([&] { return f.started == 1; }));
  EXPECT_EQ(f.stop(20ms), 1u);
  EXPECT_TRUE(client.closed_by_peer());
  EXPECT_EQ(f.destroyed, 1);
}

TEST(HttpServerTest, StopEndsACancellableStreamWellFormed) {
  HttpServerFixture f;
  RawSocket client = RawSocket::connect(f.listen());
  client.send(get("/endless"));
  client.read_until("begun");
  EXPECT_EQ(f.stop(5s), 0u);
  EXPECT_THAT(client.read_all(), EndsWith("0\r\n\r\n"));
}

TEST(HttpServerTest, TellsAPortInUse) {
  HttpServerFixture f;
  const std::uint16_t port = f.listen();
  f.thread().run([&] {
    const auto second = f.server().listen_tcp("127.0.0.1", port);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
  });
}

TEST(HttpServerTest, AListenerIsClosedAloneAndItsConnectionsGoOn) {
  HttpServerFixture f;
  const std::uint16_t port = f.listen();
  const std::uint16_t other = f.listen();
  RawSocket client = RawSocket::connect(port);
  client.send(get("/hold"));
  EXPECT_TRUE(f.eventually([&] { return f.started == 1; }));
  RawSocket waiting = RawSocket::connect(port);
  f.thread().run([&] { f.server().close_listener({*IpAddress::parse("127.0.0.1"), port}); });
  waiting.send(get("/echo"));
  EXPECT_THAT(waiting.read_response(), HasSubstr("200 OK"));
  f.open_gate();
  EXPECT_THAT(client.read_response(), HasSubstr("200 OK"));
  RawSocket still = RawSocket::connect(other);
  still.send(get("/echo"));
  EXPECT_THAT(still.read_response(), HasSubstr("200 OK"));
  // Nobody holds the port any more.
  HttpServerFixture next;
  next.thread().run([&] { EXPECT_TRUE(next.server().listen_tcp("127.0.0.1", port)); });
}

TEST(HttpServerTest, AnAddressThatOverlapsWithOneOfOursIsBoundBesideIt) {
  HttpServerFixture f;
  const std::uint16_t port = f.listen();
  f.thread().run([&] {
    EXPECT_TRUE(f.server().listen_tcp("0.0.0.0", port));
    f.server().close_listener({*IpAddress::parse("127.0.0.1"), port});
  });
  RawSocket client = RawSocket::connect(port);
  client.send(get("/echo"));
  EXPECT_THAT(client.read_response(), HasSubstr("200 OK"));
  // And it is ours alone all the same.
  HttpServerFixture other;
  other.thread().run([&] {
    EXPECT_FALSE(other.server().listen_tcp("0.0.0.0", port));
    EXPECT_FALSE(other.server().listen_tcp("127.0.0.1", port));
  });
}

TEST(HttpServerTest, KnowsWhoIsAtTheOtherEndOfAUnixSocket) {
  test::TempDir dir;
  HttpServerFixture f;
  f.thread().run([&] { ASSERT_TRUE(f.server().listen_unix(dir.file("s"))); });
  EXPECT_EQ(std::filesystem::status(dir.file("s")).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  RawSocket client = RawSocket::connect_unix(dir.file("s"));
  client.send(get("/who"));
  EXPECT_THAT(client.read_response(),
              EndsWith("unix " + std::to_string(::getuid()) + " " + std::to_string(::getpid())));
}

TEST(HttpServerTest, ReplacesAStaleUnixSocketButNotALivingOne) {
  test::TempDir dir;
  const std::string path = dir.file("s");
  {
    const int stale = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(stale, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::close(stale);
  }
  HttpServerFixture f;
  f.thread().run([&] {
    EXPECT_TRUE(f.server().listen_unix(path));
    const auto second = f.server().listen_unix(path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
    f.server().close_listeners();
  });
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(HttpServerTest, DoesNotReplaceAFileThatIsNoSocket) {
  test::TempDir dir;
  std::fclose(std::fopen(dir.file("s").c_str(), "w"));
  HttpServerFixture f;
  f.thread().run([&] { EXPECT_FALSE(f.server().listen_unix(dir.file("s"))); });
  EXPECT_TRUE(std::filesystem::exists(dir.file("s")));
}

}  // namespace
}  // namespace sluice::net
