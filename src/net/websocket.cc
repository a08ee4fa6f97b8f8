#include "net/websocket.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "base/assert.h"
#include "net/websocket_layer.h"

namespace sluice::net {
namespace {

namespace beast = boost::beast;
namespace ws = boost::beast::websocket;
using Code = WsLayer::ErrorCode;
using Stream = ws::stream<WsLayer, false>;  // false: without permessage-deflate

constexpr std::size_t kReasonBytes = 123;  // RFC 6455 5.5: a control frame has at most 125

Error gone(const std::string& why) {
  return Error(ErrorKind::kUnavailable, why, ErrorSource::kPeer);
}

/// What a failed read means to its caller.
Error read_error(Code ec) {
  if (ec == ws::error::message_too_big || ec == ws::error::buffer_overflow) {
    return Error(ErrorKind::kTooLarge, "a message was too large", ErrorSource::kPeer);
  }
  if (ec == ws::condition::protocol_violation) {
    return Error(ErrorKind::kInvalidArgument, ec.message(), ErrorSource::kPeer);
  }
  if (ec == beast::error::timeout) return Error(ErrorKind::kTimeout, "silent", ErrorSource::kPeer);
  return gone(ec.message());
}

/// What one of Beast's operations came to. Shared with its handler, which may be called, with
/// nobody left to hear it, after the socket has gone.
struct Signal {
  explicit Signal(Loop& loop) : event(loop) {}
  Event event;
  Code ec;
  bool running = false;

  void begin() {
    SLUICE_ASSERT(!running);
    running = true;
    event.reset();
  }
  static auto handler(const std::shared_ptr<Signal>& signal) {
    return [signal](Code ec, auto...) {
      signal->ec = ec;
      signal->running = false;
      signal->event.set();
    };
  }
};

}  // namespace

Task<Wake> WsLayer::wait(Watch::Side side, MonoTime deadline) {
  bool& taken = side_taken_[static_cast<std::size_t>(side)];
  while (taken) {
    const bool woken = co_await side_free_.wait_until(deadline);
    if (!woken) co_return Wake::kTimeout;
  }
  taken = true;
  const Wake wake = co_await transport_.watch().wait(side, deadline);
  taken = false;
  side_free_.pulse();
  co_return wake;
}

Task<WsLayer::ErrorCode> WsLayer::read_some(std::size_t* bytes) {
  if (!already_read_.empty()) {
    *bytes = boost::asio::buffer_copy(read_into_, boost::asio::buffer(already_read_));
    already_read_.erase(0, *bytes);
    co_return ErrorCode();
  }
  std::string().swap(already_read_);
  for (;;) {
    const Transport::Io io =
        transport_.try_read(static_cast<char*>(read_into_.data()), read_into_.size());
    if (io.status == Transport::Status::kDone) {
      *bytes = io.bytes;
      last_heard_ = shard_.now();
      co_return ErrorCode();
    }
    if (io.status == Transport::Status::kEof) co_return boost::asio::error::eof;
    if (io.status == Transport::Status::kFailed) co_return boost::asio::error::connection_reset;
    co_await wait(io.side, MonoTime::max());
  }
}

Task<WsLayer::ErrorCode> WsLayer::write_some(std::size_t* bytes) {
  for (;;) {
    const Transport::Io io = transport_.try_write(out_);
    if (io.status == Transport::Status::kDone) {
      *bytes = io.bytes;
      co_return ErrorCode();
    }
    if (io.status != Transport::Status::kBlocked) co_return boost::asio::error::broken_pipe;
    const Wake wake = co_await wait(io.side, shard_.now() + stall_);
    if (wake == Wake::kTimeout) co_return beast::error::timeout;
  }
}

Task<void> WsLayer::read_loop(WsLayer* self) {
  for (;;) {
    co_await self->read_wanted_.wait();
    self->read_wanted_.reset();
    std::size_t bytes = 0;
    const ErrorCode ec = co_await self->read_some(&bytes);
    const std::unique_ptr<Operation> operation = std::move(self->reading_);
    operation->complete(ec, bytes);
  }
}

Task<void> WsLayer::write_loop(WsLayer* self) {
  for (;;) {
    co_await self->write_wanted_.wait();
    self->write_wanted_.reset();
    std::size_t bytes = 0;
    const ErrorCode ec = co_await self->write_some(&bytes);
    std::string().swap(self->out_);
    const std::unique_ptr<Operation> operation = std::move(self->writing_);
    operation->complete(ec, bytes);
  }
}

struct WebSocket::Impl {
  Impl(Shard& s, Transport& transport, std::string already_read, WebSocketOptions o)
      : shard(s),
        options(o),
        stream(s, transport, std::move(already_read), o.stall_timeout),
        message(o.message_bytes_max),
        read(std::make_shared<Signal>(s)),
        write(std::make_shared<Signal>(s)),
        ping(std::make_shared<Signal>(s)),
        closed(std::make_shared<Signal>(s)),
        write_turn(s, 1) {
    stream.read_message_max(o.message_bytes_max);
    stream.auto_fragment(false);
    stream.set_option(ws::stream_base::decorator(
        [](ws::response_type& response) { response.set(beast::http::field::server, "sluice"); }));
  }

  Shard& shard;
  const WebSocketOptions options;
  Stream stream;
  beast::flat_buffer message;
  std::string out;  // what is being written; Beast points into it
  std::shared_ptr<Signal> read;
  std::shared_ptr<Signal> write;
  std::shared_ptr<Signal> ping;
  std::shared_ptr<Signal> closed;
  Semaphore write_turn;
  bool failed = false;
  bool closing = false;
};

WebSocket::WebSocket(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WebSocket::~WebSocket() = default;

Task<Result<std::unique_ptr<WebSocket>>> WebSocket::accept(Shard* shard, Transport* transport,
                                                           const HttpRequest* request,
                                                           std::string already_read,
                                                           WebSocketOptions options) {
  auto impl = std::make_unique<Impl>(*shard, *transport, std::move(already_read), options);
  ws::request_type upgrade;
  upgrade.method(beast::http::verb::get);
  upgrade.version(11);
  for (std::size_t i = 0; i < request->headers.size(); ++i) {
    upgrade.insert(request->headers.name_at(i), request->headers.value_at(i));
  }
  impl->write->begin();
  impl->stream.async_accept(upgrade, Signal::handler(impl->write));
  co_await impl->write->event.wait();  // bounded by the stall timeout
  if (impl->write->ec) co_return gone("upgrade: " + impl->write->ec.message());
  co_return std::unique_ptr<WebSocket>(new WebSocket(std::move(impl)));
}

Task<Result<std::string>> WebSocket::read() {
  Impl& self = *impl_;
  if (self.failed || self.closing) co_return gone("closed");
  if (!self.read->running && !self.read->event.is_set()) {
    self.read->begin();
    self.stream.async_read(self.message, Signal::handler(self.read));
  }
  MonoTime next_ping = self.shard.now() + self.options.ping_after;
  for (;;) {
    const bool came = co_await self.read->event.wait_until(next_ping);
    if (came) break;
    const MonoTime now = self.shard.now();
    const MonoTime heard = self.stream.next_layer().last_heard();
    if (now - heard >= self.options.silence_max) {
      self.failed = true;
      co_return Error(ErrorKind::kTimeout, "the peer is silent", ErrorSource::kPeer);
    }
    if (now - heard >= self.options.ping_after && !self.ping->running) {
      self.ping->begin();
      self.stream.async_ping({}, Signal::handler(self.ping));
    }
    next_ping = now + self.options.ping_after / 2;
  }
  self.read->event.reset();
  if (self.read->ec) {
    self.failed = true;
    co_return read_error(self.read->ec);
  }
  if (!self.stream.got_text()) {
    co_await close(WsClose::kUnsupportedData, "text only");
    co_return Error(ErrorKind::kUnsupported, "a binary message", ErrorSource::kPeer);
  }
  std::string text(static_cast<const char*>(self.message.data().data()), self.message.size());
  self.message.consume(self.message.size());
  self.message.shrink_to_fit();
  co_return text;
}

Task<Result<void>> WebSocket::write(std::string text) {
  Impl& self = *impl_;
  struct Turn {
    explicit Turn(Semaphore& s) : semaphore(s) {}
    ~Turn() { semaphore.release(); }
    Semaphore& semaphore;
  };
  co_await self.write_turn.acquire();
  const Turn turn(self.write_turn);
  // A writer that was cancelled leaves its message on its way.
  if (self.write->running) co_await self.write->event.wait();
  if (self.failed || self.closing) co_return gone("closed");
  self.out = std::move(text);
  self.write->begin();
  self.stream.text(true);
  self.stream.async_write(boost::asio::buffer(self.out), Signal::handler(self.write));
  co_await self.write->event.wait();
  std::string().swap(self.out);
  if (!self.write->ec) co_return Result<void>();
  self.failed = true;
  if (self.write->ec == beast::error::timeout) {
    co_return Error(ErrorKind::kTimeout, "the peer does not read", ErrorSource::kPeer);
  }
  co_return gone(self.write->ec.message());
}

Task<void> WebSocket::close(WsClose code, std::string reason) {
  Impl& self = *impl_;
  if (self.failed || std::exchange(self.closing, true)) co_return;
  reason.resize(std::min(reason.size(), kReasonBytes));
  const ws::close_reason why(static_cast<ws::close_code>(code), reason);
  self.closed->begin();
  self.stream.async_close(why, Signal::handler(self.closed));
  co_await self.closed->event.wait_until(self.shard.now() + self.options.close_timeout);
}

std::optional<HttpResponse> websocket_refusal(const HttpRequest& request) {
  const HttpHeaders& headers = request.headers;
  const bool asks = request.method == "GET" && request.minor_version > 0 &&
                    headers.has_token("connection", "upgrade") &&
                    headers.has_token("upgrade", "websocket");
  if (!asks || headers.get("sec-websocket-version") != "13") {
    HttpResponse response = HttpResponse::problem(426, "upgrade-required", "Upgrade Required",
                                                  "this is a WebSocket, version 13");
    response.headers.set("Upgrade", "websocket");
    response.headers.set("Sec-WebSocket-Version", "13");
    return response;
  }
  // RFC 6455 4.2.1: the base64 of 16 bytes.
  const auto key = headers.get("sec-websocket-key");
  if (headers.count("sec-websocket-key") != 1 || key->size() != 24 || !key->ends_with("==")) {
    return HttpResponse::problem(400, "bad-request", reason_phrase(400),
                                 "Sec-WebSocket-Key must be 16 bytes in base64");
  }
  return std::nullopt;
}

}  // namespace sluice::net
