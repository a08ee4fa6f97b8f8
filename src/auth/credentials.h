#pragma once
// Credentials: finds the token or the cookie in a request's headers.
//
// Thread: any; pure functions. The views returned belong to the header given.
//
// Reference: RFC 6750 2.1 (Bearer), RFC 6265 4.2 (Cookie), 4.1 (Set-Cookie).

#include <optional>
#include <string>
#include <string_view>

namespace sluice::auth {

/// The name in Set-Cookie. Over TLS it has the prefix that makes browsers insist on Secure and on
/// the path, so that no neighbour domain can plant one.
inline constexpr std::string_view kCookieName = "sluice_session";
inline constexpr std::string_view kSecureCookieName = "__Host-sluice_session";

/// "Bearer xyz" -> "xyz"; the scheme in any case.
std::optional<std::string_view> bearer(std::string_view authorization);
/// The session in a Cookie header, under the name that fits.
std::optional<std::string_view> session_cookie(std::string_view cookie, bool tls);
/// Set-Cookie: HttpOnly, SameSite=Strict, for the session's life; an empty value takes it back.
std::string set_session_cookie(std::string_view value, bool tls);

}  // namespace sluice::auth
