#pragma once
// HttpParser: one HTTP/1.x message out of bytes, incrementally. Beast's parser does the grammar;
// the bounds, the refusal of ambiguous framing and the plain types are ours.
//
// Strict where smuggling hides (RFC 9112 6.3): Content-Length with Transfer-Encoding, a transfer
// coding other than chunked, several or no Host in HTTP/1.1 and obsolete versions are refused.
// Shard-confined. Bounds: header bytes and count, body bytes; trailers are counted and dropped.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_types.h"

namespace sluice::net {

struct HttpParserLimits {
  std::uint32_t header_bytes = 16 * 1024;
  std::uint32_t header_count = 100;
  std::uint64_t body_bytes = 1024 * 1024;
};

class HttpParser {
 public:
  static HttpParser for_request(HttpParserLimits limits);
  /// to_head: the answer to a HEAD request, which has no body whatever it says.
  static HttpParser for_response(HttpParserLimits limits, bool to_head);
  ~HttpParser();
  HttpParser(HttpParser&&) noexcept;
  HttpParser& operator=(HttpParser&&) noexcept;

  /// Takes in bytes, returns how many were used; what was not must be given again, with more behind
  /// it. Stops once after the head, and at the end of the message. Errors: kTooLarge (over a
  /// bound), kInvalidArgument (not HTTP); failure_status() has the answer.
  Result<std::size_t> put(std::string_view bytes);
  /// The peer closed. An error if the message was not complete; completes a body that ends with it.
  Result<void> put_eof();

  bool started() const;
  bool head_done() const;
  bool done() const;

  /// Valid after the head. For a response, method and target are empty.
  HttpRequest& request();
  int status() const;
  HttpHeaders& headers();
  /// What has come of the body; the caller may move it out at any time.
  std::string& body();
  /// Counts from the message's start, also over what was moved out.
  std::uint64_t body_bytes() const;
  void set_body_limit(std::uint64_t bytes);

  /// The peer allows another message on this connection.
  bool keep_alive() const;
  /// Bytes of body are to come.
  bool expects_body() const;
  /// From Content-Length; nullopt when chunked or until the peer closes.
  std::optional<std::uint64_t> content_length() const;
  bool expects_continue() const;
  /// 400, 413, 431, 501 or 505, once put() has failed.
  int failure_status() const;

 private:
  struct Impl;
  explicit HttpParser(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::net
