#pragma once
// A daemon in small: real store, gateway, HTTP server and OpenAI face, on a shard of its own, with
// an agent that tests hold by the hand. It can crash and start again on the same files.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "channels/openai/channel.h"
#include "gateway/gateway.h"
#include "net/net_fixture.h"
#include "net/router.h"
#include "net/sse.h"
#include "observe/memory_logger.h"
#include "store/engine.h"
#include "store/threaded_store.h"

namespace sluice::openai::test {

using net::test::RawSocket;

/// Answers "echo: TEXT", but
///   "hold …"   streams "half", waits for release(), and answers "half and half"
///   "again …"  streams "first try", waits for release(), fails; the next attempt answers
///              "second try"
///   "quick …"  fails at once; the next attempt streams and answers "second try"
///   "down …"   fails as a service does that is away, "mine …" as we do
///   "split …"  streams "ä" byte by byte, and answers it
class HeldAgent : public Agent {
 public:
  explicit HeldAgent(Loop& loop) : released(loop) {}
  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override {
    const std::string text = request.text();
    texts.push_back(text);
    const auto begins = [&text](std::string_view word) { return text.starts_with(word); };
    if (begins("hold")) {
      sink.delta("half");
      co_await released.wait();
      sink.delta(" and half");
      co_return AgentReply{"half and half", std::nullopt};
    }
    if ((begins("again") || begins("quick")) && request.attempt == 1) {
      if (begins("again")) {
        sink.delta("first try");
        co_await released.wait();
      }
      co_return Error(ErrorKind::kUnavailable, "on purpose", ErrorSource::kPeer,
                      Retry::with_backoff());
    }
    if (begins("again") || begins("quick")) {
      sink.delta("second try");
      co_return AgentReply{"second try", std::nullopt};
    }
    if (begins("down")) co_return Error(ErrorKind::kUnavailable, "away", ErrorSource::kPeer);
    if (begins("mine")) co_return Error(ErrorKind::kInternal, "a secret", ErrorSource::kSelf);
    if (begins("split")) {
      sink.delta("\xC3");
      sink.delta("\xA4");
      co_return AgentReply{"\xC3\xA4", std::nullopt};
    }
    co_return AgentReply{"echo: " + text, std::nullopt};
  }

  Event released;
  std::vector<std::string> texts;  // of each call

 private:
  const AgentInfo info_{"agent", "test", OnInterrupt::kAsk, 32, std::chrono::seconds(60)};
};

/// "Bearer NAME" is the person NAME; "robot" speaks for others, "nobody" is refused.
class NameTokens : public Callers {
 public:
  Result<Caller> identify(const net::HttpRequest& request) override {
    std::string_view token = request.headers.get("authorization").value_or("");
    if (!token.starts_with("Bearer ") || token == "Bearer nobody") {
      return Error(ErrorKind::kUnauthenticated, "a bearer token is needed", ErrorSource::kPeer);
    }
    token.remove_prefix(7);
    return Caller{std::string(token), token == "robot"};
  }
};

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
  boost::json::value json() const { return boost::json::parse(body); }
  std::string content() const {
    return std::string(json().at("choices").at(0).at("message").at("content").as_string());
  }
  std::string code() const { return std::string(json().at("error").at("code").as_string()); }
};

/// Reads chunks over HTTP/1.0, whose bodies are not chunked.
class ChunkReader {
 public:
  explicit ChunkReader(RawSocket socket) : socket_(std::move(socket)) {
    head = socket_.read_until("\r\n\r\n");
  }
  /// The data of the next event; empty at the stream's end.
  std::string next() {
    while (events_.empty()) {
      const std::string some = socket_.read_until("\n\n");
      if (some.empty()) return {};
      EXPECT_TRUE(parser_.put(some, events_));
    }
    std::string data = std::move(events_.front().data);
    events_.erase(events_.begin());
    return data;
  }
  /// "content" of the next chunk's delta, "(REASON)" of the last, "[DONE]", "!CODE" of an error.
  std::string next_content() {
    const std::string data = next();
    if (data.empty() || data == "[DONE]") return data.empty() ? "(the stream ended)" : data;
    const boost::json::value value = boost::json::parse(data);
    if (const auto* error = value.as_object().if_contains("error"))
      return "!" + std::string(error->at("code").as_string());
    if (value.at("choices").as_array().empty()) return "(usage)";
    const boost::json::value& choice = value.at("choices").at(0);
    if (!choice.at("finish_reason").is_null())
      return "(" + std::string(choice.at("finish_reason").as_string()) + ")";
    return std::string(choice.at("delta").at("content").as_string());
  }
  /// Everything to the end, in words of next_content().
  std::vector<std::string> rest() {
    std::vector<std::string> all;
    do {
      all.push_back(next_content());
    } while (all.back() != "[DONE]" && all.back() != "(the stream ended)");
    return all;
  }
  RawSocket& socket() { return socket_; }
  std::string head;

 private:
  RawSocket socket_;
  net::SseParser parser_;
  std::vector<net::SseEvent> events_;
};

class OpenAiFaceTest : public ::testing::Test {
 protected:
  OpenAiFaceTest() {
    core_options_.retry_backoff = milliseconds(1);
    options_.agent = "agent";
    options_.models = {"gpt-4o"};
  }
  ~OpenAiFaceTest() override { crash(); }

  void start() {
    thread_.run([this] { open(); });
    const bool registered = thread_.await<bool>([this] { return register_channel(this); });
    ASSERT_TRUE(registered);
  }
  /// As after SIGKILL, as far as one process can tell.
  void crash() {
    thread_.run([this] {
      server_.reset();
      mount_.reset();
      router_.reset();
      gateway_.reset();
      store_.reset();
    });
  }
  void unregister() {
    thread_.await<bool>([this] { return unregister_channel(this); });
  }
  void release() {
    thread_.run([this] { agent_->released.set(); });
  }
  std::uint16_t port() const { return port_; }
  /// Until so many requests wait for their answers.
  void wait_for_requests(std::int64_t count) {
    wait_until([this, count] {
      return metrics_.value("sluice_openai_requests", {{"account", "openai"}}) == count;
    });
  }
  void wait_for_agent_calls(std::size_t count) {
    wait_until([this, count] { return agent_texts().size() == count; });
  }
  std::vector<std::string> agent_texts() {
    std::vector<std::string> texts;
    thread_.run([&] { texts = agent_->texts; });
    return texts;
  }

  /// One message of the user's, and further fields.
  static std::string body(std::string_view text, std::string_view more = {}) {
    std::string out = R"({"model":"agent","messages":[{"role":"user","content":")";
    out.append(text).append("\"}]");
    if (!more.empty()) out.append(",").append(more);
    return out + "}";
  }
  static std::string format(std::string_view first_line, std::string_view token,
                            std::string_view body, std::string_view headers) {
    std::string out(first_line);
    out.append("\r\nHost: localhost\r\n");
    if (!token.empty()) out.append("Authorization: Bearer ").append(token).append("\r\n");
    out.append(headers);
    if (!body.empty()) {
      if (headers.find("Content-Type") == std::string_view::npos)
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
  RawSocket send(std::string_view body, std::string_view headers = {},
                 std::string_view token = "ann") {
    RawSocket socket = RawSocket::connect(port_);
    socket.send(format("POST /v1/chat/completions HTTP/1.1", token, body, headers));
    return socket;
  }
  Answer post(std::string_view body, std::string_view headers = {},
              std::string_view token = "ann") {
    RawSocket socket = send(body, headers, token);
    return read(socket);
  }
  Answer get(std::string_view path, std::string_view token = "ann") {
    RawSocket socket = RawSocket::connect(port_);
    socket.send(format("GET " + std::string(path) + " HTTP/1.1", token, {}, {}));
    return read(socket);
  }
  ChunkReader stream(std::string_view text, std::string_view headers = {},
                     std::string_view more = {}) {
    RawSocket socket = RawSocket::connect(port_);
    std::string fields = R"("stream":true)";
    if (!more.empty()) fields.append(",").append(more);
    socket.send(format("POST /v1/chat/completions HTTP/1.0", "ann", body(text, fields), headers));
    return ChunkReader(std::move(socket));
  }

  CoreOptions core_options_;
  OpenAiFaceOptions options_;
  MemoryLogger log_;
  Metrics metrics_;

 private:
  /// Asks the shard again and again; it has nothing to tell when it is so.
  template <class F>
  void wait_until(F holds) {
    constexpr int kMost = 1'000'000;  // half a minute and more
    for (int i = 0; !holds(); ++i) {
      ASSERT_LT(i, kMost);
      thread_.run([] {});
    }
  }
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
    router_ = std::make_unique<net::Router>();
    mount_ = OpenAiMount::add_to(*router_, std::make_unique<NameTokens>());
    net::HttpServerHooks hooks;
    router_->attach(hooks);
    server_ = std::make_unique<net::HttpServer>(shard, net::HttpServerOptions{}, std::move(hooks));
    const auto bound = server_->listen_tcp("127.0.0.1", 0);
    ASSERT_TRUE(bound);
    port_ = bound->port;
  }
  static Task<bool> register_channel(OpenAiFaceTest* self) {
    auto channel =
        std::make_unique<OpenAiChannel>("openai", self->options_, self->mount_, self->metrics_);
    const Result<void> ok = co_await self->gateway_->register_channel(std::move(channel));
    co_return ok.has_value();
  }
  static Task<bool> unregister_channel(OpenAiFaceTest* self) {
    const Result<void> ok = co_await self->gateway_->unregister("openai");
    co_return ok.has_value();
  }

  net::test::TempDir directory_;
  SystemClock clock_;
  net::test::ShardThread thread_;
  std::unique_ptr<ThreadedStore> store_;
  std::unique_ptr<Gateway> gateway_;
  HeldAgent* agent_ = nullptr;
  std::unique_ptr<net::Router> router_;
  std::shared_ptr<OpenAiMount> mount_;
  std::unique_ptr<net::HttpServer> server_;
  std::uint16_t port_ = 0;
};

}  // namespace sluice::openai::test
