// The reading half of a connection: its life, heads, the gate and bodies. Answers:
// http_exchange.cc.
#include "net/http_connection.h"

#include <array>
#include <ctime>

#include <fmt/format.h>

#include "base/assert.h"

namespace sluice::net {
namespace {

constexpr std::uint32_t kRoundsBeforeYield = 16;  // a pipelining client must not hold the shard
constexpr std::size_t kLingerBytes = 1024 * 1024;

std::string_view slug_of(int status) {
  switch (status) {
    case 408:
      return "request-timeout";
    case 413:
      return "body-too-large";
    case 417:
      return "expectation-failed";
    case 431:
      return "headers-too-large";
    case 500:
      return "internal";
    case 501:
      return "not-implemented";
    case 503:
      return "overloaded";
    case 505:
      return "version-not-supported";
    default:
      return "bad-request";
  }
}

}  // namespace

HttpServerShared::HttpServerShared(Shard& s, HttpServerOptions o, HttpServerHooks h)
    : shard(s),
      options(o),
      hooks(std::move(h)),
      poller(s),
      scratch(std::make_unique<char[]>(kScratchBytes)) {
  SLUICE_ASSERT(hooks.handler);
}

std::string_view HttpServerShared::date() {
  const std::int64_t second = shard.wall().ms / 1000;
  if (second != date_second_) {
    date_second_ = second;
    static constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t time = second;
    std::tm t{};
    gmtime_r(&time, &t);
    date_ = fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
                        kDays[static_cast<std::size_t>(t.tm_wday)], t.tm_mday,
                        kMonths[static_cast<std::size_t>(t.tm_mon)], t.tm_year + 1900, t.tm_hour,
                        t.tm_min, t.tm_sec);
  }
  return date_;
}

HttpConnection::HttpConnection(HttpServerShared& server, std::string peer,
                               std::optional<PeerCredentials> credentials)
    : server_(server),
      changed_(server.shard),
      peer_(std::move(peer)),
      credentials_(credentials),
      transport_(server.poller) {
  server_.connections.push_back(*this);
  ++server_.stats.connections;
  transport_.watch().notify_hang_up(&changed_);
}

HttpConnection::~HttpConnection() { --server_.stats.connections; }

void HttpConnection::wake_for_stop() {
  changed_.set();
  transport_.watch().interrupt_reader();
}

Task<void> HttpConnection::serve(std::unique_ptr<HttpConnection> connection,
                                 std::shared_ptr<TlsContext> tls) {
  HttpConnection& self = *connection;
  if (tls != nullptr) {
    const MonoTime deadline = self.server_.shard.now() + self.server_.options.header_timeout;
    auto shaken = co_await self.transport_.handshake(tls, {}, deadline);
    if (!shaken) {
      self.server_.report(shaken.error().within(self.peer_));
      co_return;
    }
  }
  for (;;) {
    const bool begun = co_await self.wait_for_request();
    if (!begun) break;
    const bool again = co_await self.serve_request();
    if (!again) break;
  }
  co_await self.linger();
}

Task<void> HttpConnection::turn_away(std::unique_ptr<HttpConnection> connection) {
  HttpRequest unknown;
  co_await connection->refuse(&unknown, 503, "too many connections");
  co_await connection->linger();
}

Task<HttpConnection::Fill> HttpConnection::fill(MonoTime deadline) {
  if (++rounds_ % kRoundsBeforeYield == 0) co_await yield(server_.shard);
  for (;;) {
    const Transport::Io io =
        transport_.try_read(server_.scratch.get(), HttpServerShared::kScratchBytes);
    if (io.status == Transport::Status::kDone) {
      pending_.erase(0, std::exchange(used_, 0));
      pending_.append(server_.scratch.get(), io.bytes);
      co_return Fill::kData;
    }
    if (io.status == Transport::Status::kEof) co_return Fill::kEof;
    if (io.status == Transport::Status::kFailed) co_return Fill::kFailed;
    const Wake wake = co_await transport_.watch().wait(io.side, deadline);
    if (wake == Wake::kTimeout) co_return Fill::kTimeout;
    if (wake == Wake::kInterrupted) co_return Fill::kInterrupted;
  }
}

Task<bool> HttpConnection::wait_for_request() {
  MonoTime deadline = server_.shard.now() + server_.options.idle_timeout;
  for (bool looked = false;;) {
    // RFC 9112 2.2: an empty line before a request is skipped.
    while (unread().starts_with("\r\n")) consume(2);
    if (!unread().empty() && unread() != "\r") co_return true;
    if (pending_.empty()) std::string().swap(pending_);
    if (server_.stopping) {
      // A request that is here already is answered; nobody waits for one.
      if (std::exchange(looked, true)) co_return false;
      deadline = server_.shard.now();
    }
    const Fill got = co_await fill(deadline);
    if (got != Fill::kData && got != Fill::kInterrupted) co_return false;
  }
}

void HttpConnection::consume(std::size_t bytes) {
  used_ += bytes;
  if (used_ < pending_.size()) return;
  pending_.clear();
  used_ = 0;
}

/// Gives the parser what is pending. False if it can do nothing before more bytes come.
Result<bool> HttpConnection::feed(HttpParser& parser) {
  if (pending_.empty()) return false;
  auto used = parser.put(unread());
  if (!used) return used.error();
  consume(*used);
  return *used > 0;
}

Task<bool> HttpConnection::serve_request() {
  if (++rounds_ % kRoundsBeforeYield == 0) co_await yield(server_.shard);
  started_ = server_.shard.now();
  body_in_ = body_out_ = 0;
  chunked_ = false;
  ++server_.stats.requests;
  HttpExchange exchange(*this, server_.shard);
  const Received received = co_await receive(&exchange);
  if (received != Received::kWhole) co_return received == Received::kAnswered;
  ++server_.stats.running;
  struct Leave {
    std::size_t& running;
    ~Leave() { --running; }
  } leave{server_.stats.running};
  const bool delivered = co_await run_exchange(&exchange);
  co_return delivered&& keep_alive_;
}

/// A coroutine of its own, not part of serve_request's frame: an exchange may last for hours, and
/// its parser should not.
Task<HttpConnection::Received> HttpConnection::receive(HttpExchange* exchange) {
  HttpParser parser = HttpParser::for_request(server_.options.limits);
  const bool got_head = co_await read_head(&parser);
  if (!got_head) co_return Received::kBroken;
  keep_alive_ = parser.keep_alive();
  exchange->request_ = std::move(parser.request());
  const bool passed = co_await pass_gate(&parser, exchange);
  if (!passed) co_return keep_alive_ ? Received::kAnswered : Received::kBroken;
  if (!parser.expects_body()) co_return Received::kWhole;
  if (exchange->stream_body_) {
    exchange->body_ =
        std::make_unique<HttpExchange::Body>(HttpExchange::Body{std::move(parser), std::nullopt});
    co_return Received::kWhole;
  }
  const bool got_body = co_await read_body(&parser, exchange);
  co_return got_body ? Received::kWhole : Received::kBroken;
}

Task<bool> HttpConnection::read_head(HttpParser* parser) {
  const MonoTime deadline = started_ + server_.options.header_timeout;
  for (;;) {
    auto fed = feed(*parser);
    if (!fed) {
      co_await refuse(&parser->request(), parser->failure_status(), fed.error().context());
      co_return false;
    }
    if (parser->head_done()) co_return true;
    if (*fed && !pending_.empty()) continue;
    const Fill got = co_await fill(deadline);
    if (got == Fill::kTimeout) {
      co_await refuse(&parser->request(), 408, "the head took too long");
      co_return false;
    }
    if (got != Fill::kData && got != Fill::kInterrupted) co_return false;
  }
}

Task<bool> HttpConnection::pass_gate(HttpParser* parser, HttpExchange* exchange) {
  HttpRequest& request = exchange->request_;
  request.peer = peer_;
  request.tls = transport_.is_tls();
  request.unix_peer = credentials_;
  const bool body = parser->expects_body();
  auto split = split_target(request);
  if (!split || (request.headers.contains("expect") && !parser->expects_continue())) {
    co_await refuse(&request, split ? 417 : 400, split ? "" : split.error().context());
    co_return false;
  }
  std::uint64_t limit = server_.options.limits.body_bytes;
  if (server_.hooks.gate) {
    GateDecision decision = server_.hooks.gate(request);
    if (decision.refusal) {
      // A body that nobody will read makes the connection useless for another request.
      keep_alive_ = keep_alive_ && !body;
      unread_input_ = body;
      const bool sent = co_await write_response(exchange, std::move(*decision.refusal));
      keep_alive_ = keep_alive_ && sent;
      co_return false;
    }
    limit = decision.body_limit.value_or(limit);
    exchange->context_ = std::move(decision.context);
    exchange->stream_body_ = decision.stream_body;
  }
  parser->set_body_limit(limit);
  if (body && parser->content_length().value_or(0) > limit) {
    co_await refuse(&request, 413, fmt::format("the body may have at most {} bytes", limit));
    co_return false;
  }
  co_return true;
}

Task<bool> HttpConnection::say_continue(HttpParser* parser) {
  if (!parser->expects_continue() || !pending_.empty()) co_return true;
  auto sent =
      co_await transport_.write_all("HTTP/1.1 100 Continue\r\n\r\n", server_.options.stall_timeout);
  co_return sent.has_value();
}

/// Until there is more of the body than before, or its end.
Task<Result<void>> HttpConnection::read_more(HttpParser* parser, MonoTime begun) {
  const std::uint64_t before = parser->body_bytes();
  for (;;) {
    auto fed = feed(*parser);
    if (!fed) co_return fed.error();
    if (parser->done() || parser->body_bytes() > before) co_return Result<void>();
    if (*fed && !pending_.empty()) continue;
    const auto earned = std::chrono::nanoseconds(std::chrono::seconds(1)) * parser->body_bytes() /
                        server_.options.body_min_rate;
    const Fill got = co_await fill(begun + server_.options.body_timeout + earned);
    if (got == Fill::kTimeout) {
      co_return Error(ErrorKind::kTimeout, "the body took too long", ErrorSource::kPeer);
    }
    if (got != Fill::kData && got != Fill::kInterrupted) {
      co_return Error(ErrorKind::kUnavailable, "the client has gone", ErrorSource::kPeer);
    }
  }
}

Task<bool> HttpConnection::read_body(HttpParser* parser, HttpExchange* exchange) {
  const MonoTime begun = server_.shard.now();
  const bool may_go_on = co_await say_continue(parser);
  if (!may_go_on) co_return false;
  while (!parser->done()) {
    const Result<void> more = co_await read_more(parser, begun);
    if (more) continue;
    const Error& error = more.error();
    if (error.kind() == ErrorKind::kUnavailable) co_return false;
    const int status = error.kind() == ErrorKind::kTimeout ? 408 : parser->failure_status();
    co_await refuse(&exchange->request_, status, error.context());
    co_return false;
  }
  body_in_ = parser->body_bytes();
  exchange->request_.body = std::move(parser->body());
  co_return true;
}

/// What the handler has not read of a body stands in the way of another request.
void HttpConnection::leave_body(HttpExchange* exchange) {
  if (exchange->body_ == nullptr || exchange->body_->parser.done()) return;
  keep_alive_ = false;
  unread_input_ = true;
}

Task<void> HttpConnection::refuse(HttpRequest* request, int status, std::string detail) {
  keep_alive_ = false;
  unread_input_ = true;
  chunked_ = false;
  const HttpResponse response =
      HttpResponse::problem(status, slug_of(status), reason_phrase(status), detail);
  server_.report(Error(ErrorKind::kInvalidArgument,
                       fmt::format("{} to {}: {}", status, peer_, detail), ErrorSource::kPeer));
  std::string bytes = head_of(*request, response, response.body.size());
  if (request->method != "HEAD") bytes += response.body;
  auto sent = co_await transport_.write_all(std::move(bytes), server_.options.stall_timeout);
  access(*request, status, false, sent.has_value());
}

Task<void> HttpConnection::linger() {
  transport_.finish_writing();
  if (!unread_input_) co_return;
  // Closing with unread input sends a reset, which may overtake the answer that says why.
  const MonoTime deadline = server_.shard.now() + server_.options.linger_timeout;
  std::size_t dropped = 0;
  while (dropped < kLingerBytes && !server_.stopping) {
    consume(unread().size());
    const Fill got = co_await fill(deadline);
    if (got != Fill::kData) break;
    dropped += pending_.size();
  }
}

void HttpConnection::access(const HttpRequest& request, int status, bool streamed,
                            bool delivered) const {
  if (!server_.hooks.on_access) return;
  server_.hooks.on_access(HttpAccess{request, status, body_in_, body_out_,
                                     server_.shard.now() - started_, streamed, delivered});
}

}  // namespace sluice::net
