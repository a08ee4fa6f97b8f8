#pragma once
// The ways to a service: a process that we start and speak to over its standard input and output,
// or a peer behind TCP or a Unix socket.
//
// Shard-confined. The Poller and the Reaper outlive the connectors and their links.

#include <cstdint>
#include <memory>
#include <string>

#include "net/poller.h"
#include "net/transport.h"
#include "services/framing.h"
#include "services/link.h"
#include "services/reaper.h"
#include "services/spawn.h"

namespace sluice::services {

/// A connected socket as a link. frame_most: bytes of what is received at once.
std::unique_ptr<Link> make_socket_link(Loop& loop, std::unique_ptr<net::Transport> transport,
                                       Framing framing, std::size_t frame_most = kFrameMost);

class ProcessConnector : public Connector {
 public:
  /// lock: a file that is held while a process of it lives, so that there is one at a time, also
  /// where two daemons hand over; empty: there may be several.
  ProcessConnector(net::Poller& poller, Reaper& reaper, ProcessPlan plan, Framing framing,
                   std::string lock = {})
      : poller_(poller),
        reaper_(reaper),
        plan_(std::move(plan)),
        framing_(framing),
        lock_(std::move(lock)) {}
  Task<Result<std::unique_ptr<Link>>> connect(MonoTime deadline, LogRing* log) override;
  std::string_view kind() const override { return "process"; }

 private:
  Task<Result<Descriptor>> hold_lock(MonoTime deadline);

  net::Poller& poller_;
  Reaper& reaper_;
  const ProcessPlan plan_;
  const Framing framing_;
  const std::string lock_;
};

class TcpConnector : public Connector {
 public:
  TcpConnector(net::Poller& poller, std::string host, std::uint16_t port, Framing framing)
      : poller_(poller), host_(std::move(host)), port_(port), framing_(framing) {}
  Task<Result<std::unique_ptr<Link>>> connect(MonoTime deadline, LogRing* log) override;
  std::string_view kind() const override { return "tcp"; }

 private:
  net::Poller& poller_;
  const std::string host_;
  const std::uint16_t port_;
  const Framing framing_;
};

class UnixConnector : public Connector {
 public:
  UnixConnector(net::Poller& poller, std::string path, Framing framing)
      : poller_(poller), path_(std::move(path)), framing_(framing) {}
  Task<Result<std::unique_ptr<Link>>> connect(MonoTime deadline, LogRing* log) override;
  std::string_view kind() const override { return "unix"; }

 private:
  net::Poller& poller_;
  const std::string path_;
  const Framing framing_;
};

}  // namespace sluice::services
