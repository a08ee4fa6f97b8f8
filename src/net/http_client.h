#pragma once
// HttpClient: HTTP/1.1 over TCP, TLS and Unix sockets for one shard, with connections kept for
// reuse.
//
// A failure says what the outbox has to know (C18, C19): whether a byte of the request may have
// left. If not, sending again repeats nothing; if so, the outcome is unknown until the other side
// is asked. Redirects are returned, never followed. Destroying a Task cancels its request by
// closing its connection.
//
// Shard-confined. The client must outlive its requests and streams.

#include <memory>
#include <optional>
#include <string>

#include "net/endpoint.h"
#include "net/http_parser.h"
#include "net/http_types.h"
#include "net/tls.h"
#include "net/url.h"
#include "runtime/shard.h"
#include "runtime/task.h"

namespace sluice::net {

struct HttpClientOptions {
  TlsClientOptions tls;
  Duration connect_timeout = std::chrono::seconds(10);  // resolving, connecting and TLS together
  Duration timeout = std::chrono::seconds(60);    // all of a request, unless it says otherwise
  Duration keep_idle = std::chrono::seconds(20);  // less than common servers' own
  std::size_t keep_per_host = 8;                  // idle connections
  std::size_t keep_total = 64;
  std::uint32_t header_bytes = 64 * 1024;  // of a response: kTooLarge
  std::uint32_t header_count = 200;
  std::string user_agent = "sluice";
};

struct HttpClientRequest {
  std::string method = "GET";
  Url url;
  HttpHeaders headers = {};  // Host, framing and Connection are the client's own
  std::string body = {};
  /// Connect here instead of resolving the host: what EgressPolicy::choose picked.
  std::optional<Endpoint> connect_to = {};
  /// Connect to this Unix socket; the URL gives Host and target only.
  std::string unix_path = {};
  std::optional<Duration> timeout = {};
  /// Body bytes; more is kTooLarge. A stream has no bound of its own: each piece is at most 64 KiB.
  std::uint64_t max_response_bytes = 8 * 1024 * 1024;
};

struct HttpClientResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;
};

enum class SentState : unsigned char {
  kNotSent,    // no byte of the request left this machine: safe to send again
  kMaybeSent,  // the peer may have acted on it
};

struct FetchError {
  Error error;
  SentState sent = SentState::kNotSent;
  /// The head of the answer came, only its body did not: the peer has spoken.
  std::optional<int> status;
};
[[noreturn]] void throw_exception_from_error(const FetchError& error,
                                             const boost::source_location& where);
template <class T>
using FetchResult = boost::system::result<T, FetchError>;

/// A response whose body is read piece by piece. Destroying it closes the connection.
class HttpStream {
 public:
  ~HttpStream();
  HttpStream(HttpStream&&) noexcept;
  HttpStream& operator=(HttpStream&&) noexcept;

  int status() const;
  const HttpHeaders& headers() const;
  /// The next piece as it came, never empty; nullopt at the end. kTimeout leaves the stream usable.
  Task<FetchResult<std::optional<std::string>>> next(MonoTime deadline);
  /// All that is left. kTooLarge: more than max_bytes.
  Task<FetchResult<std::string>> rest(std::uint64_t max_bytes, MonoTime deadline);

 private:
  friend class HttpClient;
  struct Impl;
  explicit HttpStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class HttpClient {
 public:
  HttpClient(Shard& shard, HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// The whole response, whatever its status. Errors: kUnavailable (resolve, connect, TLS, lost),
  /// kTimeout, kTooLarge, kBadResponse, kInvalidArgument (TLS files, socket path).
  Task<FetchResult<HttpClientResponse>> fetch(HttpClientRequest request);
  /// Resolves when the head has come; the request's timeout covers the time until then.
  Task<FetchResult<HttpStream>> open_stream(HttpClientRequest request);

  /// Idle connections kept now.
  std::size_t idle() const;
  void close_idle();

 private:
  friend class HttpStream;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::net
