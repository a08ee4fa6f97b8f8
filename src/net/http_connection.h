#pragma once
// HttpConnection: one client of an HttpServer, from accept to close. Internal to net;
// shard-confined. Idle it holds its Transport and two small frames: buffers and parser exist only
// during a request.

#include <memory>
#include <string>

#include "net/http_server.h"
#include "net/poller.h"
#include "net/transport.h"
#include "runtime/list.h"
#include "runtime/task_group.h"

namespace sluice::net {

/// What all connections of a server share.
struct HttpServerShared {
  HttpServerShared(Shard& s, HttpServerOptions o, HttpServerHooks h);

  void report(const Error& error) const {
    if (hooks.on_error) hooks.on_error(error);
  }
  /// "Sun, 06 Nov 1994 08:49:37 GMT", formatted once a second.
  std::string_view date();

  Shard& shard;
  HttpServerOptions options;
  HttpServerHooks hooks;
  Poller poller;
  HttpServerStats stats;
  bool stopping = false;
  bool retiring = false;  // no connection is kept for another request
  bool closes() const { return stopping || retiring; }
  List<HttpConnection> connections;
  // Every read goes through here first: no connection has a read buffer of its own.
  static constexpr std::size_t kScratchBytes = 64 * 1024;
  std::unique_ptr<char[]> scratch;

 private:
  std::string date_;
  std::int64_t date_second_ = -1;
};

class HttpConnection : public ListNode {
 public:
  HttpConnection(HttpServerShared& server, std::string peer,
                 std::optional<PeerCredentials> credentials);
  ~HttpConnection();

  Result<void> adopt(int fd) { return transport_.adopt(fd); }
  /// The server is stopping: an idle connection ends, a running exchange is told.
  void wake_for_stop();

  /// The whole life. It owns the connection: destroying the Task cuts the client off.
  static Task<void> serve(std::unique_ptr<HttpConnection> connection,
                          std::shared_ptr<TlsContext> tls);
  /// Answers 503 and closes.
  static Task<void> turn_away(std::unique_ptr<HttpConnection> connection);

 private:
  friend class HttpExchange;
  enum class Fill : unsigned char { kData, kEof, kTimeout, kInterrupted, kFailed };

  Task<Fill> fill(MonoTime deadline);
  Task<bool> wait_for_request();
  /// What became of a request's head and body: all there, answered already, or the connection must
  /// end.
  enum class Received : unsigned char { kWhole, kAnswered, kBroken };

  // Clang may put a callee's frame into its caller's. What is noinline here keeps its own, which
  // goes when it ends: thousands of exchanges wait in run_exchange.
  Task<bool> serve_request();
  [[gnu::noinline]] Task<Received> receive(HttpExchange* exchange);
  Task<bool> read_head(HttpParser* parser);
  Task<bool> pass_gate(HttpParser* parser, HttpExchange* exchange);
  Task<bool> read_body(HttpParser* parser, HttpExchange* exchange);
  Task<bool> say_continue(HttpParser* parser);
  Task<Result<void>> read_more(HttpParser* parser, MonoTime begun);
  void leave_body(HttpExchange* exchange);
  Task<bool> run_exchange(HttpExchange* exchange);
  static Task<void> run_handler(HttpServerShared* server, HttpExchange* exchange, Event* changed);
  [[gnu::noinline]] Task<bool> finish_exchange(HttpExchange* exchange);

  std::string_view unread() const { return std::string_view(pending_).substr(used_); }
  void consume(std::size_t bytes);
  Result<bool> feed(HttpParser& parser);
  [[gnu::noinline]] Task<bool> write_response(HttpExchange* exchange, HttpResponse response);
  Task<void> refuse(HttpRequest* request, int status, std::string detail);
  Task<void> linger();
  std::string head_of(const HttpRequest& request, const HttpResponse& response,
                      std::optional<std::size_t> length) const;
  void access(const HttpRequest& request, int status, bool streamed, bool delivered) const;

  HttpServerShared& server_;
  Event changed_;  // the client hung up, the handler answered or ended, the server stops
  std::string peer_;
  std::optional<PeerCredentials> credentials_;
  std::string pending_;   // read but not used yet: rest of a head, or pipelined requests
  std::size_t used_ = 0;  // of pending_
  MonoTime started_;
  std::uint64_t body_in_ = 0;
  std::uint64_t body_out_ = 0;
  std::uint32_t rounds_ = 0;
  bool keep_alive_ = true;
  bool chunked_ = false;
  bool unread_input_ = false;  // closing now would reset the connection under our answer
  Transport transport_;
};

}  // namespace sluice::net
