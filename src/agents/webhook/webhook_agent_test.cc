// Against real servers on loopback.
#include "agents/webhook/webhook_agent.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "agents/model/model_fixture.h"
#include "auth/signature.h"
#include "config/config_fixture.h"
#include "net/http_server.h"
#include "net/net_fixture.h"

namespace sluice {
namespace {

using namespace model_test;
using std::chrono::milliseconds;
using std::chrono::seconds;

class WebhookAgentTest : public ::testing::Test {
 protected:
  WebhookAgentTest() {
    thread_.run([this] {
      net::HttpServerHooks hooks;
      hooks.handler = [this](net::HttpExchange& exchange) { return serve(this, &exchange); };
      server_ = std::make_unique<net::HttpServer>(thread_.shard(), net::HttpServerOptions{},
                                                  std::move(hooks));
      port_ = server_->listen_tcp("127.0.0.1", 0)->port;
    });
  }
  ~WebhookAgentTest() override {
    thread_.run([this] {
      agent_.reset();
      server_.reset();
    });
  }

  static Task<void> serve(WebhookAgentTest* self, net::HttpExchange* exchange) {
    self->requests_.push_back(exchange->request());
    exchange->respond(self->answer_);
    co_return;
  }
  WebhookOptions options(std::uint16_t port) {
    WebhookOptions options;
    options.url = "http://127.0.0.1:" + std::to_string(port) + "/agent";
    return options;
  }
  Result<AgentReply> run(WebhookOptions options) {
    thread_.run([&] {
      agent_ = *WebhookAgent::make("helper", std::move(options), thread_.shard(), callbacks_);
    });
    return again();
  }
  Error failure(WebhookOptions options) {
    const auto reply = run(std::move(options));
    EXPECT_TRUE(reply.has_error());
    return reply ? Error() : reply.error();
  }
  Result<AgentReply> again(TurnRequest request = turn()) {
    return thread_.await<Result<AgentReply>>(
        [this, request] { return agent_->run(request, sink_); });
  }

  net::Router router_;
  CallbackMount callbacks_{
      router_, {HashKey{1, 2, 3}, nullptr, [] { return std::string("http://127.0.0.1:8484"); }}};
  ShardThread thread_;
  Recorder sink_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<WebhookAgent> agent_;
  std::uint16_t port_ = 0;
  net::HttpResponse answer_ = net::HttpResponse::json(200, R"({"text": "hi there"})");
  std::vector<net::HttpRequest> requests_;
};

TEST_F(WebhookAgentTest, PostsTheTurnAndTakesTheAnswer) {
  const auto reply = run(options(port_));
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ(reply->text, "hi there");
  ASSERT_EQ(requests_.size(), 1u);
  const net::HttpRequest& post = requests_.front();
  EXPECT_EQ(post.method, "POST");
  EXPECT_EQ(post.path, "/agent");
  EXPECT_EQ(post.content_type(), "application/json");
  EXPECT_EQ(boost::json::parse(post.body).at("text").as_string(), "hello");
}

TEST_F(WebhookAgentTest, TellsTurnAttemptAndKeyInHeaders) {
  ASSERT_TRUE(run(options(port_)).has_value());
  const net::HttpHeaders& headers = requests_.front().headers;
  EXPECT_EQ(headers.get("x-sluice-turn"), "42");
  EXPECT_EQ(headers.get("x-sluice-attempt"), "1");
  EXPECT_EQ(headers.get("x-request-id"), "r1");
  EXPECT_TRUE(headers.get("idempotency-key").value_or("").starts_with("42-"));
  EXPECT_FALSE(headers.contains("authorization"));
}

TEST_F(WebhookAgentTest, SendsItsTokenAndTheConfiguredHeaders) {
  WebhookOptions with = options(port_);
  with.token = config::Secret("s3cret");
  with.headers = {"X-Team: blue"};
  ASSERT_TRUE(run(std::move(with)).has_value());
  EXPECT_EQ(requests_.front().headers.get("authorization"), "Bearer s3cret");
  EXPECT_EQ(requests_.front().headers.get("x-team"), "blue");
}

TEST_F(WebhookAgentTest, SignsTimeAndBodyIfItHasASecret) {
  WebhookOptions with = options(port_);
  with.signing_secret = config::Secret("key");
  ASSERT_TRUE(run(std::move(with)).has_value());
  const net::HttpRequest& post = requests_.front();
  const auto signature =
      auth::parse_signature(post.headers.get(auth::kSignatureHeader).value_or(""));
  ASSERT_TRUE(signature);
  EXPECT_TRUE(auth::is_signed_with(*signature, "key", post.body));
  std::int64_t now = 0;
  thread_.run([&] { now = thread_.shard().wall().ms / 1000; });
  EXPECT_NEAR(static_cast<double>(signature->seconds), static_cast<double>(now), 60);
}

TEST_F(WebhookAgentTest, SignsNothingWithoutASecret) {
  ASSERT_TRUE(run(options(port_)).has_value());
  EXPECT_FALSE(requests_.front().headers.contains(auth::kSignatureHeader));
}

TEST_F(WebhookAgentTest, AsksForAnAnswerThatIsNotCompressed) {
  ASSERT_TRUE(run(options(port_)).has_value());
  EXPECT_EQ(requests_.front().headers.get("accept-encoding"), "identity");
  EXPECT_EQ(requests_.front().headers.get("accept"), "text/event-stream, application/json");
}

TEST_F(WebhookAgentTest, ACompressedAnswerIsRefused) {
  answer_.headers.set("Content-Encoding", "gzip");
  EXPECT_EQ(failure(options(port_)).kind(), ErrorKind::kBadResponse);
}

TEST_F(WebhookAgentTest, AnErrorSentAs200IsAnError) {
  answer_ = net::HttpResponse::json(200, R"({"error": {"status": 429, "retry_after": 7}})");
  const Error error = failure(options(port_));
  EXPECT_EQ(error.kind(), ErrorKind::kRateLimited);
  EXPECT_EQ(error.retry(), Retry::after(seconds(7)));
}

TEST_F(WebhookAgentTest, OffersNoCallbackUnlessTheyAreEnabled) {
  ASSERT_TRUE(run(options(port_)).has_value());
  EXPECT_FALSE(boost::json::parse(requests_.front().body).as_object().contains("callback"));
}

TEST_F(WebhookAgentTest, OffersACallbackWithASecretOfItsOwnForEachAttempt) {
  WebhookOptions with = options(port_);
  with.callbacks = true;
  with.callback_timeout = std::chrono::minutes(10);
  ASSERT_TRUE(run(with).has_value());
  TurnRequest second = turn();
  second.attempt = 2;
  ASSERT_TRUE(again(second).has_value());
  const auto callback = [this](std::size_t n) {
    return boost::json::parse(requests_.at(n).body).at("callback");
  };
  EXPECT_EQ(callback(0).at("url").as_string(), "http://127.0.0.1:8484/v1/callbacks/42/1");
  EXPECT_EQ(callback(1).at("url").as_string(), "http://127.0.0.1:8484/v1/callbacks/42/2");
  EXPECT_EQ(callback(0).at("secret").as_string().size(), 64u);
  EXPECT_NE(callback(0).at("secret"), callback(1).at("secret"));
  std::int64_t now = 0;
  thread_.run([&] { now = thread_.shard().wall().ms; });
  EXPECT_NEAR(callback(1).at("until").to_number<double>(), static_cast<double>(now + 600'000),
              60'000);
}

TEST_F(WebhookAgentTest, TellsWhereItIsReachedAsConfigured) {
  WebhookOptions with = options(port_);
  with.callbacks = true;
  with.callback_base_url = "https://chat.example/below/";
  ASSERT_TRUE(run(with).has_value());
  EXPECT_EQ(boost::json::parse(requests_.front().body).at("callback").at("url").as_string(),
            "https://chat.example/below/v1/callbacks/42/1");
}

TEST_F(WebhookAgentTest, AnAnswerThatComesLaterParksTheTurn) {
  answer_ = net::HttpResponse::json(202, R"({"job": 7})");
  WebhookOptions with = options(port_);
  with.callbacks = true;
  with.callback_timeout = std::chrono::minutes(10);
  const auto reply = run(with);
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ(reply->parked_for, std::chrono::minutes(10));
  EXPECT_EQ(reply->text, "");
}

TEST_F(WebhookAgentTest, WithoutACallbackLaterIsNoAnswer) {
  answer_ = net::HttpResponse::json(202, "{}");
  EXPECT_EQ(failure(options(port_)).context(), "webhook: answered 202 where 200 was expected");
}

TEST_F(WebhookAgentTest, ARefusedConnectionMayBeTriedAgain) {
  const std::uint16_t port = port_;
  thread_.run([this] { server_.reset(); });
  const auto reply = run(options(port));
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().kind(), ErrorKind::kUnavailable);
  EXPECT_TRUE(reply.error().retry().allowed());
}

TEST_F(WebhookAgentTest, ALostAnswerIsNotAskedForAgainByDefault) {
  RawServer dropping([](RawSocket& socket) { socket.read_until("\r\n\r\n"); });
  const auto reply = run(options(dropping.port()));
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().kind(), ErrorKind::kUnavailable);
  EXPECT_FALSE(reply.error().retry().allowed());
}

TEST_F(WebhookAgentTest, ALostAnswerIsAskedForAgainIfTheAgentIsIdempotent) {
  RawServer dropping([](RawSocket& socket) { socket.read_until("\r\n\r\n"); });
  WebhookOptions idempotent = options(dropping.port());
  idempotent.idempotent = true;
  const auto reply = run(std::move(idempotent));
  ASSERT_TRUE(reply.has_error());
  EXPECT_TRUE(reply.error().retry().allowed());
}

TEST_F(WebhookAgentTest, AnAgentThatNeverAnswersTimesOut) {
  RawServer silent([](RawSocket& socket) { socket.read_all(); });
  WebhookOptions impatient = options(silent.port());
  impatient.timeout = milliseconds(100);
  impatient.idempotent = true;
  const auto reply = run(std::move(impatient));
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().kind(), ErrorKind::kTimeout);
  EXPECT_TRUE(reply.error().retry().allowed());
}

TEST_F(WebhookAgentTest, GarbageInPlaceOfHttpIsABadResponse) {
  RawServer garbage([](RawSocket& socket) {
    socket.read_until("\r\n\r\n");
    socket.send("\x16\x03\x01 what is this\r\n\r\n");
  });
  const auto reply = run(options(garbage.port()));
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().kind(), ErrorKind::kBadResponse);
}

TEST_F(WebhookAgentTest, AnAnswerOverTheBoundIsABadResponse) {
  answer_ = net::HttpResponse::json(200, R"({"text": ")" + std::string(5000, 'x') + R"("})");
  WebhookOptions small = options(port_);
  small.response_bytes_max = 1024;
  const auto reply = run(std::move(small));
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().kind(), ErrorKind::kBadResponse);
}

TEST_F(WebhookAgentTest, ARedirectIsNotFollowed) {
  answer_ = net::HttpResponse::text(302, "");
  answer_.headers.set("Location", "http://127.0.0.1:" + std::to_string(port_) + "/elsewhere");
  const auto reply = run(options(port_));
  ASSERT_TRUE(reply.has_error());
  EXPECT_EQ(reply.error().kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(requests_.size(), 1u);
}

TEST_F(WebhookAgentTest, HealthTellsTheLastFailureUntilACallGetsThrough) {
  answer_ = net::HttpResponse::text(503, "");
  EXPECT_TRUE(run(options(port_)).has_error());
  thread_.run([this] { EXPECT_EQ(agent_->health().error().kind(), ErrorKind::kUnavailable); });
  answer_ = net::HttpResponse::json(200, R"({"text": "hi"})");
  EXPECT_TRUE(again().has_value());
  thread_.run([this] { EXPECT_TRUE(agent_->health().has_value()); });
}

TEST_F(WebhookAgentTest, ItsOwnDeadlineComesBeforeTheTurns) {
  WebhookOptions slow = options(port_);
  slow.timeout = seconds(30);
  ASSERT_TRUE(run(std::move(slow)).has_value());
  thread_.run([this] { EXPECT_GT(agent_->info().timeout, seconds(30)); });
}

TEST_F(WebhookAgentTest, RefusesAUrlThatIsNone) {
  thread_.run([this] {
    WebhookOptions wrong;
    wrong.url = "agent.example/turns";
    const auto made = WebhookAgent::make("helper", wrong, thread_.shard(), callbacks_);
    ASSERT_TRUE(made.has_error());
    EXPECT_EQ(made.error().kind(), ErrorKind::kInvalidArgument);
  });
}

TEST(WebhookConfigTest, SaysWhatIsWrongWithUrlAndHeaders) {
  config::Schema schema;
  config::Kinds kinds;
  kinds.add<WebhookOptions>("webhook", "Posts turns to a URL.");
  schema.instances("agents", "Who answers.", std::move(kinds));
  config::example::FakeSecrets secrets;
  const config::Loaded loaded = config::load(
      schema, "[agents.w]\nkind = \"webhook\"\nurl = \"ftp://x\"\nheaders = [\"Host: y\"]\n",
      "test.toml", secrets);
  EXPECT_FALSE(loaded.config);
  EXPECT_NE(loaded.to_string().find("url"), std::string::npos) << loaded.to_string();
  EXPECT_NE(loaded.to_string().find("is set by sluice itself"), std::string::npos);
}

}  // namespace
}  // namespace sluice
