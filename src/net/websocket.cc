#include "net/websocket.h"

#include <array>

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

constexpr std::size_t kFirstBytes = 64;       // read into while nothing comes: an idle one is cheap
constexpr std::size_t kMoreBytes = 4 * 1024;  // and, once something has, at once
constexpr std::size_t kReasonBytes = 123;     // RFC 6455 5.5: a control frame has at most 125

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

/// What one of Beast's operations came to.
struct Signal {
  explicit Signal(Loop& loop) : event(loop) {}
  Event event;
  Code ec;
  std::size_t bytes = 0;
  bool running = false;

  void begin() {
    SLUICE_ASSERT(!running);
    running = true;
    event.reset();
  }
  void end(Code code, std::size_t count) {
    ec = code;
    bytes = count;
    running = false;
    event.set();
  }
};

/// Shared with the handlers, which may be called, with nobody left to hear them, after the socket
/// has gone.
struct Signals {
  explicit Signals(Loop& loop) : read(loop), write(loop), ping(loop), closed(loop) {}
  Signal read;
  Signal write;
  Signal ping;
  Signal closed;
};

/// A handler that ends one of them.
auto ends(const std::shared_ptr<Signals>& signals, Signal Signals::* which) {
  return [signals, which](Code ec, std::size_t bytes = 0) { ((*signals).*which).end(ec, bytes); };
}

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
    if (transport_.is_tls()) {
      co_await wait(io.side, MonoTime::max());
    } else {  // one frame less while nothing comes
      co_await transport_.watch().wait(io.side, MonoTime::max());
    }
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
        signals(std::make_shared<Signals>(s)),
        write_turn(s, 1) {
    stream.read_message_max(o.message_bytes_max);
    stream.auto_fragment(false);
    stream.set_option(ws::stream_base::decorator(
        [](ws::response_type& response) { response.set(beast::http::field::server, "sluice"); }));
  }

  Shard& shard;
  const WebSocketOptions options;
  Stream stream;
  std::string message;                  // what has come of the one that is being read
  std::array<char, kFirstBytes> first;  // where it begins
  bool at_first = true;                 // the read under way goes there
  std::string out;                      // what is being written; Beast points into it
  const std::shared_ptr<Signals> signals;
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
  impl->signals->write.begin();
  impl->stream.async_accept(upgrade, ends(impl->signals, &Signals::write));
  co_await impl->signals->write.event.wait();  // bounded by the stall timeout
  if (impl->signals->write.ec) co_return gone("upgrade: " + impl->signals->write.ec.message());
  co_return std::unique_ptr<WebSocket>(new WebSocket(std::move(impl)));
}

void WebSocket::start_read() {
  Impl& self = *impl_;
  self.signals->read.begin();
  self.at_first = self.message.empty();
  if (self.at_first) {
    self.stream.async_read_some(boost::asio::buffer(self.first),
                                ends(self.signals, &Signals::read));
    return;
  }
  const std::size_t filled = self.message.size();
  self.message.resize(filled + kMoreBytes);
  self.stream.async_read_some(boost::asio::buffer(self.message.data() + filled, kMoreBytes),
                              ends(self.signals, &Signals::read));
}

/// Takes what the read brought. A message, once it is whole; how it failed.
Result<std::optional<std::string>> WebSocket::end_read() {
  Impl& self = *impl_;
  self.signals->read.event.reset();
  if (self.at_first) {
    self.message.assign(self.first.data(), self.signals->read.bytes);
  } else {
    self.message.resize(self.message.size() - kMoreBytes + self.signals->read.bytes);
  }
  if (self.signals->read.ec) {
    self.failed = true;
    return read_error(self.signals->read.ec);
  }
  if (!self.stream.is_message_done()) return std::optional<std::string>();
  return std::optional<std::string>(std::exchange(self.message, {}));
}

/// Waits for the read under way, and pings meanwhile. False if nothing was heard for too long.
Task<bool> WebSocket::hear() {
  Impl& self = *impl_;
  MonoTime next_ping = self.shard.now() + self.options.ping_after;
  for (;;) {
    const bool came = co_await self.signals->read.event.wait_until(next_ping);
    if (came) co_return true;
    const MonoTime now = self.shard.now();
    const Duration silence = now - self.stream.next_layer().last_heard();
    if (silence >= self.options.silence_max) co_return false;
    if (silence >= self.options.ping_after && !self.signals->ping.running) {
      self.signals->ping.begin();
      self.stream.async_ping({}, ends(self.signals, &Signals::ping));
    }
    next_ping = now + self.options.ping_after / 2;
  }
}

Task<Result<std::string>> WebSocket::refuse_binary() {
  co_await close(WsClose::kUnsupportedData, "text only");
  co_return Error(ErrorKind::kUnsupported, "a binary message", ErrorSource::kPeer);
}

Task<Result<std::string>> WebSocket::read() {
  Impl& self = *impl_;
  for (;;) {
    if (self.failed || self.closing) co_return gone("closed");
    // One that was cancelled left its read under way.
    if (!self.signals->read.running && !self.signals->read.event.is_set()) start_read();
    const bool heard = co_await hear();
    if (!heard) {
      self.failed = true;
      co_return Error(ErrorKind::kTimeout, "the peer is silent", ErrorSource::kPeer);
    }
    Result<std::optional<std::string>> message = end_read();
    if (!message) co_return message.error();
    if (!*message) continue;
    if (self.stream.got_text()) co_return **std::move(message);
    break;
  }
  co_return co_await refuse_binary();
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
  if (self.signals->write.running) co_await self.signals->write.event.wait();
  if (self.failed || self.closing) co_return gone("closed");
  self.out = std::move(text);
  self.signals->write.begin();
  self.stream.text(true);
  self.stream.async_write(boost::asio::buffer(self.out), ends(self.signals, &Signals::write));
  co_await self.signals->write.event.wait();
  std::string().swap(self.out);
  if (!self.signals->write.ec) co_return Result<void>();
  self.failed = true;
  if (self.signals->write.ec == beast::error::timeout) {
    co_return Error(ErrorKind::kTimeout, "the peer does not read", ErrorSource::kPeer);
  }
  co_return gone(self.signals->write.ec.message());
}

Task<void> WebSocket::close(WsClose code, std::string reason) {
  Impl& self = *impl_;
  if (self.failed || std::exchange(self.closing, true)) co_return;
  reason.resize(std::min(reason.size(), kReasonBytes));
  const ws::close_reason why(static_cast<ws::close_code>(code), reason);
  self.signals->closed.begin();
  self.stream.async_close(why, ends(self.signals, &Signals::closed));
  co_await self.signals->closed.event.wait_until(self.shard.now() + self.options.close_timeout);
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
