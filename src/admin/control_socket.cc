#include "admin/control_socket.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/routes.h"

namespace sluice::admin {
namespace {

net::HttpServerOptions server_options() {
  net::HttpServerOptions options;
  options.max_connections = ControlSocket::kConnections;
  return options;
}

net::HttpServerHooks server_hooks(const net::Router& router, Logger& log, net::HttpHandler around) {
  net::HttpServerHooks hooks;
  router.attach(hooks);
  if (around) hooks.handler = std::move(around);
  hooks.on_error = [to = &log](const Error& error) {
    to->warn("control_socket_error", {{"error", error.to_string()}});
  };
  return hooks;
}

}  // namespace

net::HttpGate peer_gate(uid_t ours) {
  return [ours](const net::HttpRequest& request) {
    const auto& peer = request.unix_peer;
    if (peer && (peer->uid == ours || peer->uid == 0)) return net::GateDecision::pass();
    return net::GateDecision::refuse(
        net::HttpResponse::problem(403, "permission-denied", "Forbidden",
                                   "only the user who runs the daemon, and root, may ask here"));
  };
}

Result<void> prepare_private_directory(const std::string& directory) {
  const auto denied = [&](std::string_view why) {
    return Error(ErrorKind::kPermissionDenied, fmt::format("{}: {}", directory, why));
  };
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return denied(std::strerror(errno));
  struct stat info{};
  if (::lstat(directory.c_str(), &info) != 0) return denied(std::strerror(errno));
  if (!S_ISDIR(info.st_mode)) return denied("is not a directory");
  if (info.st_uid != ::geteuid()) return denied("belongs to another user");
  if ((info.st_mode & 077) != 0) return denied("is open to other users; chmod 0700 it");
  return {};
}

ControlSocket::ControlSocket(Shard& shard, const Operations& operations, Logger& log,
                             net::HttpHandler around)
    : server_(shard, server_options(), server_hooks(router_, log, std::move(around))) {
  router_.set_gate(peer_gate(::geteuid()));
  mount(router_, operations, log, Face::kSocket);
}

Result<void> ControlSocket::listen(const std::string& path) {
  const auto prepared = prepare_private_directory(std::filesystem::path(path).parent_path());
  if (!prepared) return prepared.error();
  return server_.listen_unix(path);
}

}  // namespace sluice::admin
