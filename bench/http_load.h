#pragma once
// HttpLoad: a client with a few keep-alive connections, each with one request under way. Runs on a
// thread of its own, so that its CPU is nobody else's.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sluice::bench {

class HttpLoad {
 public:
  using MakeRequest = std::function<std::string(std::size_t connection, std::uint64_t number)>;
  HttpLoad(std::uint16_t port, std::size_t connections, MakeRequest make);
  ~HttpLoad();
  HttpLoad(const HttpLoad&) = delete;
  HttpLoad& operator=(const HttpLoad&) = delete;

  /// Returns how many were answered 2xx; anything else ends the process. per_second: at most so
  /// many, evenly; 0: as many as the server takes.
  std::uint64_t run(double seconds, double per_second = 0);
  /// Head and body, as they came.
  const std::string& last_answer() const { return last_answer_; }

 private:
  struct Connection {
    int fd = -1;
    std::uint64_t number = 0;
    std::string in;
  };
  void connect_all();
  void send_next(std::size_t i);
  /// True when the answer is whole.
  bool take(Connection& connection);

  const std::uint16_t port_;
  MakeRequest make_;
  std::vector<Connection> connections_;
  std::string last_answer_;
  int epoll_ = -1;
};

}  // namespace sluice::bench
