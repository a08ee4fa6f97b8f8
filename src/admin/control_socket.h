#pragma once
// ControlSocket: the daemon's door for the person who runs it: HTTP/1.1 over a Unix socket of mode
// 0600 in a directory of mode 0700, and the kernel says who is at the other end. Nobody but our own
// user and root gets an answer; so there are no tokens here.
//
// Shard-confined. The operations and the log must outlive it.

#include <cstddef>
#include <string>

#include <sys/types.h>

#include "admin/operations.h"
#include "net/http_server.h"
#include "net/router.h"
#include "observe/log.h"

namespace sluice::admin {

/// Refuses (403) whoever is neither `ours` nor root, and whoever did not come over a Unix socket.
net::HttpGate peer_gate(uid_t ours);

/// Makes the directory of a private socket with mode 0700, or checks the one that is there:
/// kPermissionDenied if it is somebody else's or open to others, or no directory.
Result<void> prepare_private_directory(const std::string& directory);

class ControlSocket {
 public:
  static constexpr std::size_t kConnections = 256;

  /// around: what serves a request in place of the router, which it asks; empty: the router itself.
  ControlSocket(Shard& shard, const Operations& operations, Logger& log,
                net::HttpHandler around = {});

  /// For the routes of others that belong on the control socket, such as the terminal's chat.
  /// Before listen(). peer_gate() holds for them too.
  net::Router& router() { return router_; }

  /// The directory is made if it is missing. Errors: prepare_private_directory's and
  /// HttpServer::listen_unix's (kConflict: another daemon listens there).
  Result<void> listen(const std::string& path);
  /// Instead of listen(): takes over the socket of the process before this one.
  Result<void> adopt(int fd, const std::string& path) { return server_.adopt_unix(fd, path); }
  /// Accepts no more; the socket goes to a successor. -1: nothing is listened on.
  int release() {
    const auto released = server_.release_listeners();
    return released.empty() ? -1 : released.front().fd;
  }
  /// Returns how many exchanges were cut off at the deadline.
  Task<std::size_t> stop(MonoTime deadline) { return server_.stop(deadline); }

 private:
  net::Router router_;
  net::HttpServer server_;
};

}  // namespace sluice::admin
