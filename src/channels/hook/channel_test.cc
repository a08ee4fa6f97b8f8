// Posting parts out, over real sockets: every class of outcome.
#include "channels/hook/channel.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "channels/hook/hook_fixture.h"
#include "config/config_fixture.h"

namespace sluice::hook {
namespace {

using net::test::RawServer;
using net::test::RawSocket;
using std::chrono::milliseconds;
using std::chrono::seconds;
using What = SendOutcome::What;

class HookChannelTest : public test::HookTest {
 protected:
  /// What a callback that behaves like this makes of a part.
  SendOutcome send_to(std::function<void(RawSocket&)> serve) {
    RawServer server(std::move(serve));
    const std::string there = "127.0.0.1:" + std::to_string(server.port());
    HookOptions o = options();
    o.callback_allow = {there};
    o.timeout = milliseconds(300);
    start(std::move(o));
    return send(part("http://" + there + "/callback"));
  }
};

TEST_F(HookChannelTest, PostsAPartToTheCallersCallback) {
  start(options());
  const SendOutcome outcome = send(part(url("/callback")));
  EXPECT_EQ(outcome.what, What::kSent) << outcome.reason;
  EXPECT_EQ(outcome.platform_id, "their-5");
  ASSERT_EQ(posted_.size(), 1u);
  const net::HttpRequest& post = posted_.front();
  EXPECT_EQ(post.content_type(), "application/json");
  EXPECT_EQ(post.headers.get("idempotency-key"), "00ff");
  EXPECT_FALSE(post.headers.contains("x-sluice-possible-duplicate"));
  EXPECT_FALSE(post.headers.contains("x-sluice-signature"));
  const boost::json::object body = boost::json::parse(post.body).as_object();
  EXPECT_EQ(body.at("account").as_string(), "desk");
  EXPECT_EQ(body.at("chat").as_string(), "c1");
  EXPECT_EQ(body.at("thread").as_string(), "t1");
  EXPECT_EQ(body.at("turn").to_number<int>(), 42);
  EXPECT_EQ(body.at("part").to_number<int>(), 91);
  EXPECT_EQ(body.at("n").to_number<int>(), 1);
  EXPECT_EQ(body.at("kind").as_string(), "reply");
  EXPECT_EQ(body.at("text").as_string(), "the answer");
  EXPECT_EQ(body.at("in_reply_to").as_string(), "m1");
  EXPECT_EQ(body.at("idempotency_key").as_string(), "00ff");
  EXPECT_FALSE(body.at("possible_duplicate").as_bool());
  EXPECT_EQ(body.at("meta").at("phase").as_string(), "done");
}

TEST_F(HookChannelTest, PostsToTheAccountsOwnCallbackWhereverThatIs) {
  HookOptions own = options();
  own.callback_allow = {};
  own.callback = url("/callback");
  start(std::move(own));
  EXPECT_EQ(send(part("")).what, What::kSent);
  SendRequest operators = part("");
  operators.reply_to.clear();
  EXPECT_EQ(send(operators).what, What::kSent);
}

TEST_F(HookChannelTest, LabelsAPossibleDuplicateWithoutTouchingItsText) {
  start(options());
  SendRequest again = part(url("/callback"));
  again.possible_duplicate = true;
  again.text = channel_->formatter().possible_duplicate(again.text);
  EXPECT_EQ(send(again).what, What::kSent);
  EXPECT_EQ(posted_.front().headers.get("x-sluice-possible-duplicate"), "true");
  const boost::json::object body = boost::json::parse(posted_.front().body).as_object();
  EXPECT_TRUE(body.at("possible_duplicate").as_bool());
  EXPECT_EQ(body.at("text").as_string(), "the answer");
}

TEST_F(HookChannelTest, SignsWhatItPosts) {
  HookOptions with = options();
  with.signing_secret = config::Secret("key");
  start(std::move(with));
  EXPECT_EQ(send(part(url("/callback"))).what, What::kSent);
  const std::string told(posted_.front().headers.get("x-sluice-signature").value_or(""));
  const std::int64_t at = std::stoll(told.substr(2));
  EXPECT_EQ(told, auth::signature("key", posted_.front().body, UnixMillis{at * 1000}));
}

TEST_F(HookChannelTest, ARefusalIsForGood) {
  start(options());
  answer_ = net::HttpResponse::text(410, "");
  EXPECT_EQ(send(part(url("/callback"))).what, What::kRefused);
  EXPECT_EQ(send(part(url("/nowhere"))).what, What::kRefused);
}

TEST_F(HookChannelTest, RefusedCredentialsAtTheOwnCallbackParkTheAccount) {
  HookOptions own = options();
  own.callback = url("/callback");
  start(std::move(own));
  answer_ = net::HttpResponse::text(401, "");
  EXPECT_EQ(send(part("")).what, What::kAccountRefused);
  EXPECT_EQ(send(part(url("/callback"))).what, What::kAccountRefused);
  EXPECT_EQ(send(part(url("/callback?as=caller"))).what, What::kRefused);
}

TEST_F(HookChannelTest, ARefusedFormatIsTriedPlain) {
  start(options());
  answer_ = net::HttpResponse::text(422, "");
  EXPECT_EQ(send(part(url("/callback"))).what, What::kRefusedFormat);
  answer_ = net::HttpResponse::text(200, "");
  SendRequest plain = part(url("/callback"));
  plain.plain = true;
  EXPECT_EQ(send(plain).what, What::kSent);
  EXPECT_TRUE(boost::json::parse(posted_.back().body).at("plain").as_bool());
}

TEST_F(HookChannelTest, AFloodWaitIsTold) {
  start(options());
  answer_ = net::HttpResponse::text(429, "");
  answer_.headers.set("Retry-After", "12");
  const SendOutcome outcome = send(part(url("/callback")));
  EXPECT_EQ(outcome.what, What::kRateLimited);
  EXPECT_EQ(outcome.wait, seconds(12));
}

TEST_F(HookChannelTest, AFailingReceiverDidNotTakeThePart) {
  start(options());
  answer_ = net::HttpResponse::text(500, "");
  EXPECT_EQ(send(part(url("/callback"))).what, What::kNotSent);
}

TEST_F(HookChannelTest, ARefusedConnectionSentNothing) {
  start(options());
  const std::string gone = url("/callback");
  thread_.run([this] {
    client_->close_idle();
    server_.reset();
  });
  EXPECT_EQ(send(part(gone)).what, What::kNotSent);
}

TEST_F(HookChannelTest, ASwallowedAnswerLeavesTheOutcomeUnknown) {
  EXPECT_EQ(send_to([](RawSocket& socket) { socket.read_until("\r\n\r\n"); }).what, What::kUnknown);
}

TEST_F(HookChannelTest, AnAnswerThatNeverComesLeavesTheOutcomeUnknown) {
  EXPECT_EQ(send_to([](RawSocket& socket) { socket.read_all(); }).what, What::kUnknown);
}

TEST_F(HookChannelTest, GarbageInPlaceOfAnAnswerLeavesTheOutcomeUnknown) {
  const SendOutcome outcome = send_to([](RawSocket& socket) {
    socket.read_until("\r\n\r\n");
    socket.send("200 fine\r\n\r\n");
  });
  EXPECT_EQ(outcome.what, What::kUnknown);
}

TEST_F(HookChannelTest, ASuccessCountsEvenIfItsBodyBreaksOff) {
  const SendOutcome outcome = send_to([](RawSocket& socket) {
    socket.read_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\"");
  });
  EXPECT_EQ(outcome.what, What::kSent);
}

TEST_F(HookChannelTest, ASuccessCountsEvenIfItsBodyIsTooLong) {
  start(options());
  answer_ = net::HttpResponse::text(200, std::string(HookChannel::kAnswerBytesMax + 1, 'x'));
  EXPECT_EQ(send(part(url("/callback"))).what, What::kSent);
}

TEST_F(HookChannelTest, ARedirectIsNotFollowed) {
  start(options());
  answer_ = net::HttpResponse::text(307, "");
  answer_.headers.set("Location", url("/callback"));
  EXPECT_EQ(send(part(url("/callback"))).what, What::kRefused);
  EXPECT_EQ(posted_.size(), 1u);
}

TEST_F(HookChannelTest, ACallbackThatLeadsInsideIsRefusedWhenItIsSentToo) {
  HookOptions closed = options();
  closed.callback_allow = {};
  start(std::move(closed));
  const SendOutcome outcome = send(part(url("/callback")));
  EXPECT_EQ(outcome.what, What::kRefused);
  EXPECT_TRUE(posted_.empty());
}

TEST_F(HookChannelTest, ACallbackWhoseNameLeadsInsideIsRefused) {
  HookOptions closed = options();
  closed.callback_allow = {};
  start(std::move(closed));
  const std::string named = "http://localhost:" + std::to_string(port_) + "/callback";
  EXPECT_EQ(send(part(named)).what, What::kRefused);
  EXPECT_TRUE(posted_.empty());
}

TEST_F(HookChannelTest, WithoutAnyCallbackThePartIsRefused) {
  start(options());
  EXPECT_EQ(send(part("")).what, What::kRefused);
  EXPECT_EQ(send(part("not a url")).what, What::kRefused);
}

TEST_F(HookChannelTest, ASendThatIsCutOffLeavesNothingBehind) {
  start(options());
  RawServer silent([](RawSocket& socket) { socket.read_all(); });
  const std::string there = "127.0.0.1:" + std::to_string(silent.port());
  HookOptions o = options();
  o.callback_allow = {there};
  thread_.run([this] { channel_.reset(); });
  start(std::move(o));
  const bool cut = thread_.await<bool>([this, there] {
    struct Cut {
      static Task<bool> off(HookChannel* channel, Loop* loop, SendRequest request) {
        const auto sent = co_await run_until(*loop, channel->send(std::move(request)),
                                             loop->now() + milliseconds(50));
        co_return sent.ended == Ended::kDeadline;
      }
    };
    return Cut::off(channel_.get(), &thread_.shard(), part("http://" + there + "/"));
  });
  EXPECT_TRUE(cut);
}

TEST_F(HookChannelTest, TellsWhatItCanDo) {
  HookOptions o = options();
  o.idempotency_window = std::chrono::hours(1);
  o.part_bytes_max = 1000;
  start(std::move(o));
  const Capabilities& can = channel_->info().can;
  EXPECT_FALSE(can.pull);
  EXPECT_TRUE(can.own_face);
  EXPECT_FALSE(can.streaming);
  EXPECT_FALSE(can.can_look_back);
  EXPECT_EQ(can.idempotency_window, std::chrono::hours(1));
  EXPECT_EQ(can.part_bytes_max, 1000u);
}

TEST_F(HookChannelTest, RefusesOptionsThatMeanNothing) {
  thread_.run([this] {
    HookOptions wrong = options();
    wrong.callback = "/relative";
    EXPECT_TRUE(HookChannel::make("desk", wrong, *mount_, *client_, thread_.shard()).has_error());
    wrong = options();
    wrong.callback_allow = {"everything"};
    EXPECT_TRUE(HookChannel::make("desk", wrong, *mount_, *client_, thread_.shard()).has_error());
  });
}

TEST(HookOptionsTest, CanBeWrittenInTheConfiguration) {
  config::Schema schema;
  config::Kinds kinds;
  kinds.add<HookOptions>("hook", "Text in by POST, text out by POST.");
  schema.instances("channels", "Accounts.", std::move(kinds));
  config::example::FakeSecrets secrets;
  const config::Loaded loaded =
      config::load(schema,
                   "[channels.desk]\nkind = \"hook\"\n"
                   "callback = \"http://10.0.0.1/cb\"\ncallback_allow = [\"10.0.0.0/8\"]\n"
                   "idempotency_window = \"24h\"\ntimeout = \"5s\"\npart_bytes_max = \"4KiB\"\n",
                   "test.toml", secrets);
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  const auto& o = loaded.config->instances("channels").front().get<HookOptions>();
  EXPECT_EQ(o.idempotency_window, std::chrono::hours(24));
  EXPECT_EQ(o.part_bytes_max, 4096u);
  const config::Loaded wrong =
      config::load(schema, "[channels.desk]\nkind = \"hook\"\ncallback_allow = [\"all\"]\n",
                   "test.toml", secrets);
  EXPECT_FALSE(wrong.config);
}

}  // namespace
}  // namespace sluice::hook
