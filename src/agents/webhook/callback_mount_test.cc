// Answers that come later, over real sockets.
#include "agents/webhook/callback_mount.h"

#include <gtest/gtest.h>

#include "net/http_client.h"
#include "net/http_server.h"
#include "net/net_fixture.h"

namespace sluice {
namespace {

using net::test::RawSocket;
using net::test::ShardThread;

constexpr UnixMillis kUntil{5'000};
constexpr const char* kAnswer = R"({"text": "four", "phase": "done"})";

class CallbackMountTest : public ::testing::Test {
 protected:
  CallbackMountTest() {
    thread_.run([this] {
      CallbackMount::Parts parts{
          HashKey{7},
          [this](TurnId turn, std::uint32_t attempt, Result<AgentReply> reply) {
            return take(this, turn, attempt, std::move(reply));
          },
          [] { return std::string("http://127.0.0.1:8484"); }};
      mount_ = std::make_unique<CallbackMount>(router_, std::move(parts));
      mount_->open(1024);
      client_ = std::make_unique<net::HttpClient>(thread_.shard(), net::HttpClientOptions{});
      net::HttpServerHooks hooks;
      router_.attach(hooks);
      server_ = std::make_unique<net::HttpServer>(thread_.shard(), net::HttpServerOptions{},
                                                  std::move(hooks));
      port_ = server_->listen_tcp("127.0.0.1", 0)->port;
    });
  }
  ~CallbackMountTest() override {
    thread_.run([this] {
      client_.reset();
      server_.reset();
    });
  }

  static Task<Result<void>> take(CallbackMountTest* self, TurnId turn, std::uint32_t attempt,
                                 Result<AgentReply> reply) {
    self->turn_ = turn;
    self->attempt_ = attempt;
    self->taken_.push_back(std::move(reply));
    co_return self->outcome_;
  }
  std::string secret_of(std::int64_t turn, std::uint32_t attempt) const {
    return mount_->offer(TurnId{turn}, attempt, "", kUntil).secret;
  }
  net::HttpClientResponse post(const std::string& path, const std::string& secret,
                               std::string body = kAnswer,
                               const std::string& type = "application/json") {
    net::HttpClientRequest request;
    request.method = "POST";
    request.url = *net::Url::parse("http://127.0.0.1:" + std::to_string(port_) + path);
    request.headers.set("Content-Type", type);
    if (!secret.empty()) request.headers.set("Authorization", "Bearer " + secret);
    request.body = std::move(body);
    const auto answer = thread_.await<net::FetchResult<net::HttpClientResponse>>(
        [this, request] { return client_->fetch(request); });
    EXPECT_TRUE(answer.has_value()) << answer.error().error.to_string();
    return answer ? *answer : net::HttpClientResponse{};
  }
  /// To the right path with the right secret.
  net::HttpClientResponse answer(std::string body) {
    return post("/v1/callbacks/42/2", secret_of(42, 2), std::move(body));
  }

  net::Router router_;
  ShardThread thread_;
  std::unique_ptr<CallbackMount> mount_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<net::HttpServer> server_;
  std::uint16_t port_ = 0;
  Result<void> outcome_;
  TurnId turn_;
  std::uint32_t attempt_ = 0;
  std::vector<Result<AgentReply>> taken_;
};

TEST_F(CallbackMountTest, TakesTheAnswerOfTheAttemptThatItIsFor) {
  EXPECT_EQ(answer(kAnswer).status, 200);
  ASSERT_EQ(taken_.size(), 1u);
  EXPECT_EQ(turn_, TurnId{42});
  EXPECT_EQ(attempt_, 2u);
  ASSERT_TRUE(taken_.front().has_value());
  EXPECT_EQ(taken_.front()->text, "four");
  EXPECT_EQ(taken_.front()->meta->phase, "done");
}

TEST_F(CallbackMountTest, TakesAnErrorInPlaceOfAnAnswer) {
  EXPECT_EQ(answer(R"({"error": {"status": 503, "retry_after": 3}})").status, 200);
  ASSERT_EQ(taken_.size(), 1u);
  EXPECT_EQ(taken_.front().error().retry(), Retry::after(std::chrono::seconds(3)));
}

TEST_F(CallbackMountTest, ASecretIsForOneTurnAndAttempt) {
  const std::string secret = secret_of(42, 2);
  for (const char* path : {"/v1/callbacks/43/2", "/v1/callbacks/42/1", "/v1/callbacks/4/22"}) {
    EXPECT_EQ(post(path, secret).status, 401) << path;
  }
  EXPECT_TRUE(taken_.empty());
}

TEST_F(CallbackMountTest, WhatIsForgedIsRefusedAlikeWhateverItIsFor) {
  const std::string good = secret_of(42, 2);
  std::string bent = good;
  bent.back() = bent.back() == '0' ? '1' : '0';
  std::string first;
  for (const std::string& secret : {std::string(), bent, good.substr(1), "x" + good}) {
    for (const char* path : {"/v1/callbacks/42/2", "/v1/callbacks/99999/1"}) {
      const auto refused = post(path, secret);
      EXPECT_EQ(refused.status, 401);
      EXPECT_EQ(refused.headers.get("www-authenticate"), "Bearer");
      if (first.empty()) first = refused.body;
      EXPECT_EQ(refused.body, first);
    }
  }
  EXPECT_TRUE(taken_.empty());
}

TEST_F(CallbackMountTest, AForgerNeverSendsABody) {
  RawSocket socket = RawSocket::connect(port_);
  socket.send(
      "POST /v1/callbacks/42/2 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
      "Content-Length: 1000\r\n\r\n");
  EXPECT_TRUE(socket.read_until("\r\n\r\n").starts_with("HTTP/1.1 401"));
}

TEST_F(CallbackMountTest, AnotherKeyHasOtherSecrets) {
  const auto secret_with = [](HashKey key) {
    net::Router router;
    return CallbackMount(router, {key, nullptr, [] { return std::string(); }})
        .offer(TurnId{42}, 2, "", kUntil)
        .secret;
  };
  EXPECT_NE(secret_with(HashKey{8}), secret_of(42, 2));
  EXPECT_EQ(secret_with(HashKey{7}), secret_of(42, 2));
}

TEST_F(CallbackMountTest, WhatCannotBeReadIsRefusedAndTheTurnWaitsOn) {
  for (const char* body :
       {"", "four", "[]", "{}", R"({"text": ""})", R"({"text": " \n"})", R"({"text": 4})",
        "{\"text\": \"\xff\"}", R"({"text": "four", "phase": 7})"}) {
    EXPECT_EQ(answer(body).status, 400) << body;
  }
  EXPECT_EQ(post("/v1/callbacks/42/2", secret_of(42, 2), "text=four", "text/plain").status, 415);
  EXPECT_TRUE(taken_.empty());
}

TEST_F(CallbackMountTest, AnAnswerOverTheBoundIsRefused) {
  EXPECT_EQ(answer(R"({"text": ")" + std::string(2000, 'x') + R"("})").status, 413);
  EXPECT_TRUE(taken_.empty());
}

TEST_F(CallbackMountTest, SaysWhyAnAnswerIsNotTaken) {
  outcome_ = Error(ErrorKind::kNotFound);
  EXPECT_EQ(answer(kAnswer).status, 410);
  outcome_ = Error(ErrorKind::kConflict);
  EXPECT_EQ(answer(kAnswer).status, 409);
  for (const ErrorKind kind : {ErrorKind::kUnavailable, ErrorKind::kStorageFailed}) {
    outcome_ = Error(kind, "/var/lib/x");
    const auto later = answer(kAnswer);
    EXPECT_EQ(later.status, 503);
    EXPECT_EQ(later.headers.get("retry-after"), "1");
    EXPECT_EQ(later.body.find("/var"), std::string::npos);
  }
}

TEST_F(CallbackMountTest, OddPathsAreNotThere) {
  for (const char* path : {"/v1/callbacks/42/0", "/v1/callbacks/-42/2", "/v1/callbacks/042x/2",
                           "/v1/callbacks/42/99999999999", "/v1/callbacks/42",
                           "/v1/callbacks/42/2/", "/v1/callbacks/%34%32/2"}) {
    EXPECT_EQ(post(path, secret_of(42, 2)).status, 404) << path;
  }
}

class UnusedCallbackMountTest : public CallbackMountTest {
 protected:
  UnusedCallbackMountTest() {
    thread_.run([this] {
      router_ = net::Router();
      mount_ = std::make_unique<CallbackMount>(
          router_, CallbackMount::Parts{HashKey{7}, nullptr, [] { return std::string(); }});
    });
  }
};

TEST_F(UnusedCallbackMountTest, WithoutAnAgentThatUsesItThereIsNoSuchPath) {
  EXPECT_EQ(answer(kAnswer).status, 404);
}

}  // namespace
}  // namespace sluice
