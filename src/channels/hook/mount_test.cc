// Posting messages in, over real sockets.
#include "channels/hook/mount.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "channels/hook/hook_fixture.h"

namespace sluice::hook {
namespace {

using net::test::RawSocket;

constexpr std::string_view kMessage =
    R"({"id":"m1","chat":"c1","text":"hello","sender":"ann","callback":"https://example.com/cb"})";

class HookMountTest : public test::HookTest {
 protected:
  net::HttpClientResponse post(std::string body, std::string path = "/hook/desk",
                               std::string token = "s3cret",
                               std::string type = "application/json") {
    net::HttpClientRequest request;
    request.method = "POST";
    request.url = *net::Url::parse(url(path));
    if (!type.empty()) request.headers.set("Content-Type", type);
    if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
    request.body = std::move(body);
    const auto answer = thread_.await<net::FetchResult<net::HttpClientResponse>>(
        [this, request] { return client_->fetch(request); });
    EXPECT_TRUE(answer.has_value()) << answer.error().error.to_string();
    return answer ? *answer : net::HttpClientResponse{};
  }
  UnixMillis wall() {
    UnixMillis now;
    thread_.run([&] { now = thread_.shard().wall(); });
    return now;
  }
  int send_signed(std::string body, const std::string& signature) {
    net::HttpClientRequest request;
    request.method = "POST";
    request.url = *net::Url::parse(url("/hook/desk"));
    request.headers.set("Content-Type", "application/json");
    request.headers.set(auth::kSignatureHeader, signature);
    request.body = std::move(body);
    const auto answer = thread_.await<net::FetchResult<net::HttpClientResponse>>(
        [this, request] { return client_->fetch(request); });
    return answer ? answer->status : 0;
  }
  int post_signed(std::string body, std::string_view key) {
    const std::string with = auth::signature(key, body, wall());
    return send_signed(std::move(body), with);
  }
  static std::string detail_of(const net::HttpClientResponse& answer) {
    EXPECT_EQ(answer.headers.get("content-type"), "application/problem+json");
    const auto problem = boost::json::parse(answer.body);
    const auto* detail = problem.as_object().if_contains("detail");
    return detail == nullptr ? std::string() : std::string(detail->as_string().c_str());
  }
};

TEST_F(HookMountTest, AcceptsAMessageOnceItIsOnDisk) {
  start(options());
  const auto answer = post(std::string(kMessage));
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.body, R"({"message":7,"conversation":3,"status":"accepted","duplicate":false})");
  ASSERT_EQ(host_->accepted.size(), 1u);
  EXPECT_EQ(host_->accepted.front().event, "m1");
  EXPECT_EQ(host_->accepted.front().text, "hello");
  const ReplyTo to = parse_reply_to(host_->accepted.front().reply_to);
  EXPECT_EQ(to.callback, "https://example.com/cb");
  EXPECT_EQ(to.event, "m1");
}

TEST_F(HookMountTest, TellsADuplicateFromANewMessage) {
  start(options());
  host_->verdict.verdict = EventVerdict::kDuplicate;
  const auto answer = post(std::string(kMessage));
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find(R"("duplicate":true)"), std::string::npos);
}

TEST_F(HookMountTest, RefusesAnIdThatWasUsedWithAnotherText) {
  start(options());
  host_->verdict.verdict = EventVerdict::kOtherContent;
  EXPECT_EQ(post(std::string(kMessage)).status, 422);
}

TEST_F(HookMountTest, TellsASenderThatIsNotOnTheList) {
  start(options());
  host_->verdict =
      Accepted{.verdict = EventVerdict::kNew, .id = {}, .lane = {}, .refused_by_access = true};
  EXPECT_EQ(post(std::string(kMessage)).status, 403);
}

TEST_F(HookMountTest, AWordInAGroupThatIsNotForUsIsNoError) {
  start(options());
  host_->verdict =
      Accepted{.verdict = EventVerdict::kNew, .id = {}, .lane = {}, .refused_by_access = true};
  const auto answer = post(
      R"({"id":"m1","chat":"c1","text":"x","sender":"ann","callback":"https://example.com/cb",)"
      R"("group":true})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"status":"ignored"})");
}

TEST_F(HookMountTest, AMissingOrWrongTokenIsRefused) {
  start(options());
  EXPECT_EQ(post(std::string(kMessage), "/hook/desk", "").status, 401);
  const auto wrong = post(std::string(kMessage), "/hook/desk", "s3cre");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.headers.get("www-authenticate"), "Bearer");
  EXPECT_TRUE(host_->accepted.empty());
}

TEST_F(HookMountTest, ASignatureStandsForTheToken) {
  HookOptions signing = options();
  signing.token = {};
  signing.receive_secret = config::Secret("key");
  start(std::move(signing));
  EXPECT_EQ(post_signed(std::string(kMessage), "other key"), 401);
  EXPECT_EQ(post_signed(std::string(kMessage), "key"), 202);
  EXPECT_EQ(host_->accepted.size(), 1u);
}

TEST_F(HookMountTest, ASignatureIsGoodOnce) {
  HookOptions signing = options();
  signing.receive_secret = config::Secret("key");
  start(std::move(signing));
  const std::string once = auth::signature("key", kMessage, wall());
  EXPECT_EQ(send_signed(std::string(kMessage), once), 202);
  EXPECT_EQ(send_signed(std::string(kMessage), once), 409);
  EXPECT_EQ(host_->accepted.size(), 1u);
}

TEST_F(HookMountTest, ALateSignatureNeverSendsItsBody) {
  HookOptions signing = options();
  signing.receive_secret = config::Secret("key");
  start(std::move(signing));
  RawSocket socket = RawSocket::connect(port_);
  socket.send(
      "POST /hook/desk HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
      "X-Sluice-Signature: " +
      auth::signature("key", kMessage, UnixMillis{1'000}) + "\r\n\r\n");
  EXPECT_TRUE(socket.read_until("\r\n\r\n").starts_with("HTTP/1.1 401"));
}

TEST_F(HookMountTest, CallersThatAreTooFastAreToldWhenToComeBack) {
  HookOptions slow = options();
  slow.rate = slow.burst = 1;
  start(std::move(slow));
  EXPECT_EQ(post(std::string(kMessage), "/hook/desk", "wrong").status, 401);
  EXPECT_EQ(post(std::string(kMessage)).status, 202);
  const auto refused = post(std::string(kMessage));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.get("retry-after"), "1");
}

TEST_F(HookMountTest, ARefusedCallerNeverSendsItsBody) {
  start(options());
  RawSocket socket = RawSocket::connect(port_);
  socket.send("POST /hook/desk HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
  EXPECT_TRUE(socket.read_until("\r\n\r\n").starts_with("HTTP/1.1 401"));
}

TEST_F(HookMountTest, WithoutATokenThereIsNoSuchPath) {
  HookOptions silent = options();
  silent.token = {};
  start(std::move(silent));
  EXPECT_EQ(post(std::string(kMessage)).status, 404);
  EXPECT_EQ(post(std::string(kMessage), "/hook/desk", "").status, 404);
}

TEST_F(HookMountTest, AnUnknownAccountIsNotFound) {
  start(options());
  EXPECT_EQ(post(std::string(kMessage), "/hook/other").status, 404);
  EXPECT_EQ(post(std::string(kMessage), "/hook/de%73k").status, 202);
}

TEST_F(HookMountTest, TakesJsonOnly) {
  start(options());
  EXPECT_EQ(post(std::string(kMessage), "/hook/desk", "s3cret", "text/plain").status, 415);
  EXPECT_EQ(post(std::string(kMessage), "/hook/desk", "s3cret", "").status, 415);
  EXPECT_EQ(
      post(std::string(kMessage), "/hook/desk", "s3cret", "application/json; charset=utf-8").status,
      202);
}

TEST_F(HookMountTest, SaysWhatIsWrongWithABody) {
  start(options());
  const auto answer = post(R"({"id":"m1","txt":"x"})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(detail_of(answer), "unknown field \"txt\"");
}

TEST_F(HookMountTest, TakesTheIdFromAnIdempotencyKeyHeader) {
  start(options());
  net::HttpClientRequest request;
  request.method = "POST";
  request.url = *net::Url::parse(url("/hook/desk"));
  request.headers = {{"Content-Type", "application/json"},
                     {"Authorization", "Bearer s3cret"},
                     {"Idempotency-Key", "\"h1\""}};
  request.body = R"({"chat":"c1","text":"x","sender":"ann","callback":"https://example.com/cb"})";
  const auto answer = thread_.await<net::FetchResult<net::HttpClientResponse>>(
      [this, request] { return client_->fetch(request); });
  EXPECT_EQ(answer->status, 202);
  EXPECT_EQ(host_->accepted.front().event, "h1");
}

TEST_F(HookMountTest, RefusesABodyOverTheBound) {
  HookOptions small = options();
  small.body_max = 4 << 10;
  start(std::move(small));
  EXPECT_EQ(post(std::string(5000, ' ')).status, 413);
}

TEST_F(HookMountTest, NeedsACallbackFromSomewhere) {
  start(options());
  const std::string without = R"({"id":"m1","chat":"c1","text":"hello","sender":"ann"})";
  EXPECT_EQ(post(without).status, 400);
  thread_.run([this] { channel_.reset(); });
  HookOptions own = options();
  own.callback = url("/callback");
  start(std::move(own));
  EXPECT_EQ(post(without).status, 202);
  EXPECT_EQ(parse_reply_to(host_->accepted.back().reply_to).callback, "");
}

TEST_F(HookMountTest, RefusesCallbacksThatLeadInside) {
  start(options());
  for (const char* callback :
       {"http://127.0.0.1:1/x", "http://localhost:1/x", "http://169.254.169.254/latest",
        "http://[::1]/x", "http://[::ffff:10.0.0.1]/x", "http://10.0.0.1/x", "ftp://example.com/x",
        "http://user@example.com/", "http://2130706433/"}) {
    const auto answer = post(R"({"id":"m1","chat":"c1","text":"x","sender":"ann","callback":")" +
                             std::string(callback) + "\"}");
    EXPECT_EQ(answer.status, 400) << callback;
    EXPECT_TRUE(detail_of(answer).starts_with("\"callback\": ")) << callback;
  }
  EXPECT_TRUE(host_->accepted.empty());
}

TEST_F(HookMountTest, TakesACallbackInsideThatTheOperatorListed) {
  start(options());
  const auto answer = post(R"({"id":"m1","chat":"c1","text":"x","sender":"ann","callback":")" +
                           url("/callback") + "\"}");
  EXPECT_EQ(answer.status, 202);
}

TEST_F(HookMountTest, TellsCallersToComeBackWhenIntakeIsFull) {
  start(options());
  host_->error = Error(ErrorKind::kOverloaded, "the disk can't keep up", ErrorSource::kSelf,
                       Retry::after(std::chrono::milliseconds(1500)));
  const auto answer = post(std::string(kMessage));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.get("retry-after"), "2");
}

TEST_F(HookMountTest, TellsNothingOfWhatBrokeInside) {
  start(options());
  host_->error = Error(ErrorKind::kStorageFailed, "/var/lib/sluice/store: EIO");
  const auto answer = post(std::string(kMessage));
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("/var/lib"), std::string::npos);
}

TEST_F(HookMountTest, AStoppingAccountTellsCallersToComeBack) {
  start(options());
  thread_.await<bool>([this] {
    struct Stop {
      static Task<bool> run(HookChannel* channel) {
        co_await channel->stop();
        co_return true;
      }
    };
    return Stop::run(channel_.get());
  });
  const auto answer = post(std::string(kMessage));
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.headers.contains("retry-after"));
}

TEST_F(HookMountTest, AnUnregisteredAccountsPathIsGone) {
  start(options());
  thread_.run([this] { channel_.reset(); });
  EXPECT_EQ(post(std::string(kMessage)).status, 404);
}

TEST_F(HookMountTest, APostThatIsBeingAppendedIsAnsweredAfterItsChannelHasGone) {
  start(options());
  host_->hold = true;
  RawSocket socket = RawSocket::connect(port_);
  socket.send(
      "POST /hook/desk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\n"
      "Content-Type: application/json\r\nContent-Length: " +
      std::to_string(kMessage.size()) + "\r\n\r\n" + std::string(kMessage));
  struct Poll {
    static Task<bool> until_accepted(test::FakeHost* host, Loop* loop) {
      while (host->accepted.empty()) co_await yield(*loop);
      co_return true;
    }
  };
  thread_.await<bool>([this] { return Poll::until_accepted(host_.get(), &thread_.shard()); });
  thread_.run([this] {
    channel_.reset();
    host_->release();
  });
  EXPECT_TRUE(socket.read_response().starts_with("HTTP/1.1 202"));
}

TEST_F(HookMountTest, OneNameIsForOneAccount) {
  start(options());
  const auto second = thread_.await<bool>([this] {
    struct Second {
      static Task<bool> starts(HookTest*, std::unique_ptr<HookChannel> channel, ChannelHost* host) {
        const Result<void> started = co_await channel->start(*host);
        co_return started.has_value();
      }
    };
    return Second::starts(this,
                          *HookChannel::make("desk", options(), *mount_, *client_, thread_.shard()),
                          host_.get());
  });
  EXPECT_FALSE(second);
  EXPECT_EQ(post(std::string(kMessage)).status, 202);
}

}  // namespace
}  // namespace sluice::hook
