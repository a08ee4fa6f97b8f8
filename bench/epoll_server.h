#pragma once
// EpollServer: the least a server can do: epoll, read, find the end of the request, write an answer
// that was made beforehand. The reference of the row about HTTP, and the server of ReusePortPeer.
//
// run() on one thread; stop() from any.

#include <cstdint>
#include <string>
#include <unordered_map>

namespace sluice::bench {

class EpollServer {
 public:
  /// port 0: a free one, alone on it; else others may listen on it too (SO_REUSEPORT).
  explicit EpollServer(std::uint16_t port = 0);
  ~EpollServer();
  EpollServer(const EpollServer&) = delete;
  EpollServer& operator=(const EpollServer&) = delete;

  std::uint16_t port() const { return port_; }
  void answer_with(std::string answer) { answer_ = std::move(answer); }
  /// Until stop(); connections stay.
  void run();
  /// From any thread, or a signal's handler.
  void stop();
  /// What waits in the queue is the kernel's to reset.
  void stop_listening();
  /// Until all connections are closed, or for so long.
  void run_until_empty(double seconds);

 private:
  void add(int fd);
  void accept_one();
  void serve(int fd);
  /// One round; false once stop() was called.
  bool step(int patience_ms);

  int listener_ = -1;
  int epoll_ = -1;
  int wake_ = -1;
  std::uint16_t port_ = 0;
  std::string answer_;
  std::unordered_map<int, std::string> connections_;
};

}  // namespace sluice::bench
