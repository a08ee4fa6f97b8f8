#pragma once
// Signatures of what is posted, by us and to us: "t=<seconds since 1970>,v1=<hex>", where v1 is the
// HMAC-SHA-256 of "<t>.<what is signed>". Any thread; pure functions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/secret_text.h"
#include "base/time.h"

namespace sluice::auth {

inline constexpr std::string_view kSignatureHeader = "X-Sluice-Signature";

struct Signature {
  std::int64_t seconds = 0;  // since 1970, as the signer says
  Digest mac{};
};

/// Both fields once, in any order, and nothing else; v1 in lower case.
std::optional<Signature> parse_signature(std::string_view text);
/// In time that does not depend on where they differ.
bool is_signed_with(const Signature& signature, std::string_view secret, std::string_view what);
/// The header's value.
std::string signature(std::string_view secret, std::string_view what, UnixMillis now);

}  // namespace sluice::auth
