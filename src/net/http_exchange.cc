// The answering half of a connection: the handler's run, whole responses and streams.
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"
#include "net/http_connection.h"

namespace sluice::net {
namespace {

constexpr std::size_t kOneWriteBytes = 16 * 1024;  // head and body up to this go out in one segment

bool is_framing_header(std::string_view name) {
  return equal_ignoring_case(name, "content-length") || equal_ignoring_case(name, "connection") ||
         equal_ignoring_case(name, "transfer-encoding") || equal_ignoring_case(name, "date");
}

}  // namespace

Task<void> HttpConnection::run_handler(HttpServerShared* server, HttpExchange* exchange,
                                       Event* changed) {
  try {
    co_await server->hooks.handler(*exchange);
  } catch (const std::exception& e) {
    server->report(Error(ErrorKind::kInternal, std::string("handler threw: ") + e.what()));
  }
  exchange->handler_done_ = true;
  changed->set();
}

Task<bool> HttpConnection::run_exchange(HttpExchange* exchange) {
  changed_.reset();
  std::optional<Running> handler;
  handler.emplace(run_handler(&server_, exchange, &changed_));
  handler->start();
  while (!exchange->handler_done_) {
    const bool gone = transport_.watch().hung_up() || server_.stopping;
    if (gone && !exchange->gone_.is_set()) exchange->gone_.set();
    if (gone && exchange->cancel_when_gone_) {
      handler.reset();
      break;
    }
    if (exchange->state_ == HttpExchange::State::kResponded) {
      exchange->state_ = HttpExchange::State::kWritten;
      const bool sent = co_await write_response(exchange, std::move(exchange->response_));
      keep_alive_ = keep_alive_ && sent;
      continue;
    }
    co_await changed_.wait();
    changed_.reset();
  }
  const bool finished = co_await finish_exchange(exchange);
  co_return finished;
}

Task<bool> HttpConnection::finish_exchange(HttpExchange* exchange) {
  using State = HttpExchange::State;
  if (exchange->state_ == State::kOpen) {
    // Cut off before it answered, or a handler that forgot to.
    int status = 503;
    if (exchange->handler_done_) {
      status = 500;
      server_.report(Error(ErrorKind::kInternal, "no answer for " + exchange->request_.path));
    }
    keep_alive_ = false;
    exchange->response_ = HttpResponse::problem(status, status == 500 ? "internal" : "stopping",
                                                reason_phrase(status));
    exchange->state_ = State::kResponded;
  }
  if (exchange->state_ == State::kResponded) {
    exchange->state_ = State::kWritten;
    const bool sent = co_await write_response(exchange, std::move(exchange->response_));
    co_return sent;
  }
  if (exchange->state_ == State::kWritten) co_return true;
  if (exchange->state_ == State::kUpgraded) {
    // Let the peer read our close frame: closing at once may reset the connection before it has.
    unread_input_ = true;
    access(exchange->request_, 101, true, true);
    co_return false;
  }
  // A handler that was cut off in the middle of a piece left it unfinished: nothing can follow.
  bool delivered = exchange->state_ == State::kStreaming && !exchange->writing_;
  if (delivered && chunked_) {
    auto sent = co_await transport_.write_all("0\r\n\r\n", server_.options.stall_timeout);
    delivered = sent.has_value();
  }
  access(exchange->request_, exchange->response_.status, true, delivered);
  if (!chunked_) co_return false;  // what ends with the connection needs its end
  co_return delivered;
}

std::string HttpConnection::head_of(const HttpRequest& request, const HttpResponse& response,
                                    std::optional<std::size_t> length) const {
  std::string head;
  head.reserve(256 + (length && *length <= kOneWriteBytes ? *length : 0));
  const auto out = std::back_inserter(head);
  fmt::format_to(out, "HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                 reason_phrase(response.status), server_.date());
  for (std::size_t i = 0; i < response.headers.size(); ++i) {
    if (is_framing_header(response.headers.name_at(i))) continue;
    head.append(response.headers.name_at(i)).append(": ");
    head.append(response.headers.value_at(i)).append("\r\n");
  }
  if (length && response.status != 204 && response.status != 304) {
    fmt::format_to(out, "Content-Length: {}\r\n", *length);
  }
  if (chunked_) head += "Transfer-Encoding: chunked\r\n";
  if (!keep_alive_) {
    head += "Connection: close\r\n";
  } else if (request.minor_version == 0) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

Task<bool> HttpConnection::write_response(HttpExchange* exchange, HttpResponse response) {
  if (server_.closes()) keep_alive_ = false;
  leave_body(exchange);
  const HttpRequest& request = exchange->request_;
  const bool bodyless =
      request.method == "HEAD" || response.status == 204 || response.status == 304;
  std::string head = head_of(request, response, response.body.size());
  if (bodyless) response.body.clear();
  body_out_ = response.body.size();
  const bool together = response.body.size() <= kOneWriteBytes;
  if (together) head += response.body;
  auto sent = co_await transport_.write_all(std::move(head), server_.options.stall_timeout);
  if (sent && !together) {
    sent = co_await transport_.write_all(std::move(response.body), server_.options.stall_timeout);
  }
  access(request, response.status, false, sent.has_value());
  co_return sent.has_value();
}

Task<Result<std::string>> HttpExchange::read_body() {
  SLUICE_ASSERT(state_ == State::kOpen);
  if (body_ == nullptr) co_return std::exchange(request_.body, {});
  HttpConnection& c = connection_;
  HttpParser& parser = body_->parser;
  if (!body_->begun) {
    body_->begun = c.server_.shard.now();
    const bool may_go_on = co_await c.say_continue(&parser);
    if (!may_go_on) {
      co_return Error(ErrorKind::kUnavailable, "the client has gone", ErrorSource::kPeer);
    }
  }
  if (parser.done()) co_return std::string();
  const Result<void> more = co_await c.read_more(&parser, *body_->begun);
  c.body_in_ = parser.body_bytes();
  if (!more) co_return more.error();
  co_return std::exchange(parser.body(), {});
}

void HttpExchange::respond(HttpResponse response) {
  SLUICE_ASSERT(state_ == State::kOpen);
  response_ = std::move(response);
  state_ = State::kResponded;
  connection_.changed_.set();
}

Task<Result<void>> HttpExchange::start_stream(HttpResponse head) {
  SLUICE_ASSERT(state_ == State::kOpen);
  HttpConnection& c = connection_;
  c.leave_body(this);
  const bool bodyless = request_.method == "HEAD";
  c.chunked_ = request_.minor_version > 0 && !bodyless;
  if (c.server_.closes() || !c.chunked_) c.keep_alive_ = false;
  state_ = State::kStreaming;
  response_.status = head.status;
  std::string bytes = c.head_of(request_, head, std::nullopt);
  writing_ = true;
  auto sent = co_await c.transport_.write_all(std::move(bytes), c.server_.options.stall_timeout);
  writing_ = false;
  if (!sent) {
    state_ = State::kBroken;
    co_return sent.error();
  }
  if (!head.body.empty()) co_return co_await write(std::move(head.body));
  co_return Result<void>();
}

Task<Result<void>> HttpExchange::write(std::string bytes) {
  SLUICE_ASSERT(state_ == State::kStreaming || state_ == State::kBroken);
  HttpConnection& c = connection_;
  if (state_ == State::kBroken) {
    co_return Error(ErrorKind::kUnavailable, "the client has gone", ErrorSource::kPeer);
  }
  if (bytes.empty() || request_.method == "HEAD") co_return Result<void>();
  c.body_out_ += bytes.size();
  if (c.chunked_) bytes = fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  writing_ = true;
  auto sent = co_await c.transport_.write_all(std::move(bytes), c.server_.options.stall_timeout);
  writing_ = false;
  if (!sent) state_ = State::kBroken;
  co_return sent;
}

Task<Result<std::unique_ptr<WebSocket>>> HttpExchange::upgrade(WebSocketOptions options) {
  SLUICE_ASSERT(state_ == State::kOpen);
  std::optional<HttpResponse> refusal = websocket_refusal(request_);
  if (refusal) {
    respond(*std::move(refusal));
    co_return Error(ErrorKind::kInvalidArgument, "no WebSocket", ErrorSource::kPeer);
  }
  HttpConnection& c = connection_;
  state_ = State::kUpgraded;
  std::string already_read(c.unread());
  c.consume(already_read.size());
  std::string().swap(c.pending_);
  auto socket = co_await WebSocket::accept(&c.server_.shard, &c.transport_, &request_,
                                           std::move(already_read), options);
  co_return socket;
}

void HttpExchange::cancel_when_gone() {
  cancel_when_gone_ = true;
  // It may have happened already: let the connection look.
  connection_.changed_.set();
}

bool HttpExchange::client_gone() const { return connection_.transport_.watch().hung_up(); }

}  // namespace sluice::net
