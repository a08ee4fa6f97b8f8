#pragma once
// A daemon in small: real store, gateway, HTTP server and channel, on a shard of its own, with an
// agent that tests hold by the hand. It can crash and start again on the same files.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "channels/http/channel.h"
#include "gateway/gateway.h"
#include "net/router.h"
#include "net/sse.h"
#include "net/websocket_fixture.h"
#include "observe/memory_logger.h"
#include "store/engine.h"
#include "store/threaded_store.h"

namespace sluice::http::test {

using net::test::RawSocket;

/// Answers "echo: TEXT", but
///   "hold …"   streams "half", waits for release(), and answers "half and half"
///   "again …"  streams "first try", waits for release(), fails; the next attempt streams and
///              answers "second try"
///   "big …"    answers 64 KiB
class HeldAgent : public Agent {
 public:
  explicit HeldAgent(Loop& loop) : released(loop) {}
  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override {
    const std::string text = request.text();
    ++calls;
    if (text.starts_with("hold")) {
      sink.delta("half");
      co_await released.wait();
      sink.delta(" and half");
      co_return AgentReply{"half and half", std::nullopt, {}, {}};
    }
    if (text.starts_with("again")) {
      if (request.attempt == 1) {
        sink.delta("first try");
        co_await released.wait();
        co_return Error(ErrorKind::kUnavailable, "on purpose", ErrorSource::kPeer,
                        Retry::with_backoff());
      }
      sink.delta("second try");
      co_return AgentReply{"second try", std::nullopt, {}, {}};
    }
    if (text.starts_with("big"))
      co_return AgentReply{std::string(65'536, 'b'), std::nullopt, {}, {}};
    co_return AgentReply{"echo: " + text, std::nullopt, {}, {}};
  }

  Event released;
  int calls = 0;

 private:
  const AgentInfo info_{"agent", "test", OnInterrupt::kRerun, 32, std::chrono::seconds(60)};
};

/// "Bearer NAME", or the cookie NAME, is the person NAME; "robot" may everything, "nobody" is
/// refused.
class NameTokens : public Authenticator {
 public:
  Result<Caller> identify(const net::HttpRequest& request) override {
    if (const auto cookie = request.headers.get("cookie")) {
      return Caller{std::string(*cookie), false, false};
    }
    std::string_view token = request.headers.get("authorization").value_or("");
    if (!token.starts_with("Bearer ") || token == "Bearer nobody") {
      return Error(ErrorKind::kUnauthenticated, "a bearer token is needed", ErrorSource::kPeer);
    }
    token.remove_prefix(7);
    const bool robot = token == "robot";
    return Caller{std::string(token), robot, robot};
  }
};

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
  boost::json::value json() const { return boost::json::parse(body); }
  std::int64_t number(const char* key) const { return json().at(key).as_int64(); }
  std::string text(const char* key) const { return std::string(json().at(key).as_string()); }
};

/// Reads server-sent events over HTTP/1.0, whose bodies are not chunked.
class EventReader {
 public:
  explicit EventReader(RawSocket socket) : socket_(std::move(socket)) {
    head = socket_.read_until("\r\n\r\n");
  }
  /// The next event that is not of these kinds; empty at the stream's end.
  net::SseEvent next() {
    while (events_.empty()) {
      const std::string some = socket_.read_until("\n\n");
      if (some.empty()) return {"", "", ""};
      EXPECT_TRUE(parser_.put(some, events_));
    }
    net::SseEvent event = std::move(events_.front());
    events_.erase(events_.begin());
    if (!event.id.empty()) last_id = event.id;
    return event;
  }
  net::SseEvent next(std::string_view kind) {
    for (;;) {
      net::SseEvent event = next();
      if (event.event == kind || event.event.empty()) return event;
    }
  }
  std::string line_text() {
    const net::SseEvent event = next("message");
    if (event.event.empty()) return "(the stream ended)";
    return std::string(boost::json::parse(event.data).at("text").as_string());
  }
  /// Texts of lines until one is this.
  std::vector<std::string> lines_until(std::string_view last) {
    std::vector<std::string> lines;
    do {
      lines.push_back(line_text());
    } while (lines.back() != last && lines.back() != "(the stream ended)");
    return lines;
  }
  RawSocket& socket() { return socket_; }
  std::string head;
  std::string last_id;

 private:
  RawSocket socket_;
  net::SseParser parser_{8 << 20};
  std::vector<net::SseEvent> events_;
};

class HttpChannelTest : public ::testing::Test {
 protected:
  HttpChannelTest() {
    core_options_.retry_backoff = milliseconds(1);
    options_.agent = "agent";
    media_options_.disk_low_bytes = 0;
  }
  ~HttpChannelTest() override { crash(); }

  void start() {
    thread_.run([this] { open(); });
    const bool registered = register_channel();
    ASSERT_TRUE(registered);
  }
  /// As after SIGKILL, as far as one process can tell.
  void crash() {
    thread_.run([this] {
      server_.reset();
      mount_.reset();
      router_.reset();
      gateway_.reset();
      library_.reset();
      store_.reset();
    });
  }
  bool register_channel() {
    return thread_.await<bool>([this] { return registered(this); });
  }
  void unregister() {
    thread_.await<bool>([this] { return unregistered(this); });
  }
  void release() {
    thread_.run([this] { agent_->released.set(); });
  }
  void on_shard(std::function<void(Gateway&)> f) {
    thread_.run([this, &f] { f(*gateway_); });
  }
  int agent_calls() {
    int calls = 0;
    thread_.run([&] { calls = agent_->calls; });
    return calls;
  }

  RawSocket connect() { return RawSocket::connect(port_); }
  Answer request(std::string_view method, std::string_view path, std::string_view token,
                 std::string_view body = {}, std::string_view more_headers = {}) {
    RawSocket socket = connect();
    socket.send(format(method, path, token, body, more_headers));
    return read(socket);
  }
  static std::string format(std::string_view method, std::string_view path, std::string_view token,
                            std::string_view body, std::string_view more_headers) {
    std::string out(method);
    out.append(" ").append(path).append(" HTTP/1.1\r\nHost: localhost\r\n");
    if (!token.empty()) out.append("Authorization: Bearer ").append(token).append("\r\n");
    out.append(more_headers);
    if (!body.empty()) {
      if (more_headers.find("Content-Type") == std::string_view::npos)
        out.append("Content-Type: application/json\r\n");
      out.append("Content-Length: " + std::to_string(body.size()) + "\r\n");
    }
    return out.append("\r\n").append(body);
  }
  static Answer read(RawSocket& socket) {
    const std::string all = socket.read_response();
    Answer answer;
    const std::size_t end = all.find("\r\n\r\n");
    if (end == std::string::npos) return answer;
    answer.head = all.substr(0, end + 2);
    answer.body = all.substr(end + 4);
    answer.status = std::stoi(answer.head.substr(9, 3));
    return answer;
  }
  Answer post(std::string_view token, std::string_view body) {
    return request("POST", "/v1/conversations/main/messages", token, body);
  }
  Answer say(std::string_view token, std::string_view id, std::string_view text) {
    return post(token,
                "{\"id\":\"" + std::string(id) + "\",\"text\":\"" + std::string(text) + "\"}");
  }
  EventReader follow(std::string_view token, std::string_view after = "0",
                     std::string_view chat = "main") {
    RawSocket socket = connect();
    socket.send("GET /v1/conversations/" + std::string(chat) + "/events HTTP/1.0\r\n" +
                "Host: localhost\r\nAuthorization: Bearer " + std::string(token) +
                "\r\nLast-Event-ID: " + std::string(after) + "\r\n\r\n");
    return EventReader(std::move(socket));
  }

  net::test::WebSocketClient follow_by_socket(const std::string& token,
                                              const std::string& query = "?after=0",
                                              const std::string& headers = {}) {
    return net::test::WebSocketClient(
        port_, "/v1/conversations/main/socket" + query, {},
        (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") + headers);
  }

  std::string file(const std::string& name) { return directory_.file(name); }
  std::unique_ptr<media::Library>& library() { return library_; }
  net::test::ShardThread& thread() { return thread_; }

  CoreOptions core_options_;
  HttpChannelOptions options_;
  media::LibraryOptions media_options_;
  MemoryLogger log_;
  Metrics metrics_;

 private:
  void open() {
    Shard& shard = thread_.shard();
    StoreOptions where;
    where.directory = directory_.file("store");
    where.now = shard.wall();
    auto engine = SqliteEngine::open(where);
    ASSERT_TRUE(engine) << engine.error().to_string();
    Recovered recovered = std::move((*engine)->recovered());
    const HashKey key = (*engine)->hash_key();
    ThreadedStoreOptions threads;
    threads.clock = &clock_;
    threads.log = &log_;
    threads.metrics = &metrics_;
    auto store = ThreadedStore::start(shard, std::move(*engine), std::move(threads));
    ASSERT_TRUE(store) << store.error().to_string();
    store_ = std::move(*store);
    gateway_ = std::make_unique<Gateway>(
        Gateway::Parts{shard, *store_, log_, metrics_, key, {}, {}}, core_options_);
    gateway_->recover(std::move(recovered));
    auto agent = std::make_unique<HeldAgent>(shard);
    agent_ = agent.get();
    ASSERT_TRUE(gateway_->add_agent(std::move(agent)));
    auto library =
        media::Library::open(shard, metrics_, key, directory_.file("store/media"), media_options_);
    ASSERT_TRUE(library) << library.error().to_string();
    library_ = std::move(*library);
    router_ = std::make_unique<net::Router>();
    mount_ = std::make_unique<HttpMount>(*router_, tokens_);
    net::HttpServerHooks hooks;
    router_->attach(hooks);
    server_ = std::make_unique<net::HttpServer>(shard, net::HttpServerOptions{}, std::move(hooks));
    const auto bound = server_->listen_tcp("127.0.0.1", 0);
    ASSERT_TRUE(bound);
    port_ = bound->port;
  }
  static Task<bool> registered(HttpChannelTest* self) {
    auto channel = std::make_unique<HttpChannel>("http", "http", self->options_, *self->mount_,
                                                 self->metrics_, self->library_.get());
    const Result<void> ok = co_await self->gateway_->register_channel(std::move(channel));
    co_return ok.has_value();
  }
  static Task<bool> unregistered(HttpChannelTest* self) {
    const Result<void> ok = co_await self->gateway_->unregister("http");
    co_return ok.has_value();
  }

  net::test::TempDir directory_;
  SystemClock clock_;
  NameTokens tokens_;
  net::test::ShardThread thread_;
  std::unique_ptr<ThreadedStore> store_;
  std::unique_ptr<media::Library> library_;
  std::unique_ptr<Gateway> gateway_;
  HeldAgent* agent_ = nullptr;
  std::unique_ptr<net::Router> router_;
  std::unique_ptr<HttpMount> mount_;
  std::unique_ptr<net::HttpServer> server_;
  std::uint16_t port_ = 0;
};

}  // namespace sluice::http::test
