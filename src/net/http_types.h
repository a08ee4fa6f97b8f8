#pragma once
// What HTTP/1.1 is to the rest of the project: plain values, no Beast, no Asio.
//
// Module net: HTTP server and client, TLS, server-sent events, URLs and the egress policy of one
// shard. It may include base and runtime only; logs and metrics are callbacks. All of it is
// shard-confined unless a header says otherwise.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/result.h"

namespace sluice::net {

bool equal_ignoring_case(std::string_view a, std::string_view b);
/// RFC 9110 5.6.2: what may be the name of a header. Check names that come from configuration.
bool is_header_name(std::string_view text);

/// Header fields in order, names compared without case. One allocation for all text, one for the
/// index. Views stay valid until the next change. A value; the number and size are bounded by who
/// fills it.
class HttpHeaders {
 public:
  HttpHeaders() = default;
  HttpHeaders(std::initializer_list<std::pair<std::string_view, std::string_view>> fields);

  /// Appends. Control characters (CR and LF above all) become spaces: a value that came from
  /// outside must not be able to start a header or a body of its own. An empty or malformed name is
  /// a broken invariant.
  void add(std::string_view name, std::string_view value);
  /// Takes out all of that name, then appends.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  void clear();

  /// The first value of that name.
  std::optional<std::string_view> get(std::string_view name) const;
  bool contains(std::string_view name) const { return get(name).has_value(); }
  /// How many fields have that name.
  std::size_t count(std::string_view name) const;
  /// True if the comma-separated list of any field of that name holds the token.
  bool has_token(std::string_view name, std::string_view token) const;

  std::size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }
  std::string_view name_at(std::size_t i) const;
  std::string_view value_at(std::size_t i) const;

 private:
  struct Field {
    std::uint32_t name_begin;
    std::uint32_t value_begin;
    std::uint32_t end;
  };
  std::string text_;
  std::vector<Field> fields_;
};

/// Decoded key and value pairs, in order; a key may come twice.
using QueryParams = std::vector<std::pair<std::string, std::string>>;

/// Who is at the other end of a Unix socket (SO_PEERCRED), as the kernel says.
struct PeerCredentials {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

struct HttpRequest {
  std::string method;
  std::string target;  // as sent
  std::string
      path;  // as sent, before '?'; still percent-encoded, always starts with '/' (or is "*")
  QueryParams query;
  HttpHeaders headers;
  std::string body;
  int minor_version = 1;  // HTTP/1.x
  std::string peer;       // "127.0.0.1:5123", "[::1]:5123" or "unix"
  bool tls = false;
  std::optional<PeerCredentials> unix_peer;

  /// The first value of a query parameter.
  std::optional<std::string_view> query_value(std::string_view key) const;
  /// The media type without parameters, in lower case: "application/json". Empty if there is none.
  std::string content_type() const;
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  std::string body;

  static HttpResponse text(int status, std::string body);
  static HttpResponse json(int status, std::string body);
  static HttpResponse no_content() {
    return HttpResponse{.status = 204, .headers = {}, .body = {}};
  }
  /// RFC 9457: application/problem+json with type "urn:sluice:problem:<slug>", title, status,
  /// detail. The detail is for the caller to read; never put a secret or a message's text into it.
  static HttpResponse problem(int status, std::string_view slug, std::string_view title,
                              std::string_view detail = {});
};

/// "Not Found"; "Unknown" for a number without a name.
std::string_view reason_phrase(int status);

/// What an Error is as an HTTP answer: 400, 404, 409, 413, 429, 503, 504 and so on.
int status_of(ErrorKind kind);

/// "%41" -> "A". kInvalidArgument: a broken escape, a NUL byte, or what is not UTF-8. With
/// plus_is_space,
/// "+" is a space (queries).
Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
/// All but RFC 3986 unreserved characters become escapes.
std::string percent_encode(std::string_view text);

/// At most kMaxQueryParams pairs; more, or a broken escape, is kInvalidArgument.
inline constexpr std::size_t kMaxQueryParams = 64;
Result<QueryParams> parse_query(std::string_view query);

/// Splits a request target into path and query. Origin form, absolute form (the authority is
/// dropped: RFC 9112 3.2.2, Host has been checked by then) and "*". kInvalidArgument for anything
/// else.
Result<void> split_target(HttpRequest& request);

}  // namespace sluice::net
