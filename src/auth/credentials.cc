#include "auth/credentials.h"

#include <chrono>

#include <fmt/core.h>

#include "auth/grants.h"

namespace sluice::auth {
namespace {

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<std::string_view> bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    const char lowered = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (lowered != kScheme[i]) return std::nullopt;
  }
  const std::string_view token = trim(authorization.substr(kScheme.size()));
  if (token.empty()) return std::nullopt;
  return token;
}

std::optional<std::string_view> session_cookie(std::string_view cookie, bool tls) {
  const std::string_view wanted = tls ? kSecureCookieName : kCookieName;
  while (!cookie.empty()) {
    const std::size_t end = std::min(cookie.find(';'), cookie.size());
    const std::string_view pair = trim(cookie.substr(0, end));
    cookie.remove_prefix(std::min(end + 1, cookie.size()));
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == wanted) {
      return pair.substr(equals + 1);
    }
  }
  return std::nullopt;
}

std::string set_session_cookie(std::string_view value, bool tls) {
  const auto life = std::chrono::duration_cast<std::chrono::seconds>(Grants::kSessionLife).count();
  return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{}",
                     tls ? kSecureCookieName : kCookieName, value, value.empty() ? 0 : life,
                     tls ? "; Secure" : "");
}

}  // namespace sluice::auth
