#pragma once
// A daemon in small: real store, gateway, HTTP server and one face, on a shard of its own, with an
// agent that tests hold by the hand. It can crash and start again on the same files.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/gateway.h"
#include "gateway/message_json.h"
#include "media/library.h"
#include "net/net_fixture.h"
#include "net/router.h"
#include "net/sse.h"
#include "observe/memory_logger.h"
#include "store/engine.h"
#include "store/threaded_store.h"

namespace sluice::faces::test {

using net::test::RawSocket;

/// Answers "echo: TEXT", but
///   "hold …"   streams "half", waits for release(), and answers "half and half"
///   "again …"  streams "first try", waits for release(), fails; the next attempt answers
///              "second try"
///   "quick …"  fails at once; the next attempt streams and answers "second try"
///   "down …"   fails as a service does that is away, "mine …" as we do
///   "split …"  streams "ä" byte by byte, and answers it
///   "big …"    answers 64 KiB
class HeldAgent : public Agent {
 public:
  HeldAgent(Loop& loop, OnInterrupt on_interrupt)
      : released(loop), info_{"agent", "test", on_interrupt, 32, std::chrono::seconds(60)} {}
  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override {
    const std::string text = request.text();
    texts.push_back(text);
    attachments.push_back(parse_extra(request.messages.back()->extra).attachments);
    const auto begins = [&text](std::string_view word) { return text.starts_with(word); };
    if (begins("hold")) {
      sink.delta("half");
      co_await released.wait();
      sink.delta(" and half");
      co_return AgentReply{"half and half", std::nullopt, {}, {}};
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
      co_return AgentReply{"second try", std::nullopt, {}, {}};
    }
    if (begins("down")) co_return Error(ErrorKind::kUnavailable, "away", ErrorSource::kPeer);
    if (begins("mine")) co_return Error(ErrorKind::kInternal, "a secret", ErrorSource::kSelf);
    if (begins("split")) {
      sink.delta("\xC3");
      sink.delta("\xA4");
      co_return AgentReply{"\xC3\xA4", std::nullopt, {}, {}};
    }
    if (begins("big")) co_return AgentReply{std::string(65'536, 'b'), std::nullopt, {}, {}};
    co_return AgentReply{"echo: " + text, std::nullopt, {}, {}};
  }

  Event released;
  std::vector<std::string> texts;  // of each call
  std::vector<std::vector<std::string>> attachments;

 private:
  const AgentInfo info_;
};

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
  boost::json::value json() const { return boost::json::parse(body); }
};

/// Reads events over HTTP/1.0, whose bodies are not chunked.
class EventReader {
 public:
  explicit EventReader(RawSocket socket) : socket_(std::move(socket)) {
    head = socket_.read_until("\r\n\r\n");
  }
  /// The next event; one without a kind at the stream's end.
  net::SseEvent next() {
    while (events_.empty()) {
      const std::string some = socket_.read_until("\n\n");
      if (some.empty()) return {"", "", ""};
      EXPECT_TRUE(parser_.put(some, events_));
    }
    net::SseEvent event = std::move(events_.front());
    events_.erase(events_.begin());
    return event;
  }
  RawSocket& socket() { return socket_; }
  std::string head;

 private:
  RawSocket socket_;
  net::SseParser parser_{8 << 20};
  std::vector<net::SseEvent> events_;
};

/// Derived classes mount their face on a router, and make its channel. They crash() in their
/// destructors, while what they own is there.
class FaceTest : public ::testing::Test {
 protected:
  explicit FaceTest(std::string account, OnInterrupt on_interrupt = OnInterrupt::kAsk)
      : account_(std::move(account)), on_interrupt_(on_interrupt) {
    core_options_.retry_backoff = milliseconds(1);
    media_options_.disk_low_bytes = 0;
  }

  virtual void mount(net::Router& router) = 0;
  virtual std::unique_ptr<Channel> make_channel(Shard& shard) = 0;
  /// Gives up what belongs to the router and to the shard.
  virtual void unmount() = 0;

  void start() {
    thread_.run([this] { open(); });
    ASSERT_TRUE(register_channel());
  }
  bool register_channel() {
    return thread_.await<bool>([this] { return registered(this); });
  }
  /// As after SIGKILL, as far as one process can tell.
  void crash() {
    thread_.run([this] {
      server_.reset();
      router_.reset();
      gateway_.reset();
      unmount();
      library_.reset();
      store_.reset();
    });
  }
  void unregister() {
    thread_.await<bool>([this] { return unregistered(this); });
  }
  void release() {
    thread_.run([this] { agent_->released.set(); });
  }
  void on_shard(const std::function<void(Gateway&)>& f) {
    thread_.run([this, &f] { f(*gateway_); });
  }
  std::uint16_t port() const { return port_; }
  /// Asks again and again; what is waited for has nothing to tell when it is so.
  template <class F>
  void wait_until(F holds) {
    constexpr int kMost = 1'000'000;  // half a minute and more
    for (int i = 0; !holds(); ++i) {
      ASSERT_LT(i, kMost);
      thread_.run([] {});
    }
  }
  void wait_for_agent_calls(std::size_t count) {
    wait_until([this, count] { return agent_texts().size() == count; });
  }
  std::vector<std::string> agent_texts() {
    std::vector<std::string> texts;
    thread_.run([&] { texts = agent_->texts; });
    return texts;
  }
  /// Ids, of each call.
  std::vector<std::vector<std::string>> agent_attachments() {
    std::vector<std::vector<std::string>> ids;
    thread_.run([&] { ids = agent_->attachments; });
    return ids;
  }
  std::string image(const std::string& id) {
    const auto bytes = thread_.await<Result<std::string>>(
        [&] { return library_->read(*media::Id::parse(id), 0, 64 << 20); });
    return bytes ? *bytes : "(" + bytes.error().to_string() + ")";
  }
  media::Library& library() { return *library_; }
  net::test::ShardThread& thread() { return thread_; }
  std::string file(const std::string& name) { return directory_.file(name); }

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

  UnixMillis wall() {
    UnixMillis now;
    thread_.run([&] { now = thread_.shard().wall(); });
    return now;
  }

  CoreOptions core_options_;
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
    auto agent = std::make_unique<HeldAgent>(shard, on_interrupt_);
    agent_ = agent.get();
    ASSERT_TRUE(gateway_->add_agent(std::move(agent)));
    auto library =
        media::Library::open(shard, metrics_, key, directory_.file("store/media"), media_options_);
    ASSERT_TRUE(library) << library.error().to_string();
    library_ = std::move(*library);
    router_ = std::make_unique<net::Router>();
    mount(*router_);
    net::HttpServerHooks hooks;
    router_->attach(hooks);
    server_ = std::make_unique<net::HttpServer>(shard, net::HttpServerOptions{}, std::move(hooks));
    const auto bound = server_->listen_tcp("127.0.0.1", 0);
    ASSERT_TRUE(bound);
    port_ = bound->port;
  }
  static Task<bool> registered(FaceTest* self) {
    auto channel = self->make_channel(self->thread_.shard());
    const Result<void> ok = co_await self->gateway_->register_channel(std::move(channel));
    co_return ok.has_value();
  }
  static Task<bool> unregistered(FaceTest* self) {
    const Result<void> ok = co_await self->gateway_->unregister(self->account_);
    co_return ok.has_value();
  }

  const std::string account_;
  const OnInterrupt on_interrupt_;
  net::test::TempDir directory_;
  SystemClock clock_;
  net::test::ShardThread thread_;
  std::unique_ptr<ThreadedStore> store_;
  std::unique_ptr<media::Library> library_;
  std::unique_ptr<Gateway> gateway_;
  HeldAgent* agent_ = nullptr;
  std::unique_ptr<net::Router> router_;
  std::unique_ptr<net::HttpServer> server_;
  std::uint16_t port_ = 0;
};

}  // namespace sluice::faces::test
