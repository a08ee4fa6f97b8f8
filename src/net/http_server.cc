#include "net/http_server.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/http_connection.h"

namespace sluice::net {
namespace {

constexpr int kBacklog = 4096;        // the kernel lowers it to net.core.somaxconn
constexpr int kAcceptsPerRound = 64;  // then others get their turn
constexpr int kLastRounds = kBacklog / kAcceptsPerRound + 1;
constexpr std::size_t kTurnedAway = 64;  // connections over the bound that still get their 503

Error system_error(ErrorKind kind, const std::string& what, int error) {
  return Error(kind, what + ": " + std::strerror(error));
}

Error bind_error(const std::string& where, int error) {
  return system_error(error == EADDRINUSE ? ErrorKind::kConflict : ErrorKind::kInvalidArgument,
                      "listening on " + where, error);
}

bool out_of_descriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/// A descriptor that closes itself until it is released.
class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// Makes room for a new socket at path, unless somebody listens there.
Result<void> remove_stale_socket(const std::string& path, const sockaddr_un& address) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return system_error(ErrorKind::kInvalidArgument, path, errno);
  }
  if (!S_ISSOCK(info.st_mode)) return Error(ErrorKind::kConflict, path + " is not a socket");
  const OwnedFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (probe.get() < 0) return system_error(ErrorKind::kUnavailable, path, errno);
  const int connected =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // A full backlog (EAGAIN) is a living listener too.
  if (connected == 0 || errno != ECONNREFUSED) {
    return Error(ErrorKind::kConflict, "another server listens on " + path);
  }
  if (::unlink(path.c_str()) != 0) return system_error(ErrorKind::kConflict, path, errno);
  return {};
}

}  // namespace

/// One listening socket; a Unix one takes its name away again.
struct Listener {
  Listener(Poller& poller, Loop& loop, int descriptor)
      : fd(descriptor), watch(poller), accepting(loop) {}
  ~Listener() {
    accepting.cancel();
    watch.stop();
    struct stat info{};
    if (!unix_path.empty() && ::lstat(unix_path.c_str(), &info) == 0 && info.st_dev == device &&
        info.st_ino == inode) {
      ::unlink(unix_path.c_str());
    }
  }

  OwnedFd fd;
  Watch watch;
  std::shared_ptr<TlsContext> tls;
  std::optional<Endpoint> bound;  // TCP
  std::string unix_path;
  dev_t device = 0;
  ino_t inode = 0;
  TaskGroup accepting;
};

struct HttpServer::Impl {
  Impl(Shard& shard, HttpServerOptions options, HttpServerHooks hooks)
      : shared(shard, options, std::move(hooks)), group(shard) {}

  Result<void> start(std::unique_ptr<Listener> listener);
  static Task<void> accept_loop(Impl* self, Listener* listener);
  bool accept_some(Listener& listener, int* error);
  void accept_last(Listener& listener);
  void welcome(int fd, const sockaddr_storage& from, Listener& listener);

  HttpServerShared shared;
  TaskGroup group;  // the connections
  std::vector<std::unique_ptr<Listener>> listeners;
};

Result<void> HttpServer::Impl::start(std::unique_ptr<Listener> listener) {
  if (::listen(listener->fd.get(), kBacklog) != 0) return bind_error("socket", errno);
  auto watched = listener->watch.start(listener->fd.get());
  if (!watched) return watched.error();
  Listener& started = *listeners.emplace_back(std::move(listener));
  started.accepting.spawn("http accept", accept_loop(this, &started));
  return {};
}

Task<void> HttpServer::Impl::accept_loop(Impl* self, Listener* listener) {
  Shard& shard = self->shared.shard;
  for (;;) {
    co_await listener->watch.wait(Watch::Side::kRead, MonoTime::max());
    int error = 0;
    if (self->accept_some(*listener, &error)) {
      co_await yield(shard);
    } else if (out_of_descriptors(error)) {
      // The connection stays in the backlog and would wake us at once: wait for somebody to close.
      self->shared.report(system_error(ErrorKind::kOverloaded, "accept", error));
      co_await sleep_for(shard, self->shared.options.accept_backoff);
    }
  }
}

/// True if there may be more. Sets error when accepting itself failed.
bool HttpServer::Impl::accept_some(Listener& listener, int* error) {
  for (int i = 0; i < kAcceptsPerRound; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd = ::accept4(listener.fd.get(), reinterpret_cast<sockaddr*>(&from), &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      welcome(fd, from, listener);
      continue;
    }
    if (errno == EAGAIN) {
      listener.watch.exhausted(Watch::Side::kRead);
      return false;
    }
    *error = errno;
    // Others are troubles of that one connection (ECONNABORTED, EPROTO): go on with the next.
    if (out_of_descriptors(errno)) return false;
  }
  return true;
}

void HttpServer::Impl::welcome(int fd, const sockaddr_storage& from, Listener& listener) {
  ++shared.stats.accepted;
  std::string peer = "unix";
  std::optional<PeerCredentials> credentials;
  if (from.ss_family == AF_INET || from.ss_family == AF_INET6) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peer = from_sockaddr(from).to_string();
  } else {
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) {
      credentials = PeerCredentials{who.uid, who.gid, who.pid};
    }
  }
  const bool full = shared.stats.connections >= shared.options.max_connections;
  auto connection = std::make_unique<HttpConnection>(shared, std::move(peer), credentials);
  auto adopted = connection->adopt(fd);
  if (!adopted || full) ++shared.stats.refused_connections;
  if (!adopted) {
    shared.report(adopted.error());
    return;
  }
  if (!full) {
    group.spawn("http connection", HttpConnection::serve(std::move(connection), listener.tls));
    return;
  }
  // In the middle of a TLS handshake there is no way to say 503.
  const bool can_answer = listener.tls == nullptr &&
                          shared.stats.connections < shared.options.max_connections + kTurnedAway;
  if (can_answer) group.spawn("http 503", HttpConnection::turn_away(std::move(connection)));
}

HttpServer::HttpServer(Shard& shard, HttpServerOptions options, HttpServerHooks hooks)
    : impl_(std::make_unique<Impl>(shard, options, std::move(hooks))) {}
HttpServer::~HttpServer() = default;

/// While it lives, our own listeners on a port do not keep another one from it: an address that
/// overlaps with one of ours ("0.0.0.0" in the place of "127.0.0.1") is bound before that is
/// closed.
class SharedPort {
 public:
  SharedPort(const std::vector<std::unique_ptr<Listener>>& ours, std::uint16_t port, int fd) {
    for (const auto& listener : ours) {
      if (listener->bound && listener->bound->port == port) all_.push_back(listener->fd.get());
    }
    if (!all_.empty()) all_.push_back(fd);
    set(1);
  }
  ~SharedPort() { set(0); }
  SharedPort(const SharedPort&) = delete;
  SharedPort& operator=(const SharedPort&) = delete;

 private:
  void set(int on) const {
    for (const int fd : all_) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  }
  std::vector<int> all_;
};

Result<Endpoint> HttpServer::listen_tcp(const std::string& host, std::uint16_t port,
                                        std::shared_ptr<TlsContext> tls) {
  auto address = IpAddress::parse(host == "localhost" ? "127.0.0.1" : host);
  if (!address) return address.error().within("listening on " + host);
  const Endpoint wanted{*address, port};
  sockaddr_storage storage{};
  socklen_t size = to_sockaddr(wanted, storage);
  const int fd = ::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return bind_error(wanted.to_string(), errno);
  auto listener = std::make_unique<Listener>(impl_->shared.poller, impl_->shared.shard, fd);
  listener->tls = std::move(tls);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // "::" means IPv6 only: who wants both says both, on every machine alike.
  if (!address->v4) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  const bool ours = std::any_of(impl_->listeners.begin(), impl_->listeners.end(),
                                [&](const auto& other) { return other->bound == wanted; });
  if (ours) return bind_error(wanted.to_string(), EADDRINUSE);
  const SharedPort shared(impl_->listeners, port, fd);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) != 0) {
    return bind_error(wanted.to_string(), errno);
  }
  size = sizeof storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  const Endpoint bound = from_sockaddr(storage);
  listener->bound = bound;
  auto started = impl_->start(std::move(listener));
  if (!started) return started.error().within(wanted.to_string());
  return bound;
}

Result<void> HttpServer::listen_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error(ErrorKind::kInvalidArgument,
                 fmt::format("a socket's path may have at most {} bytes: {}",
                             sizeof address.sun_path - 1, path));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  auto removed = remove_stale_socket(path, address);
  if (!removed) return removed.error();
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return bind_error(path, errno);
  auto listener = std::make_unique<Listener>(impl_->shared.poller, impl_->shared.shard, fd);
  // Before bind, so that the name never exists with wider rights, whatever the umask.
  if (::fchmod(fd, 0600) != 0 ||
      ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return bind_error(path, errno);
  }
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return bind_error(path, errno);
  listener->unix_path = path;
  listener->device = info.st_dev;
  listener->inode = info.st_ino;
  if (::chmod(path.c_str(), 0600) != 0) return bind_error(path, errno);
  return impl_->start(std::move(listener));
}

Result<Endpoint> HttpServer::adopt_tcp(int fd, std::shared_ptr<TlsContext> tls) {
  auto listener = std::make_unique<Listener>(impl_->shared.poller, impl_->shared.shard, fd);
  listener->tls = std::move(tls);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  const Endpoint bound = from_sockaddr(storage);
  listener->bound = bound;
  auto started = impl_->start(std::move(listener));
  if (!started) return started.error().within(bound.to_string());
  return bound;
}

Result<void> HttpServer::adopt_unix(int fd, const std::string& path) {
  auto listener = std::make_unique<Listener>(impl_->shared.poller, impl_->shared.shard, fd);
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return bind_error(path, errno);
  listener->unix_path = path;
  listener->device = info.st_dev;
  listener->inode = info.st_ino;
  return impl_->start(std::move(listener));
}

std::vector<HttpServer::Released> HttpServer::release_listeners() {
  std::vector<Released> out;
  for (const auto& listener : impl_->listeners) {
    listener->accepting.cancel();
    listener->watch.stop();
    out.push_back(
        {listener->bound, std::exchange(listener->unix_path, {}), listener->fd.release()});
  }
  impl_->listeners.clear();
  return out;
}

void HttpServer::retire_connections() { impl_->shared.retiring = true; }

void HttpServer::Impl::accept_last(Listener& listener) {
  // What the kernel has accepted for us would be reset: those clients are better told.
  int error = 0;
  for (int round = 0; round < kLastRounds && accept_some(listener, &error); ++round) {
  }
}

void HttpServer::close_listeners() {
  for (const auto& listener : impl_->listeners) impl_->accept_last(*listener);
  impl_->listeners.clear();
}

void HttpServer::close_listener(const Endpoint& bound) {
  std::erase_if(impl_->listeners, [&](const std::unique_ptr<Listener>& listener) {
    if (listener->bound != bound) return false;
    impl_->accept_last(*listener);
    return true;
  });
}

void HttpServer::set_tls(std::shared_ptr<TlsContext> tls) {
  for (const auto& listener : impl_->listeners) {
    if (listener->bound) listener->tls = tls;
  }
}

Task<std::size_t> HttpServer::stop(MonoTime deadline) {
  close_listeners();
  impl_->shared.stopping = true;
  impl_->shared.connections.for_each([](HttpConnection& c) { c.wake_for_stop(); });
  const std::size_t left = co_await impl_->group.join(deadline);
  impl_->group.cancel();
  co_return left;
}

HttpServerStats HttpServer::stats() const { return impl_->shared.stats; }

}  // namespace sluice::net
