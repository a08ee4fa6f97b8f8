#pragma once
// For tests of net: a shard on a thread of its own, and a plain blocking client that can misbehave.

#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/endpoint.h"
#include "runtime/shard.h"
#include "runtime/task_group.h"

namespace sluice::net::test {

/// Runs a shard; everything of the shard is touched through run() and await().
class ShardThread {
 public:
  ShardThread() : shard_(clock_, 1), group_(shard_), thread_([this] { shard_.run(); }) {}
  ~ShardThread() {
    run([this] { group_.cancel(); });
    shard_.stop();
    thread_.join();
  }

  Shard& shard() { return shard_; }
  TaskGroup& group() { return group_; }

  void run(std::function<void()> f) {
    std::promise<void> done;
    shard_.post_from_any_thread([&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }
  /// Makes the task on the shard, runs it there and returns what it returned.
  template <class T>
  T await(std::function<Task<T>()> make) {
    auto done = std::make_shared<std::promise<T>>();
    std::future<T> result = done->get_future();
    shard_.post_from_any_thread(
        [this, make, done] { group_.spawn("test", fulfil<T>(make, done)); });
    return result.get();
  }

 private:
  template <class T>
  static Task<void> fulfil(std::function<Task<T>()> make, std::shared_ptr<std::promise<T>> done) {
    Task<T> task = make();
    done->set_value(co_await std::move(task));
  }

  SystemClock clock_;
  Shard shard_;
  TaskGroup group_;
  std::thread thread_;
};

/// A blocking socket. Ten seconds without a byte fail the test instead of hanging it.
class RawSocket {
 public:
  explicit RawSocket(int fd) : fd_(fd) {
    const timeval limit{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  ~RawSocket() { close(); }
  RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RawSocket(const RawSocket&) = delete;

  static RawSocket connect(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return RawSocket(fd);
  }
  static RawSocket connect_unix(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return RawSocket(fd);
  }

  /// False when the peer does not take it any more.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// What comes until mark has been seen, mark included; less if the peer closes.
  std::string read_until(std::string_view mark) {
    while (buffer_.find(mark) == std::string::npos && more()) {
    }
    return take(
        std::min(buffer_.find(mark), buffer_.size() - std::min(mark.size(), buffer_.size())) +
        std::min(mark.size(), buffer_.size()));
  }
  std::string read_all() {
    while (more()) {
    }
    return take(buffer_.size());
  }
  std::string read_exactly(std::size_t size) {
    while (buffer_.size() < size && more()) {
    }
    return take(std::min(size, buffer_.size()));
  }
  /// One response with Content-Length.
  std::string read_response() {
    std::string head = read_until("\r\n\r\n");
    const std::size_t at = head.find("Content-Length: ");
    if (at == std::string::npos) return head;
    const std::size_t size = std::stoul(head.substr(at + 16));
    while (buffer_.size() < size && more()) {
    }
    return head + take(std::min(size, buffer_.size()));
  }
  /// True if the peer closes without another byte.
  bool closed_by_peer() { return buffer_.empty() && !more() && buffer_.empty(); }
  void shutdown_write() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int fd() const { return fd_; }

 private:
  bool more() {
    char chunk[65536];
    const ssize_t n = ::recv(fd_, chunk, sizeof chunk, 0);
    EXPECT_FALSE(n < 0 && errno == EAGAIN) << "nothing came for ten seconds";
    if (n > 0) buffer_.append(chunk, static_cast<std::size_t>(n));
    return n > 0;
  }
  std::string take(std::size_t size) {
    std::string out = buffer_.substr(0, size);
    buffer_.erase(0, out.size());
    return out;
  }
  int fd_;
  std::string buffer_;
};

/// A server of one's own making: each connection is handed to a blocking function, one after the
/// other.
class RawServer {
 public:
  explicit RawServer(std::function<void(RawSocket&)> serve, int connections = 1) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::listen(fd_, 16);
    socklen_t size = sizeof address;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve, connections] {
      for (int i = 0; i < connections; ++i) {
        const int client = ::accept(fd_, nullptr, nullptr);
        if (client < 0) return;
        RawSocket socket(client);
        serve(socket);
      }
    });
  }
  ~RawServer() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  std::uint16_t port() const { return port_; }

 private:
  int fd_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

/// A directory that goes away with the test.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "net_test_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace sluice::net::test
