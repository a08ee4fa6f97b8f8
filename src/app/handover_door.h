#pragma once
// HandoverDoor: the socket at which a process that nobody spawned (`sluice run --take-over`) says
// that it is the successor. Beside the control socket, 0600, in a directory of the daemon's own.
//
// Shard-confined; one waits at a time. Whoever comes in has proven nothing but its user and its
// process, as the kernel tells them (unix(7), SO_PEERCRED).

#include <memory>
#include <string>

#include <sys/types.h>

#include "base/result.h"
#include "net/poller.h"
#include "services/descriptor.h"

namespace sluice::app {

class HandoverDoor {
 public:
  struct Visitor {
    services::Descriptor socket;
    services::Descriptor process;  // its pidfd
    pid_t pid = -1;
    uid_t user = 0;
  };

  /// What lies at the path is removed: it must be this process's to use. kInvalidArgument: the path
  /// is too long.
  static Result<std::unique_ptr<HandoverDoor>> open(Shard& shard, std::string path);
  /// Removes the path, unless it was left to a successor.
  ~HandoverDoor();
  void leave_path() { path_.clear(); }
  /// Whoever comes next. A visitor that is gone again is left out.
  Task<Visitor> next();

  /// The other side. kNotFound: nobody listens there.
  static Result<services::Descriptor> knock(const std::string& path);

 private:
  HandoverDoor(Shard& shard, std::string path, services::Descriptor socket);

  net::Poller poller_;
  std::string path_;
  services::Descriptor socket_;
  net::Watch watch_;
};

}  // namespace sluice::app
