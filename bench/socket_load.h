#pragma once
// SocketLoad: WebSockets that are opened and left alone, as chat pages are; pings are answered. A
// process's memory is looked at while they are open.

#include <cstdint>
#include <string>
#include <unordered_map>

namespace sluice::bench {

class SocketLoad {
 public:
  SocketLoad();
  ~SocketLoad();
  SocketLoad(const SocketLoad&) = delete;
  SocketLoad& operator=(const SocketLoad&) = delete;

  /// One more, open when it returns. headers: "Name: value\r\n…".
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
