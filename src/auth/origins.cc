#include "auth/origins.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <arpa/inet.h>

namespace sluice::auth {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

struct HostPort {
  std::string host;  // lower case, without brackets
  std::optional<std::uint16_t> port;
};

bool is_literal(const std::string& host) {
  std::array<unsigned char, 16> bytes;
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

bool is_dns_name(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

/// "host", "host:port", "[v6]", "[v6]:port".
std::optional<HostPort> parse(std::string_view text) {
  HostPort out;
  std::string_view rest;
  if (text.starts_with("[")) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    out.host = lower(text.substr(1, end - 1));
    if (!is_literal(out.host)) return std::nullopt;
    rest = text.substr(end + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    out.host = lower(text.substr(0, colon));
    if (!is_dns_name(out.host)) return std::nullopt;
    rest = text.substr(colon);
  }
  if (rest.empty()) return out;
  std::uint16_t port = 0;
  const char* end = rest.data() + rest.size();
  const auto [at, error] = std::from_chars(rest.data() + 1, end, port);
  if (rest.front() != ':' || error != std::errc() || at != end || port == 0) return std::nullopt;
  out.port = port;
  return out;
}

std::string with_port(const std::string& host, std::uint16_t port) {
  return host + " " + std::to_string(port);  // a space: no host contains one
}

}  // namespace

bool is_write(std::string_view method) {
  return method != "GET" && method != "HEAD" && method != "OPTIONS";
}

Result<Origins> Origins::make(const std::vector<Listener>& listeners,
                              const std::vector<std::string>& public_hosts) {
  Origins out;
  for (const Listener& listener : listeners) {
    const std::string host = lower(listener.host);
    out.exact_.insert(with_port(host, listener.port));
    if (host == "127.0.0.1" || host == "::1") {
      out.exact_.insert(with_port("localhost", listener.port));
    }
    if (host == "0.0.0.0" || host == "::") {
      out.exact_.insert(with_port("localhost", listener.port));
      out.any_literal_.insert(listener.port);
    }
  }
  for (const std::string& name : public_hosts) {
    const std::optional<HostPort> parsed = parse(name);
    if (!parsed) {
      return Error(ErrorKind::kInvalidArgument, "\"" + name + "\" is neither a host nor host:port");
    }
    if (parsed->port) {
      out.exact_.insert(with_port(parsed->host, *parsed->port));
    } else {
      out.any_port_.insert(parsed->host);
    }
  }
  return out;
}

bool Origins::known(std::string_view host) const {
  const std::optional<HostPort> parsed = parse(host);
  if (!parsed) return false;
  if (any_port_.contains(parsed->host)) return true;
  // Without a port it is one of the two default ones.
  const std::array<std::uint16_t, 2> ports = {parsed->port.value_or(80),
                                              parsed->port.value_or(443)};
  return std::any_of(ports.begin(), ports.end(), [&](std::uint16_t port) {
    return exact_.contains(with_port(parsed->host, port)) ||
           (any_literal_.contains(port) && is_literal(parsed->host));
  });
}

bool Origins::host_allowed(std::string_view host) const { return known(host); }

bool Origins::origin_allowed(std::string_view origin) const {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) return known(origin.substr(scheme.size()));
  }
  return false;
}

Result<void> Origins::check(std::string_view method, std::optional<std::string_view> host,
                            std::optional<std::string_view> origin, bool by_cookie) const {
  const auto refused = [](std::string why) {
    return Error(ErrorKind::kPermissionDenied, std::move(why), ErrorSource::kPeer);
  };
  if (!host || !host_allowed(*host)) {
    return refused(
        "the Host header names a host that this gateway does not answer to; see "
        "server.public_hosts");
  }
  if (origin && !origin_allowed(*origin)) {
    return refused("the Origin header names a page of another site");
  }
  if (!origin && by_cookie && is_write(method)) {
    return refused("a write with a cookie needs an Origin header");
  }
  return {};
}

}  // namespace sluice::auth
