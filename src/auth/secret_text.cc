#include "auth/secret_text.h"

#include <cerrno>
#include <vector>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sys/random.h>

#include "base/assert.h"

namespace sluice::auth {
namespace {

constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kHex = "0123456789abcdef";

}  // namespace

std::string random_text(std::size_t bytes) {
  std::vector<std::uint8_t> random(bytes);
  for (std::size_t have = 0; have < bytes;) {
    const ssize_t n = ::getrandom(random.data() + have, bytes - have, 0);
    SLUICE_ASSERT(n > 0 || errno == EINTR);
    if (n > 0) have += static_cast<std::size_t>(n);
  }
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const std::uint8_t byte : random) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 6; held -= 6) out += kBase64Url[(bits >> (held - 6)) & 63];
  }
  if (held > 0) out += kBase64Url[(bits << (6 - held)) & 63];
  OPENSSL_cleanse(random.data(), random.size());
  return out;
}

Digest digest_of(std::string_view secret) {
  Digest digest;
  ::SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest.data());
  return digest;
}

Digest hmac(std::string_view key, std::string_view text) {
  Digest mac{};
  unsigned int size = 0;
  const auto* done =
      ::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &size);
  SLUICE_ASSERT(done != nullptr && size == mac.size());
  return mac;
}

bool equal(const Digest& a, const Digest& b) {
  return ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(const Digest& digest) {
  std::string out;
  for (const std::uint8_t byte : digest) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::optional<Digest> digest_from_hex(std::string_view text) {
  Digest digest{};
  if (text.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t value = kHex.find(text[i]);
    if (value == std::string_view::npos) return std::nullopt;
    digest[i / 2] = static_cast<std::uint8_t>((digest[i / 2] << 4) | value);
  }
  return digest;
}

}  // namespace sluice::auth
