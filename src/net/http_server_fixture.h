#pragma once
// An HttpServer on a shard's thread whose handlers do what tests need.

#include <algorithm>
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "net/http_server.h"
#include "net/net_fixture.h"
#include "net/sse.h"
#include "runtime/wait.h"

namespace sluice::net::test {

/// Paths: /echo answers method, path and body; /big answers 1 MiB; /hold answers when open_gate()
/// is called; /stream sends three pieces; /endless streams until cancelled; /flood streams without
/// pause; /throw throws; /nothing does not answer; /who tells the peer; /upload reads its body
/// piece by piece, and answers its size; /upload-held waits for open_gate() before it reads;
/// /upload-refused reads one piece and answers 415.
class HttpServerFixture {
 public:
  explicit HttpServerFixture(HttpServerOptions options = {}, HttpGate gate = {}) {
    thread_.run([&] {
      hold_.emplace(thread_.shard());
      HttpServerHooks hooks;
      hooks.handler = [this](HttpExchange& exchange) { return handle(this, &exchange); };
      hooks.gate = std::move(gate);
      hooks.on_access = [this](const HttpAccess& access) {
        const std::lock_guard lock(mutex_);
        statuses_.push_back(access.status);
        delivered_.push_back(access.delivered);
      };
      hooks.on_error = [this](const Error& error) {
        const std::lock_guard lock(mutex_);
        errors_.push_back(error.to_string());
      };
      server_ = std::make_unique<HttpServer>(thread_.shard(), options, std::move(hooks));
    });
  }
  ~HttpServerFixture() {
    thread_.run([this] {
      server_.reset();
      hold_.reset();
    });
  }

  ShardThread& thread() { return thread_; }
  HttpServer& server() { return *server_; }
  std::uint16_t listen() {
    std::uint16_t port = 0;
    thread_.run([&] {
      const auto bound = server_->listen_tcp("127.0.0.1", 0);
      port = bound ? bound->port : 0;
    });
    return port;
  }
  void open_gate() {
    thread_.run([this] { hold_->set(); });
  }
  HttpServerStats stats() {
    HttpServerStats stats;
    thread_.run([&] { stats = server_->stats(); });
    return stats;
  }
  /// On the shard, inside eventually().
  HttpServerStats stats_now() const { return server_->stats(); }
  /// Waits, shard round by shard round, until the condition holds on the shard; false after ten
  /// seconds.
  bool eventually(std::function<bool()> condition) {
    return thread_.await<bool>([this, condition] { return poll(this, condition); });
  }
  std::size_t stop(Duration within) {
    return thread_.await<std::size_t>(
        [this, within] { return server_->stop(thread_.shard().now() + within); });
  }
  std::vector<int> statuses() {
    const std::lock_guard lock(mutex_);
    return statuses_;
  }
  std::vector<bool> delivered() {
    const std::lock_guard lock(mutex_);
    return delivered_;
  }
  std::vector<std::string> errors() {
    const std::lock_guard lock(mutex_);
    return errors_;
  }

  std::atomic<int> started{0};    // handlers
  std::atomic<int> finished{0};   // to their end
  std::atomic<int> destroyed{0};  // either way
  // Of /upload.
  std::atomic<std::size_t> uploaded{0};
  std::atomic<std::size_t> largest_piece{0};
  std::atomic<int> upload_error{-1};  // an ErrorKind

 private:
  struct Count {
    std::atomic<int>& destroyed;
    ~Count() { ++destroyed; }
  };
  static Task<void> handle(HttpServerFixture* self, HttpExchange* exchange);
  static Task<void> take_upload(HttpServerFixture* self, HttpExchange* exchange);
  static Task<bool> poll(HttpServerFixture* self, std::function<bool()> condition) {
    const MonoTime give_up = self->thread_.shard().now() + std::chrono::seconds(10);
    while (!condition()) {
      if (self->thread_.shard().now() > give_up) co_return false;
      co_await yield(self->thread_.shard());
    }
    co_return true;
  }

  std::mutex mutex_;
  std::vector<int> statuses_;
  std::vector<bool> delivered_;
  std::vector<std::string> errors_;
  ShardThread thread_;
  std::optional<Event> hold_;
  std::unique_ptr<HttpServer> server_;
};

inline Task<void> HttpServerFixture::take_upload(HttpServerFixture* self, HttpExchange* exchange) {
  const std::string path = exchange->request().path;
  if (path == "/upload-held") co_await self->hold_->wait();
  std::size_t size = 0;
  for (;;) {
    const Result<std::string> piece = co_await exchange->read_body();
    if (!piece) {
      self->upload_error = static_cast<int>(piece.error().kind());
      exchange->respond(HttpResponse::problem(status_of(piece.error().kind()), "x", "x"));
      co_return;
    }
    if (piece->empty()) break;
    size += piece->size();
    self->largest_piece = std::max(self->largest_piece.load(), piece->size());
    self->uploaded = size;
    if (path == "/upload-refused") {
      exchange->respond(HttpResponse::problem(415, "x", "x"));
      co_return;
    }
  }
  exchange->respond(HttpResponse::text(200, std::to_string(size)));
}

inline Task<void> HttpServerFixture::handle(HttpServerFixture* self, HttpExchange* exchange) {
  Count count{self->destroyed};
  ++self->started;
  const HttpRequest& request = exchange->request();
  const std::string path = request.path;
  if (path == "/hold") {
    co_await self->hold_->wait();
  } else if (path == "/hold-cancellable") {
    exchange->cancel_when_gone();
    co_await self->hold_->wait();
  } else if (path == "/throw") {
    throw std::runtime_error("on purpose");
  }
  if (path.starts_with("/upload")) {
    co_await take_upload(self, exchange);
  } else if (path == "/stream") {
    auto sent = co_await exchange->start_stream(HttpResponse::text(200, "one,"));
    if (sent) sent = co_await exchange->write("two,");
    if (sent) sent = co_await exchange->write("three");
  } else if (path == "/endless") {
    exchange->cancel_when_gone();
    auto sent = co_await exchange->start_stream(HttpResponse::text(200, "begun"));
    co_await self->hold_->wait();
  } else if (path == "/sse") {
    auto sent = co_await exchange->start_stream(sse_response());
    for (int i = 1; i <= 3 && sent; ++i) {
      sent = co_await exchange->write(
          format_sse({"tick", "line\nof " + std::to_string(i), std::to_string(i)}));
      if (sent) sent = co_await exchange->write(std::string(kSseHeartbeat));
    }
  } else if (path == "/flood") {
    auto sent = co_await exchange->start_stream(HttpResponse::text(200, ""));
    while (sent) sent = co_await exchange->write(std::string(64 * 1024, 'x'));
  } else if (path == "/big") {
    exchange->respond(HttpResponse::text(200, std::string(1024 * 1024, 'b')));
  } else if (path == "/who") {
    const auto& peer = request.unix_peer;
    exchange->respond(HttpResponse::text(
        200, request.peer + (request.tls ? " tls" : "") +
                 (peer ? " " + std::to_string(peer->uid) + " " + std::to_string(peer->pid) : "")));
  } else if (path != "/nothing") {
    exchange->respond(HttpResponse::text(200, request.method + " " + path + " " + request.body));
  }
  ++self->finished;
}

}  // namespace sluice::net::test
