#pragma once
// WebSocket: one RFC 6455 connection of a server, which began as a request of HttpServer
// (HttpExchange::upgrade). Text both ways, whole messages, no compression.
//
// Owned by the request's handler, which it must not outlive. Shard-confined: one task reads, any
// number write. Somebody must always be reading: pings, pongs and the peer's close are only seen
// then. Destroying it cuts the connection off.
//
// An idle one costs about 3 KiB of Beast's state and 2 KiB of ours; buffers for messages exist only
// while messages do.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_types.h"
#include "runtime/task.h"
#include "runtime/wait.h"

namespace sluice {
class Shard;
}

namespace sluice::net {

class Transport;

struct WebSocketOptions {
  std::size_t message_bytes_max = 64 * 1024;  // of one message of the peer's: closed with 1009
  Duration stall_timeout = std::chrono::seconds(30);  // a peer that reads nothing: cut off
  Duration ping_after = std::chrono::seconds(20);     // of silence, a ping
  Duration silence_max = std::chrono::seconds(45);    // a peer that does not even answer pings
  Duration close_timeout = std::chrono::seconds(2);   // for the peer's answer to our close
};

/// RFC 6455 7.4.1 and the IANA registry (2024).
enum class WsClose : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kUnsupportedData = 1003,  // binary
  kBadText = 1007,          // not UTF-8
  kPolicy = 1008,
  kTooBig = 1009,
  kInternal = 1011,
  kServiceRestart = 1012,
  kTryAgainLater = 1013,
};

class WebSocket {
 public:
  ~WebSocket();
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  /// The next message. An error when there will be none: kUnavailable (the peer closed or has
  /// gone), kTimeout (silent for too long), kTooLarge, kInvalidArgument (not the protocol, or not
  /// UTF-8), kUnsupported (binary). The close code that fits has been sent by then. May be
  /// cancelled and called again.
  Task<Result<std::string>> read();

  /// Resolves when the kernel has taken all of it: a slow peer slows its writers. Writers take
  /// turns. kUnavailable: the peer has gone; kTimeout: it read nothing for stall_timeout, and is
  /// cut off. The text is UTF-8.
  Task<Result<void>> write(std::string text);

  /// Says goodbye and waits for the answer, at most close_timeout. Later calls do nothing. Not
  /// while another task reads. The reason has at most 123 bytes; it is for people.
  [[gnu::noinline]] Task<void> close(WsClose code, std::string reason);

 private:
  friend class HttpExchange;
  struct Impl;
  void start_read();
  Result<std::optional<std::string>> end_read();
  // Kept out of each other's frames: thousands of sockets wait in hear().
  [[gnu::noinline]] Task<bool> hear();
  [[gnu::noinline]] Task<Result<std::string>> refuse_binary();
  explicit WebSocket(std::unique_ptr<Impl> impl);
  /// already_read: what came behind the request's head. Sends 101. kUnavailable, kTimeout.
  [[gnu::noinline]] static Task<Result<std::unique_ptr<WebSocket>>> accept(
      Shard* shard, Transport* transport, const HttpRequest* request, std::string already_read,
      WebSocketOptions options);
  std::unique_ptr<Impl> impl_;
};

/// What is wrong with a request that should have asked for a WebSocket (400 or 426), nothing if all
/// is well.
std::optional<HttpResponse> websocket_refusal(const HttpRequest& request);

}  // namespace sluice::net
