// CPU of the serving thread for one message accepted over HTTP, against a loop that does nothing
// but read a request and write as long an answer.

#include <atomic>
#include <thread>

#include <fmt/core.h>

#include "agents/echo/echo_agent.h"
#include "base/assert.h"
#include "channels/http/channel.h"
#include "epoll_server.h"
#include "gateway/gateway.h"
#include "http_load.h"
#include "measure.h"
#include "net/http_server.h"
#include "null_store.h"
#include "sections.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kConnections = 64;
constexpr std::string_view kToken = "Authorization: Bearer ann\r\n";

class OneToken : public http::Authenticator {
 public:
  Result<http::Caller> identify(const net::HttpRequest& request) override {
    const std::string_view token = request.headers.get("authorization").value_or("");
    if (token != "Bearer ann") {
      return Error(ErrorKind::kUnauthenticated, "a bearer token is needed", ErrorSource::kPeer);
    }
    return http::Caller{.person = "ann", .all_conversations = false, .names_senders = false};
  }
};

/// Never answers: what is measured is acceptance.
class SilentAgent : public Agent {
 public:
  explicit SilentAgent(Loop& loop) : never_(loop) {}
  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest, DeltaSink&) override {
    co_await never_.wait();
    co_return AgentReply{};
  }

 private:
  const AgentInfo info_{"echo", "silent", OnInterrupt::kRerun, 32, std::chrono::hours(1)};
  Event never_;
};

/// Gateway, channel and server on one shard, without a disk.
class HttpWorld {
 public:
  explicit HttpWorld(bool with_turns) : shard_(clock_, 3), store_(shard_), tasks_(shard_) {
    CoreOptions core;
    core.pending_per_account = core.pending_per_person = core.pending_per_conversation = 50'000'000;
    gateway_.emplace(Gateway::Parts{.loop = shard_,
                                    .store = store_,
                                    .log = log_,
                                    .metrics = metrics_,
                                    .hash_key = {},
                                    .free_disk_bytes = nullptr,
                                    .on_storage_failed = nullptr},
                     core);
    Recovered nothing;
    nothing.generation = 1;
    gateway_->recover(std::move(nothing));
    std::unique_ptr<Agent> agent;
    if (with_turns) {
      agent = std::make_unique<EchoAgent>("echo", EchoOptions{}, shard_);
    } else {
      agent = std::make_unique<SilentAgent>(shard_);
    }
    SLUICE_ASSERT(gateway_->add_agent(std::move(agent)).has_value());
    mount_.emplace(router_, tokens_);
    net::HttpServerHooks hooks;
    router_.attach(hooks);
    server_.emplace(shard_, net::HttpServerOptions{}, std::move(hooks));
    const auto bound = server_->listen_tcp("127.0.0.1", 0);
    SLUICE_ASSERT(bound.has_value());
    port_ = bound->port;
    tasks_.spawn("open", open());
  }
  ~HttpWorld() {
    server_.reset();
    gateway_.reset();
  }
  std::uint16_t port() const { return port_; }
  void run() {
    shard_.io().restart();
    shard_.run();
  }
  void stop() {
    shard_.post_from_any_thread([this] { shard_.stop(); });
  }

 private:
  Task<void> open() {
    http::HttpChannelOptions options;
    options.agent = "echo";
    auto channel = std::make_unique<http::HttpChannel>("http", "http", options, *mount_, metrics_);
    const Result<void> opened = co_await gateway_->register_channel(std::move(channel));
    SLUICE_ASSERT(opened.has_value());
  }

  SystemClock clock_;
  Shard shard_;
  NullLogger log_;
  Metrics metrics_;
  NullStore store_;
  OneToken tokens_;
  net::Router router_;
  std::optional<Gateway> gateway_;
  std::optional<http::HttpMount> mount_;
  std::optional<net::HttpServer> server_;
  std::uint16_t port_ = 0;
  TaskGroup tasks_;
};

std::string request(std::size_t connection, std::uint64_t number) {
  const std::string body = fmt::format(
      "{{\"id\":\"{:016x}-{}\",\"text\":\"what somebody might say to an agent over HTTP\"}}",
      number * 0x9e3779b97f4a7c15u, connection);
  return fmt::format(
      "POST /v1/conversations/chat-{}/messages HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n"
      "Accept: */*\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
      connection, kToken, body.size(), body);
}

/// Microseconds of the serving thread for each answered request.
template <class Server>
double microseconds(Server& server, HttpLoad& load, double seconds) {
  double cpu = 0;
  std::uint64_t answered = 0;
  {
    std::jthread client([&] {
      answered = load.run(seconds);
      server.stop();
    });
    const double before = thread_cpu_seconds();
    server.run();
    cpu = thread_cpu_seconds() - before;
  }
  return cpu * 1e6 / static_cast<double>(std::max<std::uint64_t>(answered, 1));
}

}  // namespace

std::vector<Row> http(const Scale& scale) {
  HttpWorld accepting(false);
  HttpWorld answering(true);
  EpollServer bare;
  HttpLoad to_accepting(accepting.port(), kConnections, request);
  HttpLoad to_answering(answering.port(), kConnections, request);
  HttpLoad to_bare(bare.port(), kConnections, request);
  // One answer of the real server tells how long the bare one's must be.
  (void)microseconds(accepting, to_accepting, scale.seconds(0.5));
  bare.answer_with(to_accepting.last_answer());
  std::vector<double> ours, with_turn, reference;
  for (int round = 0; round < scale.rounds(7); ++round) {
    ours.push_back(microseconds(accepting, to_accepting, scale.seconds(1)));
    reference.push_back(microseconds(bare, to_bare, scale.seconds(1)));
    with_turn.push_back(microseconds(answering, to_answering, scale.seconds(1)));
  }
  const std::string what =
      fmt::format("{} keep-alive connections, 1 in flight each, store stubbed", kConnections);
  Row turns =
      reported("CPU of a message posted over HTTP and its turn, " + what, median(with_turn), "us");
  turns.reference = median(reference);
  return {at_most("CPU of a message accepted over HTTP, " + what, median(ours), "us",
                  median(reference), 2.5),
          turns};
}

}  // namespace sluice::bench
