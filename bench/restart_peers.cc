#include "restart_peers.h"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <vector>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "epoll_server.h"
#include "measure.h"
#include "restarted_daemon.h"

namespace sluice::bench {
namespace {

/// Of the loopback, free a moment ago.
std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  SLUICE_ASSERT(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

bool until(const std::function<bool()>& what) {
  const double end = wall_seconds() + RestartPeer::kPatience;
  while (!what()) {
    if (wall_seconds() > end) return false;
    rest(0.001);
  }
  return true;
}

std::vector<int> children_of(int pid) {
  std::ifstream in(fmt::format("/proc/{0}/task/{0}/children", pid));
  return {std::istream_iterator<int>(in), {}};
}

bool accepts(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool accepted = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return accepted;
}

std::string written(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  return path;
}

constexpr const char* kNginxConfig = R"(worker_processes 1;
pid {0}/nginx.pid;
error_log {0}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {0}/body;
  proxy_temp_path {0}/proxy;
  fastcgi_temp_path {0}/fastcgi;
  uwsgi_temp_path {0}/uwsgi;
  scgi_temp_path {0}/scgi;
  server {{
    listen 127.0.0.1:{1} backlog=4096;
    location / {{ return 200 "ok"; }}
  }}
}}
)";

class Nginx : public RestartPeer {
 public:
  explicit Nginx(const std::string& directory)
      : port_(free_port()),
        pid_file_(directory + "/nginx.pid"),
        // As a daemon: in the foreground it does not let itself be replaced. It starts its
        // successor by its first argument, which has to be a whole path.
        starter_(
            {kNginx, "-e", directory + "/error.log", "-c",
             written(directory + "/nginx.conf", fmt::format(kNginxConfig, directory, port_))}) {
    (void)starter_.read_all();
    SLUICE_ASSERT(until([this] { return serves(0); }));
  }
  ~Nginx() override {
    ::kill(master_, SIGTERM);
    wait_for_end(master_);
  }
  std::uint16_t port() const override { return port_; }

  bool restart() override {
    const int earlier = master_;
    ::kill(earlier, SIGUSR2);
    if (!until([&] { return serves(earlier); })) return false;
    ::kill(earlier, SIGWINCH);
    if (!until([&] { return children_of(earlier).size() <= 1; })) return false;
    ::kill(earlier, SIGQUIT);
    wait_for_end(earlier);
    return true;
  }

 private:
  /// There is a master other than this, with workers.
  bool serves(int earlier) {
    int pid = 0;
    std::ifstream(pid_file_) >> pid;
    if (pid == 0 || pid == earlier || children_of(pid).empty()) return false;
    master_ = pid;
    return true;
  }

  const std::uint16_t port_;
  const std::string pid_file_;
  ChildProcess starter_;
  int master_ = 0;
};

constexpr const char* kHaproxyConfig = R"(global
  stats socket {0}/haproxy.sock mode 600 level admin expose-fd listeners
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:{1} backlog 4096
  http-request return status 200 content-type text/plain string ok
)";

class Haproxy : public RestartPeer {
 public:
  explicit Haproxy(const std::string& directory)
      : port_(free_port()),
        master_(
            {kHaproxy, "-W", "-q", "-f",
             written(directory + "/haproxy.cfg", fmt::format(kHaproxyConfig, directory, port_))}) {
    SLUICE_ASSERT(until([this] { return accepts(port_) && !children_of(master_.pid()).empty(); }));
    worker_ = children_of(master_.pid()).back();
  }
  std::uint16_t port() const override { return port_; }

  bool restart() override {
    ::kill(master_.pid(), SIGUSR2);
    int next = 0;
    const bool came = until([&] {
      const std::vector<int> workers = children_of(master_.pid());
      if (!workers.empty() && workers.back() != worker_) next = workers.back();
      return next != 0;
    });
    // A second signal before the master has read the first one's configuration counts for nothing.
    if (!came || !until([&] { return children_of(master_.pid()).size() == 1; })) return false;
    worker_ = next;
    return true;
  }

 private:
  const std::uint16_t port_;
  ChildProcess master_;
  int worker_ = 0;
};

EpollServer* serving = nullptr;  // for the signal's handler

}  // namespace

std::unique_ptr<RestartPeer> make_nginx(const std::string& directory) {
  if (::access(kNginx, X_OK) != 0) return nullptr;
  return std::make_unique<Nginx>(directory);
}

std::unique_ptr<RestartPeer> make_haproxy(const std::string& directory) {
  if (::access(kHaproxy, X_OK) != 0) return nullptr;
  return std::make_unique<Haproxy>(directory);
}

ReusePortPeer::ReusePortPeer()
    : port_(free_port()),
      current_(std::make_unique<Helper>(
          std::vector<std::string>{"reuseport-server", std::to_string(port_)})) {}

bool ReusePortPeer::restart() {
  auto next =
      std::make_unique<Helper>(std::vector<std::string>{"reuseport-server", std::to_string(port_)});
  std::swap(current_, next);
  // One that was stopped (SIGSTOP) hears nothing else; its end is waited for.
  ::kill(next->pid(), SIGTERM);
  ::kill(next->pid(), SIGCONT);
  return true;
}

int reuseport_server(std::uint16_t port) {
  EpollServer server(port);
  server.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  serving = &server;
  std::signal(SIGTERM, [](int) { serving->stop(); });
  fmt::print("port {}\n", server.port());
  std::fflush(stdout);
  server.run();
  server.stop_listening();
  server.run_until_empty(1);
  return 0;
}

}  // namespace sluice::bench
