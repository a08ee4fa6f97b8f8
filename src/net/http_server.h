#pragma once
// HttpServer: HTTP/1.1 (RFC 9112) over TCP, TLS and Unix sockets for one shard.
//
// A request's handler is a Task of the connection. Clients do not own turns: it runs to its end
// even when its client has gone, unless it says otherwise (cancel_when_gone). Pipelined requests
// are served in order, one at a time. Whatever is over a bound is answered with problem+json (RFC
// 9457) and the connection is closed.
//
// Shard-confined. The server outlives neither its shard nor what its hooks capture.

#include <any>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/endpoint.h"
#include "net/http_parser.h"
#include "net/http_types.h"
#include "net/tls.h"
#include "net/websocket.h"
#include "runtime/shard.h"
#include "runtime/task.h"
#include "runtime/wait.h"

namespace sluice::net {

struct HttpServerOptions {
  std::size_t max_connections = 12'000;  // more are answered 503
  HttpParserLimits limits = {};          // 431 and 413; the gate may change the body's bound
  Duration header_timeout =
      std::chrono::seconds(10);  // a head's first to last byte, a TLS handshake: 408
  Duration body_timeout =
      std::chrono::seconds(30);           // plus a second for each body_min_rate bytes: 408
  std::size_t body_min_rate = 16 * 1024;  // bytes a second
  Duration idle_timeout = std::chrono::seconds(75);   // between requests, and before the first
  Duration stall_timeout = std::chrono::seconds(30);  // a client that reads nothing of its answer
  Duration linger_timeout = std::chrono::seconds(2);  // for a refused client to stop sending
  Duration accept_backoff = std::chrono::milliseconds(100);  // when descriptors have run out
};

class HttpConnection;

/// One request and its answer. Lives as long as its handler.
class HttpExchange {
 public:
  HttpRequest& request() { return request_; }
  const HttpRequest& request() const { return request_; }
  /// What the gate left for the handler, such as who the caller is.
  std::any& context() { return context_; }
  /// What whoever runs the server keeps with the request, such as its guard.
  std::any& attachment() { return attachment_; }
  /// What the router found between the slashes, decoded, in order of the pattern.
  std::vector<std::string>& params() { return params_; }

  /// The next piece, of about 64 KiB at most, of a body that the gate has left to the handler
  /// (GateDecision::stream_body); empty at its end. What is not asked for stays with the client: a
  /// slow handler slows it down. Errors: kTooLarge (over the bound: 413), kInvalidArgument (no
  /// HTTP: 400), kTimeout (slower than body_timeout allows: 408), kUnavailable (the client has
  /// gone). Who answers before the body's end closes the connection behind the answer.
  Task<Result<std::string>> read_body();

  /// Answers with a whole response; once. It is sent without the handler: nobody waits for the
  /// client.
  void respond(HttpResponse response);

  /// Starts an answer of unknown length (server-sent events): status and headers of head; its body
  /// is the first piece. Once, and instead of respond(). Returning from the handler ends the
  /// stream.
  Task<Result<void>> start_stream(HttpResponse head);
  /// Resolves when the kernel has taken all of it: a slow client slows its writer down.
  /// kUnavailable when the client has gone, kTimeout when it read nothing for stall_timeout; then
  /// return.
  Task<Result<void>> write(std::string bytes);

  /// Makes the connection a WebSocket (RFC 6455); once, and instead of respond(). A request that
  /// does not ask for one is answered 426 or 400, and the error says so: return. The connection
  /// ends with the handler.
  Task<Result<std::unique_ptr<WebSocket>>> upgrade(WebSocketOptions options);

  /// Destroys the handler when the client hangs up, and when the server stops; a stream still ends
  /// well formed. A client that only shut down its sending side counts as gone here.
  void cancel_when_gone();
  /// The client hung up. It may have half-closed only, and still read a whole response.
  bool client_gone() const;
  /// Set when the client hangs up or the server stops, for a handler that ends its stream by
  /// itself.
  Event& gone() { return gone_; }
  bool answered() const { return state_ != State::kOpen; }
  /// The handler may be destroyed and the request served from its beginning by somebody else: it
  /// carries an idempotency key by now.
  void set_repeatable() { repeatable_ = true; }
  bool repeatable() const { return repeatable_; }
  /// Set when another process takes the turns over. A stream that it can go on with ends then, by
  /// go_on_elsewhere() and returning.
  Event& handed_over() { return handed_over_; }
  /// where: what is to be asked with the same request for the rest, as the value of kGoOnHeader;
  /// farewell: the stream's last piece if nobody gives it.
  void go_on_elsewhere(std::string where, std::string farewell) {
    goes_on_at_ = std::move(where);
    farewell_ = std::move(farewell);
  }
  const std::string& goes_on_at() const { return goes_on_at_; }
  std::string take_farewell() { return std::exchange(farewell_, {}); }

 private:
  friend class HttpConnection;
  enum class State : unsigned char { kOpen, kResponded, kWritten, kStreaming, kBroken, kUpgraded };
  /// A body that the handler reads.
  struct Body {
    HttpParser parser;
    std::optional<MonoTime> begun;
  };

  HttpExchange(HttpConnection& connection, Loop& loop)
      : connection_(connection), gone_(loop), handed_over_(loop) {}

  HttpConnection& connection_;
  HttpRequest request_;
  std::any context_;
  std::any attachment_;
  std::vector<std::string> params_;
  HttpResponse response_;
  std::unique_ptr<Body> body_;  // null: it is in the request
  Event gone_;
  Event handed_over_;
  std::string goes_on_at_;
  std::string farewell_;
  State state_ = State::kOpen;
  bool writing_ = false;
  bool handler_done_ = false;
  bool cancel_when_gone_ = false;
  bool stream_body_ = false;
  bool repeatable_ = false;
};

/// Asks for the rest of a stream of which the client has a part; what it says is the handler's own.
inline constexpr std::string_view kGoOnHeader = "Sluice-Go-On-At";

using HttpHandler = std::function<Task<void>(HttpExchange&)>;

/// What the gate says about a request whose head was read and whose body was not.
struct GateDecision {
  std::optional<HttpResponse> refusal;      // sent at once; the body is never buffered
  std::optional<std::uint64_t> body_limit;  // bytes, in place of the server's
  bool stream_body = false;                 // the handler reads it as it comes (read_body)
  std::any context;                         // handed to the handler

  static GateDecision pass() { return {}; }
  static GateDecision refuse(HttpResponse response) {
    GateDecision decision;
    decision.refusal.emplace(std::move(response));
    return decision;
  }
};
using HttpGate = std::function<GateDecision(const HttpRequest&)>;

/// One line of an access log; valid during the call.
struct HttpAccess {
  const HttpRequest& request;
  int status;
  std::uint64_t bytes_in;   // of body
  std::uint64_t bytes_out;  // of body
  Duration took;
  bool streamed;
  bool delivered;  // all of it was taken by the kernel
};

struct HttpServerHooks {
  HttpHandler handler;  // needed; an exception that leaves it is reported and answered 500
  HttpGate gate;
  std::function<void(const HttpAccess&)> on_access;
  /// Refused connections and requests, failed handshakes, accept errors, handlers that threw.
  std::function<void(const Error&)> on_error;
};

struct HttpServerStats {
  std::size_t connections = 0;
  std::size_t running = 0;  // exchanges under way
  std::uint64_t accepted = 0;
  std::uint64_t refused_connections = 0;
  std::uint64_t requests = 0;
};

class HttpServer {
 public:
  HttpServer(Shard& shard, HttpServerOptions options, HttpServerHooks hooks);
  /// Cuts off what still runs. Not from inside a handler.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Host is an IP literal or "localhost" (127.0.0.1); port 0 takes a free one. Returns what was
  /// bound. kConflict: the address is in use, by others or by us; it may overlap with one of ours.
  /// kInvalidArgument: not an address.
  Result<Endpoint> listen_tcp(const std::string& host, std::uint16_t port,
                              std::shared_ptr<TlsContext> tls = nullptr);
  /// Mode 0600. A stale socket is replaced; kConflict if somebody listens there, or if it is no
  /// socket.
  Result<void> listen_unix(const std::string& path);

  /// Takes over a socket that listens already, from the process before this one: what waits to be
  /// accepted there is accepted here. Owns it, also after an error.
  Result<Endpoint> adopt_tcp(int fd, std::shared_ptr<TlsContext> tls = nullptr);
  Result<void> adopt_unix(int fd, const std::string& path);
  /// A socket that is listened on, for a successor: the caller's.
  struct Released {
    std::optional<Endpoint> bound;  // TCP
    std::string path;               // Unix
    int fd = -1;
  };
  /// Accepts no more, and leaves what waits to be accepted to whoever gets the sockets; connections
  /// go on.
  std::vector<Released> release_listeners();

  /// Takes what waits to be accepted there (what listen_tcp returned), and listens there no more;
  /// connections go on.
  void close_listener(const Endpoint& bound);
  /// For connections that come from now on, on every TCP listener; null: without TLS.
  void set_tls(std::shared_ptr<TlsContext> tls);
  /// Every answer from now on says "Connection: close": clients go elsewhere by themselves.
  void retire_connections();
  /// Takes what waits to be accepted, and stops accepting; connections go on.
  void close_listeners();
  /// Stops accepting, closes idle connections, lets running exchanges end with "Connection: close"
  /// and cuts off what is left at the deadline. Returns how many were cut off. Not from inside a
  /// handler.
  Task<std::size_t> stop(MonoTime deadline);

  HttpServerStats stats() const;

 private:
  friend class HttpConnection;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::net
