#pragma once
// EpollServer: the least a server can do: epoll, read, find the end of the request, write an answer
// that was made beforehand. The reference of the row about HTTP.
//
// run() on one thread; stop() from any.

#include <cstdint>
#include <string>
#include <unordered_map>

namespace sluice::bench {

class EpollServer {
 public:
  EpollServer();
  ~EpollServer();
  EpollServer(const EpollServer&) = delete;
  EpollServer& operator=(const EpollServer&) = delete;

  std::uint16_t port() const { return port_; }
  void answer_with(std::string answer) { answer_ = std::move(answer); }
  /// Until stop(); connections stay.
  void run();
  void stop();

 private:
  void add(int fd);
  void accept_one();
  void serve(int fd);

  int listener_ = -1;
  int epoll_ = -1;
  int wake_ = -1;
  std::uint16_t port_ = 0;
  std::string answer_;
  std::unordered_map<int, std::string> connections_;
};

}  // namespace sluice::bench
