#pragma once
// What a restart under load is compared with: servers of others that hand their listening socket
// over, and one of our own that opens a second one beside it (SO_REUSEPORT), as is often done: the
// kernel resets what waits in the first one's queue, so that it shows whether losses are seen.
//
// For a process that has called adopt_orphans(). Each ends with its object.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "child_process.h"

namespace sluice::bench {

class RestartPeer {
 public:
  static constexpr double kPatience = 10;  // seconds for one restart
  virtual ~RestartPeer() = default;
  virtual std::uint16_t port() const = 0;
  /// Returns when the next one serves and the one before has ended, or stopped to accept. False:
  /// it did not come to that.
  virtual bool restart() = 0;
};

inline constexpr const char* kNginx = "/usr/sbin/nginx";
inline constexpr const char* kHaproxy = "/usr/sbin/haproxy";

/// Binary upgrade: USR2, and WINCH and QUIT once the new master has workers. nullptr: not
/// installed.
std::unique_ptr<RestartPeer> make_nginx(const std::string& directory);
/// Reload of the master (USR2), with its sockets handed over. nullptr: not installed.
std::unique_ptr<RestartPeer> make_haproxy(const std::string& directory);

class ReusePortPeer : public RestartPeer {
 public:
  ReusePortPeer();
  std::uint16_t port() const override { return port_; }
  bool restart() override;
  int pid() const { return current_->pid(); }

 private:
  std::uint16_t port_;
  std::unique_ptr<Helper> current_;
};

/// sluice_bench reuseport-server PORT: serves until SIGTERM, and then what it has accepted.
int reuseport_server(std::uint16_t port);

}  // namespace sluice::bench
