#pragma once
// Link: one connection with a service, as frames; Connector: how another one is made. The owner of
// a service (service.h) knows no sockets and no processes; its tests bring links of their own.
//
// Shard-confined. Destroying a Link cuts it off at once: sockets are closed, a process is killed
// with its group.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/task.h"
#include "services/log_ring.h"

namespace sluice::services {

class Link {
 public:
  virtual ~Link() = default;
  /// The next frame. kUnavailable: it has ended, with what is known of why; kTooLarge,
  /// kBadResponse: what comes can't be understood. One at a time; after an error never again.
  virtual Task<Result<std::string>> receive() = 0;
  /// One at a time. After an error part of it may have left, and the link is of no use any more.
  virtual Task<Result<void>> send(std::string message, MonoTime deadline) = 0;
  /// Asks the other end to go and waits for it; at the deadline it is cut off. Nothing is received
  /// from then on.
  virtual Task<void> close(MonoTime deadline) = 0;
  /// 0: it is no process of ours.
  virtual std::int64_t process_id() const { return 0; }
};

class Connector {
 public:
  virtual ~Connector() = default;
  /// log outlives the link; what the service writes to its standard error goes there.
  virtual Task<Result<std::unique_ptr<Link>>> connect(MonoTime deadline, LogRing* log) = 0;
  /// "process", "tcp", "unix".
  virtual std::string_view kind() const = 0;
};

}  // namespace sluice::services
