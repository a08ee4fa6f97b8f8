#pragma once
// SocketLoad: WebSockets that are opened and left alone, as chat pages are; pings are answered. A
// process's memory is looked at while they are open.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace sluice::bench {

/// A connection that has asked to become a WebSocket. headers: "Name: value\r\n…".
int ask_for_web_socket(std::uint16_t port, const std::string& path, const std::string& headers);
/// Takes the answer off what came; false if it is not whole. Ends the benchmark if it is a refusal.
bool take_upgrade(std::string& in);

/// The first frame of a server (RFC 6455 5.2, not masked), of less than 64 KiB.
struct ServerFrame {
  std::size_t size = 0;  // 0: it is not whole
  unsigned char first = 0;
  std::string_view payload;
};
ServerFrame first_frame(std::string_view in);
/// A control frame of a client's with this payload, as an answer to the same.
void send_control(int fd, unsigned char first, std::string_view payload);
inline constexpr unsigned char kTextFrame = 0x81;
inline constexpr unsigned char kCloseFrame = 0x88;
inline constexpr unsigned char kPingFrame = 0x89;
inline constexpr unsigned char kPongFrame = 0x8a;

class SocketLoad {
 public:
  SocketLoad();
  ~SocketLoad();
  SocketLoad(const SocketLoad&) = delete;
  SocketLoad& operator=(const SocketLoad&) = delete;

  /// One more, open when it returns.
  void open(std::uint16_t port, const std::string& path, const std::string& headers);
  /// Reads what comes for so long.
  void rest(double seconds);
  std::size_t size() const { return sockets_.size(); }

 private:
  void take(int fd);

  const int epoll_;
  std::unordered_map<int, std::string> sockets_;  // what came of a frame that is not whole
};

}  // namespace sluice::bench
