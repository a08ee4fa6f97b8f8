#include "net/router.h"

#include <gmock/gmock.h>

#include "net/net_fixture.h"

namespace sluice::net {
namespace {

using test::RawSocket;
using test::ShardThread;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Task<void> tell(std::string name, HttpExchange* exchange) {
  for (const std::string& param : exchange->params()) name += "|" + param;
  exchange->respond(HttpResponse::text(200, name));
  co_return;
}
HttpHandler named(const std::string& name) {
  return [name](HttpExchange& exchange) { return tell(name, &exchange); };
}

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    RouteOptions options;
    options.body_limit = 5;
    options.gate = [](const HttpRequest& request) {
      return request.headers.contains("x-key") ? GateDecision::pass()
                                               : GateDecision::refuse(HttpResponse::problem(
                                                     401, "unauthenticated", "Unauthorized"));
    };
    router_.add("GET", "/v1/chats/{chat}/messages/{id}", named("message"));
    router_.add("GET", "/v1/chats/{chat}/messages/latest", named("latest"));
    router_.add("POST", "/v1/chats", named("post"), options);
    router_.add("GET", "/v1/chats", named("list"));
    router_.add("GET", "/files/{path*}", named("file"));
    router_.add("GET", "/", named("root"));
    thread_.run([this] {
      HttpServerHooks hooks;
      router_.attach(hooks);
      server_ =
          std::make_unique<HttpServer>(thread_.shard(), HttpServerOptions{}, std::move(hooks));
      port_ = server_->listen_tcp("localhost", 0)->port;
    });
  }
  ~RouterTest() override {
    thread_.run([this] { server_.reset(); });
  }
  std::string ask(const std::string& line, const std::string& headers = "") {
    RawSocket client = RawSocket::connect(port_);
    client.send(line + " HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n");
    return line.starts_with("HEAD") ? client.read_until("\r\n\r\n") : client.read_response();
  }

  Router router_;
  ShardThread thread_;
  std::unique_ptr<HttpServer> server_;
  std::uint16_t port_ = 0;
};

TEST_F(RouterTest, FindsTheHandlerAndDecodesItsSegments) {
  EXPECT_THAT(ask("GET /v1/chats/a%2Fb%20c/messages/7"), EndsWith("message|a/b c|7"));
  EXPECT_THAT(ask("GET /"), EndsWith("root"));
}

TEST_F(RouterTest, PrefersFixedSegments) {
  EXPECT_THAT(ask("GET /v1/chats/x/messages/latest"), EndsWith("latest|x"));
}

TEST_F(RouterTest, TakesTheRestOfAPath) {
  EXPECT_THAT(ask("GET /files/a/b.txt"), EndsWith("file|a/b.txt"));
}

TEST_F(RouterTest, AnswersHeadFromGet) {
  EXPECT_THAT(ask("HEAD /v1/chats"), StartsWith("HTTP/1.1 200"));
}

TEST_F(RouterTest, RefusesUnknownPaths) {
  for (const char* path :
       {"/v1", "/v1/chats/", "/v1/chats//messages/1", "/v1/chats/%zz/messages/1", "/V1/chats"}) {
    EXPECT_THAT(ask(std::string("GET ") + path), StartsWith("HTTP/1.1 404")) << path;
  }
}

TEST_F(RouterTest, RefusesAnotherMethodAndSaysWhichAreAllowed) {
  const std::string answer = ask("DELETE /v1/chats");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(answer,
              ::testing::AnyOf(HasSubstr("Allow: POST, GET"), HasSubstr("Allow: GET, POST")));
}

TEST_F(RouterTest, AsksTheRoutesGateAndUsesItsBodyLimit) {
  EXPECT_THAT(ask("POST /v1/chats"), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(ask("POST /v1/chats", "X-Key: k\r\nContent-Length: 6\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(ask("POST /v1/chats", "X-Key: k\r\n"), EndsWith("post"));
}

}  // namespace
}  // namespace sluice::net
