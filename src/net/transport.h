#pragma once
// Transport: one connected stream socket, plain or TLS, TCP or Unix, behind the same reads and
// writes. It owns the descriptor; destroying it closes at once and is how an operation is
// cancelled.
//
// Shard-confined. One reader and one writer at a time. Every wait has a deadline. Memory: about 200
// bytes plus OpenSSL's state; no buffers of its own, so that idle connections are cheap.

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/endpoint.h"
#include "net/poller.h"
#include "net/tls.h"
#include "runtime/task.h"

struct bio_method_st;
struct ssl_st;

namespace sluice::net {

class Transport {
 public:
  explicit Transport(Poller& poller) : poller_(poller), watch_(poller) {}
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Takes over a connected non-blocking socket, also when it fails.
  Result<void> adopt(int fd);
  /// kUnavailable: refused or unreachable; kTimeout. Nothing has been sent in either case.
  Task<Result<void>> connect(Endpoint endpoint, MonoTime deadline);
  Task<Result<void>> connect_unix(std::string path, MonoTime deadline);

  /// Makes it TLS. A client names the host whose certificate it expects (a name or an IP literal).
  /// kUnavailable: the handshake or the certificate failed; kTimeout.
  Task<Result<void>> handshake(std::shared_ptr<TlsContext> context, std::string host,
                               MonoTime deadline);

  enum class Status : unsigned char { kDone, kBlocked, kEof, kFailed };
  struct Io {
    Status status = Status::kDone;
    std::size_t bytes = 0;
    Watch::Side side = Watch::Side::kRead;  // for kBlocked: what to wait for
  };
  /// Never block. After kBlocked wait on watch() for the side it names, then call again.
  Io try_read(char* out, std::size_t size);
  Io try_write(std::string_view bytes);

  /// Writes all of it; each stretch without progress may last stall, and all of it until deadline.
  /// kTimeout or kUnavailable, after which part of it may have left: close.
  Task<Result<void>> write_all(std::string bytes, Duration stall,
                               MonoTime deadline = MonoTime::max());

  /// Says that nothing more is coming (close_notify, FIN). Does not wait.
  void finish_writing();

  Watch& watch() { return watch_; }
  int fd() const { return fd_; }
  bool is_tls() const { return ssl_ != nullptr; }
  /// True once any byte of what write_all or try_write were given may have left.
  bool wrote_any() const { return wrote_any_; }
  void forget_writes() { wrote_any_ = false; }
  /// False if the peer has closed or sent what nobody asked for: not to be used again.
  bool is_quiet();

  /// For TlsContext: the BIO that reads and writes a Transport.
  static bio_method_st* make_bio_method();

 private:
  struct Bio;
  ssize_t receive(char* out, std::size_t size);
  ssize_t send_some(const char* data, std::size_t size);
  Io tls_result(int result);
  Task<Result<void>> wait_connected(std::string to, MonoTime deadline);
  Error handshake_error() const;

  Poller& poller_;
  std::shared_ptr<TlsContext> tls_;
  ssl_st* ssl_ = nullptr;
  int fd_ = -1;
  bool saw_eof_ = false;
  bool wrote_any_ = false;
  Watch watch_;
};

}  // namespace sluice::net
