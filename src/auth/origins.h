#pragma once
// Origins: which names this gateway answers to, and which web pages may speak to it. Any page can
// send requests to a loopback address, and any domain can be made to resolve to one (DNS
// rebinding), so both headers are checked before anything else of a request.
//
// Thread: any; immutable.
//
// Reference: RFC 9110 7.2 (Host), https://fetch.spec.whatwg.org/#origin-header (2024).

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::auth {

class Origins {
 public:
  /// What is listened on. host is an IP literal without brackets.
  struct Listener {
    std::string host;
    std::uint16_t port = 0;
    bool tls = false;
  };

  /// public_hosts: names that people type, "chat.example.org" or "chat.example.org:8443"; one
  /// without a port stands for every port (a proxy in front may add or remove it).
  /// kInvalidArgument names the one that is no host.
  static Result<Origins> make(const std::vector<Listener>& listeners,
                              const std::vector<std::string>& public_hosts);

  /// The Host header. A loopback listener answers to its address and to "localhost"; one on all
  /// addresses answers to any address literal with its port.
  bool host_allowed(std::string_view host) const;
  /// The Origin header. "null" and other ports are foreign.
  bool origin_allowed(std::string_view origin) const;

  /// The whole check. Empty optionals: the header is absent. kPermissionDenied says which header
  /// and why. A write by cookie without an Origin is refused too: every browser sends one.
  Result<void> check(std::string_view method, std::optional<std::string_view> host,
                     std::optional<std::string_view> origin, bool by_cookie) const;

 private:
  bool known(std::string_view host) const;
  std::set<std::string, std::less<>> exact_;     // "host:port", lower case
  std::set<std::string, std::less<>> any_port_;  // "host"
  std::set<std::uint16_t> any_literal_;          // ports on which any address literal is ours
};

/// GET, HEAD and OPTIONS change nothing.
bool is_write(std::string_view method);

}  // namespace sluice::auth
