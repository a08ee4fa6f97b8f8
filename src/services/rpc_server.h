#pragma once
// RpcServer: a port of the loopback where JSON-RPC is answered, each message behind four bytes of
// its length: for services that register themselves (registry.h) and for those that call back
// (callbacks.h). Who asks says so in each request; the server knows nobody.
//
// Shard-confined. What the handler uses outlives it. Destroying it closes the port and cuts every
// connection, and the tasks of requests under way with it.
//
// Limits: kConnectionsMost at once, more are closed; kRequestMost bytes of a request; kIdleMost
// without one; those of a Connection.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/json/value.hpp>

#include "net/poller.h"
#include "observe/log.h"
#include "runtime/task_group.h"
#include "services/connection.h"
#include "services/descriptor.h"

namespace sluice::services {

class RpcServer {
 public:
  static constexpr std::size_t kConnectionsMost = 64;
  static constexpr std::size_t kRequestMost = 1 << 20;
  static constexpr Duration kIdleMost = std::chrono::minutes(10);

  using Handler =
      std::function<Task<Connection::Answer>(std::string method, boost::json::value params)>;

  RpcServer(net::Poller& poller, Logger& log, Handler handler);
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  /// On 127.0.0.1; 0: any free port. kConflict: somebody listens there.
  Result<void> listen(std::uint16_t port);
  /// Takes over a socket that listens already; what waits there is accepted here.
  Result<void> adopt(Descriptor socket);
  /// For a successor: connections are cut, and who connects from now on waits at the socket.
  Descriptor release();
  /// 0: it does not listen.
  std::uint16_t port() const { return port_; }

 private:
  Task<void> accept();
  Task<void> serve(Descriptor socket);

  net::Poller& poller_;
  Logger& log_;
  Handler handler_;
  Descriptor socket_;
  std::uint16_t port_ = 0;
  net::Watch watch_;
  std::size_t connections_ = 0;
  TaskGroup tasks_;
};

}  // namespace sluice::services
