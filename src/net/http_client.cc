#include "net/http_client.h"

#include <algorithm>
#include <list>
#include <stdexcept>
#include <unordered_map>

#include <fmt/format.h>

#include "base/assert.h"
#include "net/poller.h"
#include "net/transport.h"

namespace sluice::net {
namespace {

constexpr std::size_t kScratchBytes = 64 * 1024;
constexpr std::size_t kOneWriteBytes = 64 * 1024;  // head and body up to this go out together
constexpr int kMaxInterim = 8;                     // 1xx answers before the real one
constexpr std::uint32_t kRoundsBeforeYield = 16;

bool is_ours(std::string_view name) {
  for (const char* ours : {"host", "connection", "content-length", "transfer-encoding", "expect"}) {
    if (equal_ignoring_case(name, ours)) return true;
  }
  return false;
}

std::string request_head(const HttpClientRequest& request, const std::string& user_agent) {
  SLUICE_ASSERT(is_header_name(request.method));
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method,
                                 request.url.target, request.url.authority());
  if (!request.headers.contains("user-agent")) head += "User-Agent: " + user_agent + "\r\n";
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    if (is_ours(request.headers.name_at(i))) continue;
    head.append(request.headers.name_at(i)).append(": ");
    head.append(request.headers.value_at(i)).append("\r\n");
  }
  const bool wants_length = !request.body.empty() || request.method == "POST" ||
                            request.method == "PUT" || request.method == "PATCH";
  if (wants_length) head += fmt::format("Content-Length: {}\r\n", request.body.size());
  head += "\r\n";
  return head;
}

/// Which idle connections will do: same kind, same name for TLS, same address if one was given.
std::string pool_key(const HttpClientRequest& request) {
  if (!request.unix_path.empty()) return "unix:" + request.unix_path;
  std::string key = fmt::format("{}://{}:{}", request.url.https ? "https" : "http",
                                request.url.host, request.url.port);
  if (request.connect_to) key += "@" + request.connect_to->to_string();
  return key;
}

Error timed_out(const HttpClientRequest& request) {
  return Error(ErrorKind::kTimeout, "no answer from " + request.url.authority(), ErrorSource::kPeer,
               Retry::with_backoff());
}

Error connection_lost() {
  return Error(ErrorKind::kUnavailable, "connection closed before the answer was complete",
               ErrorSource::kPeer, Retry::with_backoff());
}

}  // namespace

void throw_exception_from_error(const FetchError& error, const boost::source_location&) {
  throw std::logic_error("value() of a failed fetch: " + error.error.to_string());
}

/// What is read but not parsed stays with its connection.
struct ClientConnection {
  ClientConnection(Poller& poller, std::string k) : key(std::move(k)), transport(poller) {}
  std::string key;
  std::string pending;
  Transport transport;
};

struct HttpClient::Impl {
  Impl(Shard& s, HttpClientOptions o)
      : shard(s),
        options(std::move(o)),
        poller(s),
        scratch(std::make_unique<char[]>(kScratchBytes)) {}

  /// An idle connection and its end.
  struct Idle : Timer {
    Idle(Impl& o, std::unique_ptr<ClientConnection> c) : owner(o), connection(std::move(c)) {}
    void fire() override { owner.drop(*this); }
    Impl& owner;
    std::unique_ptr<ClientConnection> connection;
  };

  std::unique_ptr<ClientConnection> take_idle(const std::string& key);
  void keep(std::unique_ptr<ClientConnection> connection);
  void drop(Idle& idle);
  Result<std::shared_ptr<TlsContext>> tls_context();
  static Task<Result<std::unique_ptr<ClientConnection>>> connect(Impl* self,
                                                                 const HttpClientRequest* request,
                                                                 MonoTime deadline);

  Shard& shard;
  HttpClientOptions options;
  Poller poller;
  std::unique_ptr<char[]> scratch;
  std::shared_ptr<TlsContext>
      tls;               // made at the first https request: it may have to read authorities
  std::list<Idle> idle;  // newest first; few, so a search is cheap
};

/// One request and its response, as far as it has come.
struct HttpStream::Impl {
  Impl(HttpClient::Impl& c, HttpParser p) : client(c), parser(std::move(p)) {}

  enum class Step : unsigned char { kData, kTimeout, kLost, kBad };

  static Task<FetchResult<std::unique_ptr<Impl>>> open(HttpClient::Impl* client,
                                                       HttpClientRequest request,
                                                       MonoTime deadline);
  static Task<Result<void>> send(Impl* self, HttpClientRequest* request, MonoTime deadline);
  static Task<Result<void>> read_head(Impl* self, const HttpClientRequest* request,
                                      MonoTime deadline);
  /// Reads and parses a bit. error is set for kBad.
  static Task<Step> advance(Impl* self, MonoTime deadline);
  Result<bool> feed();
  FetchError failure(Error error) const;
  /// The message is complete: its connection may serve another.
  void release();

  HttpClient::Impl& client;
  HttpParser parser;
  std::unique_ptr<ClientConnection> connection;
  Error error;
  std::uint32_t rounds = 0;
  bool reusable = true;
};

// ---- connections

std::unique_ptr<ClientConnection> HttpClient::Impl::take_idle(const std::string& key) {
  for (auto it = idle.begin(); it != idle.end();) {
    if (it->connection->key != key) {
      ++it;
      continue;
    }
    std::unique_ptr<ClientConnection> connection = std::move(it->connection);
    it = idle.erase(it);
    // A connection that its server has closed meanwhile would cost us the certainty of "not sent".
    if (connection->pending.empty() && connection->transport.is_quiet()) return connection;
  }
  return nullptr;
}

void HttpClient::Impl::keep(std::unique_ptr<ClientConnection> connection) {
  const auto same = std::count_if(idle.begin(), idle.end(), [&](const Idle& other) {
    return other.connection->key == connection->key;
  });
  if (static_cast<std::size_t>(same) >= options.keep_per_host || options.keep_total == 0) return;
  if (idle.size() >= options.keep_total) idle.pop_back();
  idle.emplace_front(*this, std::move(connection));
  shard.arm(idle.front(), shard.now() + options.keep_idle);
}

void HttpClient::Impl::drop(Idle& gone) {
  idle.remove_if([&](const Idle& other) { return &other == &gone; });
}

Result<std::shared_ptr<TlsContext>> HttpClient::Impl::tls_context() {
  if (tls == nullptr) {
    auto made = TlsContext::for_client(options.tls);
    if (!made) return made.error();
    tls = std::move(*made);
  }
  return tls;
}

Task<Result<std::unique_ptr<ClientConnection>>> HttpClient::Impl::connect(
    Impl* self, const HttpClientRequest* request, MonoTime deadline) {
  const std::string key = pool_key(*request);
  const Url& url = request->url;
  if (!request->unix_path.empty()) {
    auto made = std::make_unique<ClientConnection>(self->poller, key);
    auto connected = co_await made->transport.connect_unix(request->unix_path, deadline);
    if (!connected) co_return connected.error();
    co_return std::move(made);
  }
  std::shared_ptr<TlsContext> context;
  if (url.https) {
    auto got = self->tls_context();
    if (!got) co_return got.error();
    context = *got;
  }
  std::vector<Endpoint> endpoints;
  if (request->connect_to) {
    endpoints.push_back(*request->connect_to);
  } else {
    auto found = co_await resolve(self->shard, url.host, url.port, deadline);
    if (!found) co_return found.error();
    endpoints = std::move(*found);
  }
  Error last(ErrorKind::kUnavailable, "no address", ErrorSource::kPeer, Retry::with_backoff());
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    // Each address gets an equal share of the time that is left.
    const MonoTime now = self->shard.now();
    if (now >= deadline) break;
    const MonoTime share = now + (deadline - now) / static_cast<std::int64_t>(endpoints.size() - i);
    auto made = std::make_unique<ClientConnection>(self->poller, key);
    auto connected = co_await made->transport.connect(endpoints[i], share);
    if (!connected) {
      last = connected.error();
      continue;
    }
    if (context != nullptr) {
      // A certificate that is wrong here will be wrong at the next address; its error says more.
      auto shaken = co_await made->transport.handshake(context, url.host, share);
      if (!shaken) co_return shaken.error();
    }
    co_return std::move(made);
  }
  co_return last;
}

// ---- one exchange

FetchError HttpStream::Impl::failure(Error e) const {
  FetchError failed{std::move(e), SentState::kNotSent, std::nullopt};
  if (connection != nullptr && connection->transport.wrote_any())
    failed.sent = SentState::kMaybeSent;
  if (parser.head_done()) {
    failed.sent = SentState::kMaybeSent;
    failed.status = parser.status();
  }
  return failed;
}

Result<bool> HttpStream::Impl::feed() {
  if (connection->pending.empty()) return false;
  auto used = parser.put(connection->pending);
  if (!used) {
    const bool large = used.error().kind() == ErrorKind::kTooLarge;
    return Error(large ? ErrorKind::kTooLarge : ErrorKind::kBadResponse, used.error().context(),
                 ErrorSource::kPeer);
  }
  connection->pending.erase(0, *used);
  return *used > 0;
}

Task<HttpStream::Impl::Step> HttpStream::Impl::advance(Impl* self, MonoTime deadline) {
  if (++self->rounds % kRoundsBeforeYield == 0) co_await yield(self->client.shard);
  auto fed = self->feed();
  if (!fed) {
    self->error = fed.error();
    co_return Step::kBad;
  }
  if (*fed) co_return Step::kData;
  Transport& transport = self->connection->transport;
  for (;;) {
    const Transport::Io io = transport.try_read(self->client.scratch.get(), kScratchBytes);
    if (io.status == Transport::Status::kDone) {
      self->connection->pending.append(self->client.scratch.get(), io.bytes);
      fed = self->feed();
      if (fed) co_return Step::kData;
      self->error = fed.error();
      co_return Step::kBad;
    }
    if (io.status == Transport::Status::kFailed) co_return Step::kLost;
    if (io.status == Transport::Status::kEof) {
      self->reusable = false;
      auto ended = self->parser.put_eof();
      co_return ended ? Step::kData : Step::kLost;
    }
    const Wake wake = co_await transport.watch().wait(io.side, deadline);
    if (wake != Wake::kReady) co_return Step::kTimeout;
  }
}

Task<Result<void>> HttpStream::Impl::send(Impl* self, HttpClientRequest* request,
                                          MonoTime deadline) {
  const Duration unbounded = std::chrono::hours(24);  // the deadline is the bound
  std::string head = request_head(*request, self->client.options.user_agent);
  const bool together = request->body.size() <= kOneWriteBytes;
  if (together) head += request->body;
  Transport& transport = self->connection->transport;
  auto sent = co_await transport.write_all(std::move(head), unbounded, deadline);
  if (sent && !together) {
    sent = co_await transport.write_all(std::move(request->body), unbounded, deadline);
  }
  co_return sent;
}

Task<Result<void>> HttpStream::Impl::read_head(Impl* self, const HttpClientRequest* request,
                                               MonoTime deadline) {
  for (int interim = 0; interim <= kMaxInterim;) {
    while (!self->parser.head_done()) {
      const Step step = co_await advance(self, deadline);
      if (step == Step::kTimeout) co_return timed_out(*request);
      if (step == Step::kLost) co_return connection_lost();
      if (step == Step::kBad) co_return self->error;
    }
    if (self->parser.status() >= 200) co_return Result<void>();
    if (self->parser.status() == 101) break;
    ++interim;
    const HttpClientOptions& options = self->client.options;
    self->parser = HttpParser::for_response(
        {options.header_bytes, options.header_count, request->max_response_bytes},
        request->method == "HEAD");
  }
  co_return Error(ErrorKind::kBadResponse, "interim answers without an end", ErrorSource::kPeer);
}

Task<FetchResult<std::unique_ptr<HttpStream::Impl>>> HttpStream::Impl::open(
    HttpClient::Impl* client, HttpClientRequest request, MonoTime deadline) {
  const HttpClientOptions& options = client->options;
  auto self = std::make_unique<Impl>(
      *client, HttpParser::for_response(
                   {options.header_bytes, options.header_count, request.max_response_bytes},
                   request.method == "HEAD"));
  self->connection = client->take_idle(pool_key(request));
  const bool reused = self->connection != nullptr;
  for (bool fresh = !reused;; fresh = true) {
    if (fresh) {
      const MonoTime connect_by = std::min(client->shard.now() + options.connect_timeout, deadline);
      auto connected = co_await HttpClient::Impl::connect(client, &request, connect_by);
      if (!connected) co_return FetchError{connected.error(), SentState::kNotSent, std::nullopt};
      self->connection = std::move(*connected);
    }
    Transport& transport = self->connection->transport;
    transport.forget_writes();
    auto sent = co_await send(self.get(), &request, deadline);
    // A kept connection that was closed just now: nothing left, so another one may be tried.
    if (!sent && !fresh && !transport.wrote_any()) continue;
    if (!sent && (sent.error().kind() == ErrorKind::kTimeout || !transport.wrote_any())) {
      co_return self->failure(sent.error());
    }
    // A server may answer before it has read everything, and close: its answer is still there to
    // read.
    if (!sent) self->reusable = false;
    auto got = co_await read_head(self.get(), &request, deadline);
    if (!got) co_return self->failure(got.error());
    co_return std::move(self);
  }
}

void HttpStream::Impl::release() {
  if (connection == nullptr) return;
  if (reusable && parser.done() && parser.keep_alive() && connection->pending.empty() &&
      !connection->transport.watch().hung_up()) {
    client.keep(std::move(connection));
  }
  connection.reset();
}

// ---- the public face

HttpStream::HttpStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpStream::~HttpStream() = default;
HttpStream::HttpStream(HttpStream&&) noexcept = default;
HttpStream& HttpStream::operator=(HttpStream&&) noexcept = default;
int HttpStream::status() const { return impl_->parser.status(); }
const HttpHeaders& HttpStream::headers() const { return impl_->parser.headers(); }

Task<FetchResult<std::optional<std::string>>> HttpStream::next(MonoTime deadline) {
  using Step = Impl::Step;
  Impl& self = *impl_;
  for (;;) {
    if (!self.parser.body().empty()) {
      co_return std::optional<std::string>(std::exchange(self.parser.body(), {}));
    }
    if (self.parser.done()) {
      self.release();
      co_return std::optional<std::string>();
    }
    const Step step = co_await Impl::advance(&self, deadline);
    if (step == Step::kTimeout) {
      co_return self.failure(
          Error(ErrorKind::kTimeout, "no more of the stream", ErrorSource::kPeer));
    }
    if (step == Step::kLost) co_return self.failure(connection_lost());
    if (step == Step::kBad) co_return self.failure(self.error);
  }
}

Task<FetchResult<std::string>> HttpStream::rest(std::uint64_t max_bytes, MonoTime deadline) {
  std::string all;
  for (;;) {
    auto piece = co_await next(deadline);
    if (!piece) co_return piece.error();
    if (!*piece) co_return all;
    all += **piece;
    if (all.size() > max_bytes) {
      co_return impl_->failure(
          Error(ErrorKind::kTooLarge, "the body is over its bound", ErrorSource::kPeer));
    }
  }
}

HttpClient::HttpClient(Shard& shard, HttpClientOptions options)
    : impl_(std::make_unique<Impl>(shard, std::move(options))) {}
HttpClient::~HttpClient() = default;

Task<FetchResult<HttpClientResponse>> HttpClient::fetch(HttpClientRequest request) {
  using Step = HttpStream::Impl::Step;
  const MonoTime deadline = impl_->shard.now() + request.timeout.value_or(impl_->options.timeout);
  const Error late = timed_out(request);
  auto opened = co_await HttpStream::Impl::open(impl_.get(), std::move(request), deadline);
  if (!opened) co_return opened.error();
  HttpStream::Impl& self = **opened;
  while (!self.parser.done()) {
    const Step step = co_await HttpStream::Impl::advance(&self, deadline);
    if (step == Step::kTimeout) co_return self.failure(late);
    if (step == Step::kLost) co_return self.failure(connection_lost());
    if (step == Step::kBad) co_return self.failure(self.error);
  }
  HttpClientResponse response{self.parser.status(), std::move(self.parser.headers()),
                              std::move(self.parser.body())};
  self.release();
  co_return response;
}

Task<FetchResult<HttpStream>> HttpClient::open_stream(HttpClientRequest request) {
  const MonoTime deadline = impl_->shard.now() + request.timeout.value_or(impl_->options.timeout);
  request.max_response_bytes = UINT64_MAX;
  auto opened = co_await HttpStream::Impl::open(impl_.get(), std::move(request), deadline);
  if (!opened) co_return opened.error();
  co_return HttpStream(std::move(*opened));
}

std::size_t HttpClient::idle() const { return impl_->idle.size(); }
void HttpClient::close_idle() { impl_->idle.clear(); }

}  // namespace sluice::net
