#pragma once
// For tests of the hook channel: a shard with a listener that carries its mount, a client, and a
// host that stands for the gateway.

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/assert.h"
#include "channels/hook/channel.h"
#include "net/http_server.h"
#include "net/net_fixture.h"

namespace sluice::hook::test {

/// Keeps what it accepts and answers what it is told to.
class FakeHost : public ChannelHost {
 public:
  explicit FakeHost(Loop& loop) : loop_(loop), feeds_(loop, 16), held_(loop) {}

  Task<Result<std::vector<Accepted>>> accept(std::vector<InboundMessage> events,
                                             std::optional<std::string>) override {
    for (InboundMessage& event : events) accepted.push_back(std::move(event));
    if (hold) co_await held_.wait();
    if (error) co_return *error;
    co_return std::vector<Accepted>{verdict};
  }
  std::string cursor() const override { return {}; }
  void conflict(std::string) override {}
  Feeds& feeds() override { return feeds_; }
  LaneId find_lane(std::string_view, std::string_view) const override { return {}; }
  HistoryId head(LaneId) const override { return {}; }
  Store& store() override {
    SLUICE_ASSERT(!"a hook reads nothing");
    __builtin_unreachable();
  }
  Loop& loop() override { return loop_; }
  void release() { held_.set(); }

  std::vector<InboundMessage> accepted;
  Accepted verdict{EventVerdict::kNew, MessageId{7}, LaneId{3}, false};
  std::optional<Error> error;
  bool hold = false;  // accept() waits for release()

 private:
  Loop& loop_;
  Feeds feeds_;
  Event held_;
};

/// One server on loopback: /hook/... is the mount, /callback records what is posted to it and
/// answers `answer`.
class HookTest : public ::testing::Test {
 protected:
  HookTest() {
    thread_.run([this] {
      host_ = std::make_unique<FakeHost>(thread_.shard());
      client_ = std::make_unique<net::HttpClient>(thread_.shard(), net::HttpClientOptions{});
      mount_ = std::make_unique<HookMount>(router_);
      router_.add("POST", "/callback",
                  [this](net::HttpExchange& exchange) { return take(this, &exchange); });
      net::HttpServerHooks hooks;
      router_.attach(hooks);
      server_ = std::make_unique<net::HttpServer>(thread_.shard(), net::HttpServerOptions{},
                                                  std::move(hooks));
      port_ = server_->listen_tcp("127.0.0.1", 0)->port;
    });
  }
  ~HookTest() override {
    thread_.run([this] {
      channel_.reset();
      client_.reset();
      server_.reset();
      host_.reset();
    });
  }

  std::string url(const std::string& path) const { return "http://" + target() + path; }
  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }

  /// An account that may post to this server.
  HookOptions options() const {
    HookOptions options;
    options.token = config::Secret("s3cret");
    options.callback_allow = {target()};
    return options;
  }
  void start(HookOptions options, const std::string& name = "desk") {
    thread_.run([&] {
      channel_ = *HookChannel::make(name, std::move(options), *mount_, *client_, thread_.shard());
    });
    const auto started = thread_.await<Result<void>>([this] { return channel_->start(*host_); });
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
  }

  SendOutcome send(SendRequest request) {
    return thread_.await<SendOutcome>([this, request] { return channel_->send(request); });
  }
  static SendRequest part(const std::string& callback) {
    SendRequest request;
    request.part = PartId{91};
    request.turn = TurnId{42};
    request.n = 1;
    request.chat = "c1";
    request.thread = "t1";
    request.text = "the answer";
    request.reply_to = to_string(ReplyTo{callback, "m1"});
    request.meta = R"({"phase":"done"})";
    request.idempotency_key = "00ff";
    request.request_id = "r1";
    return request;
  }

  static Task<void> take(HookTest* self, net::HttpExchange* exchange) {
    self->posted_.push_back(exchange->request());
    exchange->respond(self->answer_);
    co_return;
  }

  net::Router router_;
  net::test::ShardThread thread_;
  std::unique_ptr<FakeHost> host_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<HookMount> mount_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<HookChannel> channel_;
  std::uint16_t port_ = 0;
  net::HttpResponse answer_ = net::HttpResponse::json(200, R"({"id": "their-5"})");
  std::vector<net::HttpRequest> posted_;
};

}  // namespace sluice::hook::test
