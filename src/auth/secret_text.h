#pragma once
// Secrets that we make ourselves: random, unguessable, shown once, and kept only as a digest.
//
// Module auth: who a caller is and what it may do. Tokens, cookies, one-time codes, and the Host
// and Origin of a request. It knows no HTTP server: app/ hands it plain values.
//
// Thread: any; pure functions but for the operating system's random source.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::auth {

using Digest = std::array<std::uint8_t, 32>;

/// Bytes of getrandom(2), as unpadded base64url. Ends the process if the system has none to give.
std::string random_text(std::size_t bytes);
/// 256 bits: what every secret of ours has.
inline std::string random_secret() { return random_text(32); }

/// SHA-256. Enough at rest for secrets that are random already; not for passwords.
Digest digest_of(std::string_view secret);
/// HMAC-SHA-256 (RFC 2104): only who has the key can tell it of a text.
Digest hmac(std::string_view key, std::string_view text);
/// In time that does not depend on where they differ.
bool equal(const Digest& a, const Digest& b);

std::string to_hex(const Digest& digest);
std::optional<Digest> digest_from_hex(std::string_view text);

}  // namespace sluice::auth
