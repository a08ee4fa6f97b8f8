#include "net/transport.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"

namespace sluice::net {
namespace {

Error unreachable(std::string_view what, int error) {
  return Error(ErrorKind::kUnavailable, std::string(what) + ": " + std::strerror(error),
               ErrorSource::kPeer, Retry::with_backoff());
}

Error too_slow(std::string_view what) {
  return Error(ErrorKind::kTimeout, std::string(what), ErrorSource::kPeer, Retry::with_backoff());
}

}  // namespace

/// OpenSSL's way to our descriptor. Its own socket BIO would raise SIGPIPE and could not tell the
/// Watch what it saw.
struct Transport::Bio {
  static Transport& of(BIO* bio) { return *static_cast<Transport*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t n = of(bio).receive(out, static_cast<std::size_t>(size));
    if (n < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
    return static_cast<int>(n);
  }
  static int write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t n = of(bio).send_some(data, static_cast<std::size_t>(size));
    if (n < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
    return static_cast<int>(n);
  }
  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return of(bio).saw_eof_ ? 1 : 0;
    return 0;
  }
};

bio_method_st* Transport::make_bio_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "sluice transport");
  if (method == nullptr) return nullptr;
  BIO_meth_set_read(method, Bio::read);
  BIO_meth_set_write(method, Bio::write);
  BIO_meth_set_ctrl(method, Bio::control);
  return method;
}

Transport::~Transport() {
  watch_.stop();
  if (ssl_ != nullptr) SSL_free(ssl_);
  if (fd_ >= 0) ::close(fd_);
}

Result<void> Transport::adopt(int fd) {
  SLUICE_ASSERT(fd_ < 0 && fd >= 0);
  fd_ = fd;
  return watch_.start(fd);
}

Task<Result<void>> Transport::connect(Endpoint endpoint, MonoTime deadline) {
  const std::string to = endpoint.to_string();
  sockaddr_storage address{};
  const socklen_t size = to_sockaddr(endpoint, address);
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return unreachable("socket", errno);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fd_ = fd;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 &&
      errno != EINPROGRESS) {
    co_return unreachable(to, errno);
  }
  co_return co_await wait_connected(to, deadline);
}

Task<Result<void>> Transport::connect_unix(std::string path, MonoTime deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    co_return Error(ErrorKind::kInvalidArgument, "socket path too long: " + path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return unreachable("socket", errno);
  fd_ = fd;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    co_return unreachable(path, errno);
  }
  co_return co_await wait_connected(path, deadline);
}

Task<Result<void>> Transport::wait_connected(std::string to, MonoTime deadline) {
  auto started = watch_.start(fd_);
  if (!started) co_return started.error();
  const Wake wake = co_await watch_.wait(Watch::Side::kWrite, deadline);
  if (wake == Wake::kTimeout) co_return too_slow("connecting to " + to);
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) co_return unreachable(to, error);
  co_return Result<void>();
}

Task<Result<void>> Transport::handshake(std::shared_ptr<TlsContext> context, std::string host,
                                        MonoTime deadline) {
  tls_ = std::move(context);
  ERR_clear_error();
  ssl_ = SSL_new(tls_->native());
  BIO* bio = BIO_new(tls_->bio_method());
  SLUICE_ASSERT(ssl_ != nullptr && bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  if (tls_->is_server()) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
    if (IpAddress::parse(host)) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str());
    } else {
      SSL_set1_host(ssl_, host.c_str());
      SSL_set_tlsext_host_name(ssl_, host.c_str());
    }
  }
  for (;;) {
    ERR_clear_error();
    const Io io = tls_result(SSL_do_handshake(ssl_));
    if (io.status == Status::kDone) break;
    if (io.status != Status::kBlocked) co_return handshake_error();
    const Wake wake = co_await watch_.wait(io.side, deadline);
    if (wake != Wake::kReady) co_return too_slow("TLS handshake");
  }
  wrote_any_ = false;  // the handshake is not a request
  co_return Result<void>();
}

Error Transport::handshake_error() const {
  const long verified = SSL_get_verify_result(ssl_);
  std::string reason = take_tls_error();
  if (verified != X509_V_OK) reason = X509_verify_cert_error_string(verified);
  if (reason.empty()) reason = "closed by peer";
  return Error(ErrorKind::kUnavailable, "TLS handshake: " + reason, ErrorSource::kPeer,
               Retry::with_backoff());
}

ssize_t Transport::receive(char* out, std::size_t size) {
  if (!watch_.is_ready(Watch::Side::kRead)) {
    errno = EAGAIN;
    return -1;
  }
  ssize_t n = 0;
  do {
    n = ::recv(fd_, out, size, 0);
  } while (n < 0 && errno == EINTR);
  if (n == 0) saw_eof_ = true;
  const bool short_read = n > 0 && static_cast<std::size_t>(n) < size;
  // After a short read only a FIN can be left, and a hang-up has been reported by then or will be.
  if ((n < 0 && errno == EAGAIN) || (short_read && !watch_.hung_up())) {
    const int kept = errno;
    watch_.exhausted(Watch::Side::kRead);
    errno = kept;
  }
  return n;
}

ssize_t Transport::send_some(const char* data, std::size_t size) {
  ssize_t n = 0;
  do {
    n = ::send(fd_, data, size, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) watch_.exhausted(Watch::Side::kWrite);
  if (n > 0) wrote_any_ = true;
  return n;
}

Transport::Io Transport::tls_result(int result) {
  if (result > 0) return {Status::kDone, static_cast<std::size_t>(result), {}};
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return {Status::kBlocked, 0, Watch::Side::kRead};
    case SSL_ERROR_WANT_WRITE:
      return {Status::kBlocked, 0, Watch::Side::kWrite};
    case SSL_ERROR_ZERO_RETURN:
      return {Status::kEof, 0, {}};
    default:
      return {Status::kFailed, 0, {}};
  }
}

Transport::Io Transport::try_read(char* out, std::size_t size) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    return tls_result(SSL_read(ssl_, out, static_cast<int>(size)));
  }
  const ssize_t n = receive(out, size);
  if (n > 0) return {Status::kDone, static_cast<std::size_t>(n), {}};
  if (n == 0) return {Status::kEof, 0, {}};
  return {errno == EAGAIN ? Status::kBlocked : Status::kFailed, 0, Watch::Side::kRead};
}

Transport::Io Transport::try_write(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (ssl_ != nullptr) {
    ERR_clear_error();
    const int size = static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 30));
    return tls_result(SSL_write(ssl_, bytes.data(), size));
  }
  const ssize_t n = send_some(bytes.data(), bytes.size());
  if (n >= 0) return {Status::kDone, static_cast<std::size_t>(n), {}};
  return {errno == EAGAIN ? Status::kBlocked : Status::kFailed, 0, Watch::Side::kWrite};
}

Task<Result<void>> Transport::write_all(std::string bytes, Duration stall, MonoTime deadline) {
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const Io io = try_write(rest);
    if (io.status == Status::kDone) {
      rest.remove_prefix(io.bytes);
    } else if (io.status == Status::kBlocked) {
      const MonoTime until = std::min(poller_.shard().now() + stall, deadline);
      const Wake wake = co_await watch_.wait(io.side, until);
      if (wake == Wake::kTimeout) co_return too_slow("peer does not read");
      if (wake == Wake::kInterrupted) co_return unreachable("write", ECANCELED);
    } else {
      co_return unreachable("write", errno == 0 || ssl_ != nullptr ? EPIPE : errno);
    }
  }
  co_return Result<void>();
}

void Transport::finish_writing() {
  if (fd_ < 0) return;
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_)) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  ::shutdown(fd_, SHUT_WR);
}

bool Transport::is_quiet() {
  if (fd_ < 0 || watch_.hung_up() || saw_eof_) return false;
  if (ssl_ != nullptr && SSL_has_pending(ssl_)) return false;
  // The edge may not have been collected yet: ask the socket itself.
  char byte = 0;
  const ssize_t n = ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && errno == EAGAIN;
}

}  // namespace sluice::net
