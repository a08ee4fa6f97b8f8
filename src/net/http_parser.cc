#include "net/http_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

namespace sluice::net {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using BeastView = boost::beast::string_view;

// The shortest rest of a chunked message, "0\r\n\r\n". Beast 1.81 aborts when it is given the head
// of a last chunk that is also the first, and then less than this.
constexpr std::size_t kShortestChunkedRest = 5;

std::string_view view(BeastView text) { return {text.data(), text.size()}; }

/// What both kinds of message collect.
struct Message {
  explicit Message(HttpParserLimits l) : limits(l) {}

  void on_field(BeastView name, BeastView value, error_code& ec) {
    ++field_count;
    header_bytes += name.size() + value.size() + 4;
    if (field_count > limits.header_count || header_bytes > limits.header_bytes) {
      ec = http::error::header_limit;
      return;
    }
    // Trailers come after the body and cannot be told from forged headers.
    if (!head_done) request.headers.add(view(name), view(value));
  }
  std::size_t on_body(BeastView bytes, error_code& ec) {
    if (body_bytes + bytes.size() > limits.body_bytes) {
      ec = http::error::body_limit;
      return 0;
    }
    body_bytes += bytes.size();
    request.body.append(bytes.data(), bytes.size());
    return bytes.size();
  }

  HttpParserLimits limits;
  HttpRequest request;
  int status = 0;
  std::uint64_t header_bytes = 0;
  std::uint32_t field_count = 0;
  std::uint64_t body_bytes = 0;
  bool head_done = false;
  bool chunk_seen = false;
  bool expects_continue = false;  // kept, because the headers may be moved out before it is asked
};

template <bool kIsRequest>
class Parser final : public http::basic_parser<kIsRequest> {
 public:
  explicit Parser(Message& message) : message_(message) {
    this->header_limit(message.limits.header_bytes);
    this->body_limit(boost::none);  // counted by Message, so that it can change after the head
  }

 private:
  void on_request_impl(http::verb, BeastView method, BeastView target, int version,
                       error_code& ec) override {
    message_.header_bytes += method.size() + target.size() + 12;
    message_.request.method = view(method);
    message_.request.target = view(target);
    message_.request.minor_version = version - 10;
    if (method.size() > 32) ec = http::error::bad_method;
  }
  void on_response_impl(int status, BeastView reason, int version, error_code&) override {
    message_.header_bytes += reason.size() + 15;
    message_.status = status;
    message_.request.minor_version = version - 10;
  }
  void on_field_impl(http::field, BeastView name, BeastView value, error_code& ec) override {
    message_.on_field(name, value, ec);
  }
  void on_header_impl(error_code& ec) override {
    message_.head_done = true;
    const HttpHeaders& headers = message_.request.headers;
    if (headers.contains("transfer-encoding") &&
        (!this->chunked() || message_.request.minor_version == 0 ||
         headers.count("transfer-encoding") > 1)) {
      ec = http::error::bad_transfer_encoding;
    }
    if constexpr (kIsRequest) {
      message_.expects_continue =
          message_.request.minor_version > 0 && headers.has_token("expect", "100-continue");
      const std::size_t hosts = headers.count("host");
      if (hosts > 1 || (hosts == 0 && message_.request.minor_version > 0))
        ec = http::error::bad_field;
    }
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(BeastView bytes, error_code& ec) override {
    return message_.on_body(bytes, ec);
  }
  void on_chunk_header_impl(std::uint64_t, BeastView, error_code&) override {
    message_.chunk_seen = true;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, BeastView bytes, error_code& ec) override {
    return message_.on_body(bytes, ec);
  }
  void on_finish_impl(error_code&) override {}

  Message& message_;
};

}  // namespace

struct HttpParser::Impl {
  Impl(HttpParserLimits limits, bool for_request, bool to_head) : message(limits) {
    if (for_request) {
      as_request.emplace(message);
    } else {
      as_response.emplace(message);
      as_response->skip(to_head);
    }
  }

  template <class F>
  auto with(F&& f) {
    return as_request ? f(*as_request) : f(*as_response);
  }
  template <class F>
  auto with(F&& f) const {
    return as_request ? f(*as_request) : f(*as_response);
  }

  Error failed(const error_code& ec) {
    ErrorKind kind = ErrorKind::kInvalidArgument;
    failure_status = 400;
    if (ec == http::error::header_limit) {
      kind = ErrorKind::kTooLarge;
      failure_status = 431;
    } else if (ec == http::error::body_limit) {
      kind = ErrorKind::kTooLarge;
      failure_status = 413;
    } else if (ec == http::error::bad_version) {
      failure_status = 505;
    } else if (ec == http::error::bad_transfer_encoding &&
               message.request.headers.count("transfer-encoding") == 1 &&
               !message.request.headers.contains("content-length")) {
      failure_status = 501;
    }
    return Error(kind, ec.message(), ErrorSource::kPeer);
  }

  Message message;
  std::optional<Parser<true>> as_request;
  std::optional<Parser<false>> as_response;
  int failure_status = 400;
};

HttpParser::HttpParser(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpParser::~HttpParser() = default;
HttpParser::HttpParser(HttpParser&&) noexcept = default;
HttpParser& HttpParser::operator=(HttpParser&&) noexcept = default;

HttpParser HttpParser::for_request(HttpParserLimits limits) {
  return HttpParser(std::make_unique<Impl>(limits, true, false));
}
HttpParser HttpParser::for_response(HttpParserLimits limits, bool to_head) {
  return HttpParser(std::make_unique<Impl>(limits, false, to_head));
}

Result<std::size_t> HttpParser::put(std::string_view bytes) {
  if (bytes.empty() || done()) return std::size_t{0};
  return impl_->with([&](auto& parser) -> Result<std::size_t> {
    const Message& message = impl_->message;
    if (message.head_done && parser.chunked() && !message.chunk_seen &&
        bytes.size() < kShortestChunkedRest) {
      return std::size_t{0};
    }
    error_code ec;
    // Eager only in the body: the head must be seen, and may be refused, before any of it is kept.
    parser.eager(impl_->message.head_done);
    const std::size_t used = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
    if (ec && ec != http::error::need_more) return impl_->failed(ec);
    // Beast bounds what it has consumed; a chunk header may still grow in the caller's buffer.
    if (bytes.size() - used > impl_->message.limits.header_bytes && ec == http::error::need_more) {
      return impl_->failed(impl_->message.head_done ? http::error::bad_chunk_extension
                                                    : http::error::header_limit);
    }
    return used;
  });
}

Result<void> HttpParser::put_eof() {
  if (done()) return {};
  if (!started())
    return Error(ErrorKind::kUnavailable, "closed before a message", ErrorSource::kPeer);
  return impl_->with([&](auto& parser) -> Result<void> {
    error_code ec;
    parser.put_eof(ec);
    if (ec) return impl_->failed(ec);
    return {};
  });
}

bool HttpParser::started() const {
  return impl_->with([](const auto& parser) { return parser.got_some(); });
}
bool HttpParser::head_done() const { return impl_->message.head_done; }
bool HttpParser::done() const {
  return impl_->with([](const auto& parser) { return parser.is_done(); });
}
HttpRequest& HttpParser::request() { return impl_->message.request; }
int HttpParser::status() const { return impl_->message.status; }
HttpHeaders& HttpParser::headers() { return impl_->message.request.headers; }
std::string& HttpParser::body() { return impl_->message.request.body; }
std::uint64_t HttpParser::body_bytes() const { return impl_->message.body_bytes; }
void HttpParser::set_body_limit(std::uint64_t bytes) { impl_->message.limits.body_bytes = bytes; }
bool HttpParser::keep_alive() const {
  return impl_->with([](const auto& parser) { return parser.keep_alive(); });
}
bool HttpParser::expects_body() const { return head_done() && !done(); }
std::optional<std::uint64_t> HttpParser::content_length() const {
  return impl_->with([](const auto& parser) -> std::optional<std::uint64_t> {
    const auto length = parser.content_length();
    if (!length) return std::nullopt;
    return *length;
  });
}
bool HttpParser::expects_continue() const { return impl_->message.expects_continue; }
int HttpParser::failure_status() const { return impl_->failure_status; }

}  // namespace sluice::net
