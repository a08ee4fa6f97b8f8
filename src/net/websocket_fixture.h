#pragma once
// For tests: RFC 6455 frames made and read by hand.

#include <string>
#include <string_view>

#include "net/net_fixture.h"

namespace sluice::net::test {

// RFC 6455 1.3 has this key and its answer.
inline constexpr std::string_view kUpgrade =
    "Host: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

enum Opcode : unsigned {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10
};

struct Frame {
  unsigned opcode = 0;
  bool fin = false;
  std::string payload;
  friend bool operator==(const Frame&, const Frame&) = default;
};

/// A frame as a client sends it: masked.
inline std::string frame(unsigned opcode, std::string payload, bool fin = true,
                         bool masked = true) {
  std::string out;
  out += static_cast<char>(opcode | (fin ? 0x80u : 0u));
  const unsigned mask_bit = masked ? 0x80 : 0;
  if (payload.size() < 126) {
    out += static_cast<char>(payload.size() | mask_bit);
  } else if (payload.size() < 65536) {
    out += static_cast<char>(126 | mask_bit);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size());
  } else {
    out += static_cast<char>(127 | mask_bit);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(payload.size() >> shift);
  }
  if (masked) {
    const std::string key = "\x11\x22\x33\x44";
    out += key;
    for (std::size_t i = 0; i < payload.size(); ++i) payload[i] ^= key[i % 4];
  }
  return out + payload;
}

inline std::string close_payload(std::uint16_t code, std::string reason = {}) {
  return std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + reason;
}

/// A client that can misbehave.
class WebSocketClient {
 public:
  explicit WebSocketClient(std::uint16_t port, const std::string& path = "/echo",
                           const std::string& behind = {}, const std::string& headers = {})
      : socket_(RawSocket::connect(port)) {
    socket_.send("GET " + path + " HTTP/1.1\r\n" + headers + std::string(kUpgrade) + behind);
    head = socket_.read_until("\r\n\r\n");
  }
  void send(const std::string& bytes) { socket_.send(bytes); }
  Frame receive() {
    Frame got;
    const std::string head_bytes = socket_.read_exactly(2);
    if (head_bytes.size() < 2) return got;
    got.fin = (head_bytes[0] & 0x80) != 0;
    got.opcode = head_bytes[0] & 0x0f;
    std::uint64_t size = head_bytes[1] & 0x7f;  // a server's frames are not masked
    if (size >= 126) {
      const std::string longer = socket_.read_exactly(size == 126 ? 2 : 8);
      size = 0;
      for (const char c : longer) size = size << 8 | static_cast<unsigned char>(c);
    }
    got.payload = socket_.read_exactly(size);
    return got;
  }
  /// The code of the close frame that comes next; 0 if something else does.
  unsigned close_code() {
    const Frame got = receive();
    if (got.opcode != kClose || got.payload.size() < 2) return 0;
    return static_cast<unsigned char>(got.payload[0]) << 8 |
           static_cast<unsigned char>(got.payload[1]);
  }
  bool closed() { return socket_.closed_by_peer(); }
  RawSocket& socket() { return socket_; }
  std::string head;

 private:
  RawSocket socket_;
};

}  // namespace sluice::net::test
