#include "net/url.h"

#include <algorithm>
#include <charconv>

#include "net/endpoint.h"
#include "net/http_types.h"

namespace sluice::net {
namespace {

Error bad(std::string_view why) {
  return Error(ErrorKind::kInvalidArgument, "URL: " + std::string(why));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

/// RFC 1123 host names. A last label that starts with a digit is a number to some resolvers.
bool is_dns_name(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  while (true) {
    const std::size_t dot = host.find('.');
    const std::string_view label = host.substr(0, dot);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-')
      return false;
    if (!std::all_of(label.begin(), label.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; })) {
      return false;
    }
    if (dot == std::string_view::npos) return !is_digit(label.front());
    host.remove_prefix(dot + 1);
  }
}

Result<void> check_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c <= 0x20 || c >= 0x7f) return bad("a character that must be percent-encoded");
    if (std::string_view("\"<>\\^`{|}").find(text[i]) != std::string_view::npos) {
      return bad("a character that must be percent-encoded");
    }
    if (c == '%' && (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2]))) {
      return bad("broken percent escape");
    }
  }
  return {};
}

Result<void> parse_port(std::string_view text, Url& url) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || text.size() > 5 || error != std::errc{} || end != text.data() + text.size() ||
      port == 0 || port > 65535) {
    return bad("bad port");
  }
  url.port = static_cast<std::uint16_t>(port);
  return {};
}

Result<void> parse_authority(std::string_view authority, Url& url) {
  if (authority.find('@') != std::string_view::npos) return bad("user information is not allowed");
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad("bad IPv6 literal");
    const auto address = IpAddress::parse(authority.substr(1, close - 1));
    if (!address || address->v4) return bad("bad IPv6 literal");
    url.host = address->to_string();
    authority.remove_prefix(close + 1);
    if (authority.empty()) return {};
    if (!authority.starts_with(':')) return bad("bad authority");
    return parse_port(authority.substr(1), url);
  }
  const std::size_t colon = authority.find(':');
  url.host = authority.substr(0, colon);
  std::transform(url.host.begin(), url.host.end(), url.host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (!IpAddress::parse(url.host) && !is_dns_name(url.host)) return bad("bad host");
  if (colon == std::string_view::npos) return {};
  return parse_port(authority.substr(colon + 1), url);
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return bad("too long");
  auto checked = check_characters(text);
  if (!checked) return checked.error();
  const std::size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return bad("must start with http:// or https://");
  Url url;
  const std::string_view scheme = text.substr(0, scheme_end);
  if (equal_ignoring_case(scheme, "https")) {
    url.https = true;
    url.port = 443;
  } else if (!equal_ignoring_case(scheme, "http")) {
    return bad("must start with http:// or https://");
  }
  text.remove_prefix(scheme_end + 3);
  text = text.substr(0, text.find('#'));
  const std::size_t authority_end = std::min(text.find_first_of("/?"), text.size());
  auto parsed = parse_authority(text.substr(0, authority_end), url);
  if (!parsed) return parsed.error();
  text.remove_prefix(authority_end);
  if (text.empty()) return url;
  url.target = text.starts_with('/') ? std::string(text) : "/" + std::string(text);
  return url;
}

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (!default_port()) out += ":" + std::to_string(port);
  return out;
}

std::string Url::to_string() const {
  return (https ? "https://" : "http://") + authority() + target;
}

}  // namespace sluice::net
