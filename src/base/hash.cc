#include "base/hash.h"

#include <bit>
#include <cstring>

namespace sluice {
namespace {
std::uint64_t load(const std::uint8_t* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;  // little-endian hosts only, as all that Debian builds clang-19 for and we support
}
static_assert(std::endian::native == std::endian::little);
}  // namespace

KeyedHash::KeyedHash(const HashKey& key) {
  const std::uint64_t k0 = load(key.data());
  const std::uint64_t k1 = load(key.data() + 8);
  v_[0] = 0x736f6d6570736575u ^ k0;
  v_[1] = 0x646f72616e646f6du ^ k1 ^ 0xee;  // 0xee: 128-bit output
  v_[2] = 0x6c7967656e657261u ^ k0;
  v_[3] = 0x7465646279746573u ^ k1;
}

void KeyedHash::rounds(int n) {
  while (n-- > 0) {
    v_[0] += v_[1];
    v_[1] = std::rotl(v_[1], 13) ^ v_[0];
    v_[0] = std::rotl(v_[0], 32);
    v_[2] += v_[3];
    v_[3] = std::rotl(v_[3], 16) ^ v_[2];
    v_[0] += v_[3];
    v_[3] = std::rotl(v_[3], 21) ^ v_[0];
    v_[2] += v_[1];
    v_[1] = std::rotl(v_[1], 17) ^ v_[2];
    v_[2] = std::rotl(v_[2], 32);
  }
}

void KeyedHash::block(std::uint64_t m) {
  v_[3] ^= m;
  rounds(2);
  v_[0] ^= m;
}

void KeyedHash::bytes(const void* data, std::size_t size) {
  const auto* p = static_cast<const std::uint8_t*>(data);
  const auto shift = static_cast<unsigned>(length_ % 8 * 8);  // where the tail ends
  length_ += size;
  const auto rest_of = [shift](std::uint64_t word) {
    return shift == 0 ? 0 : word >> (64 - shift);
  };
  for (; size >= 8; p += 8, size -= 8) {
    const std::uint64_t word = load(p);
    block(tail_ | word << shift);
    tail_ = rest_of(word);
  }
  if (size == 0) return;
  std::uint64_t word = 0;
  std::memcpy(&word, p, size);
  tail_ |= word << shift;
  if (shift + 8 * size < 64) return;
  block(tail_);
  tail_ = rest_of(word);
}

KeyedHash& KeyedHash::add(std::string_view field) {
  add(static_cast<std::int64_t>(field.size()));
  bytes(field.data(), field.size());
  return *this;
}

KeyedHash& KeyedHash::add(std::int64_t number) {
  bytes(&number, sizeof number);
  return *this;
}

Key128 KeyedHash::finish() {
  block(tail_ | (length_ << 56));
  v_[2] ^= 0xee;
  rounds(4);
  Key128 key;
  key.low = v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  v_[1] ^= 0xdd;
  rounds(4);
  key.high = v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  return key;
}

}  // namespace sluice
