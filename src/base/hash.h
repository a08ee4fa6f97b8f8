#pragma once
// KeyedHash: SipHash-2-4 with 128 bits of output (Aumasson, Bernstein: "SipHash: a fast short-input
// PRF", 2012; https://github.com/veorq/SipHash). Without the key nobody can tell which text a
// stored hash belongs to, nor make two events collide. The key is a secret of the store (C4).

#include <array>
#include <cstdint>
#include <string_view>

#include "base/ids.h"

namespace sluice {

using HashKey = std::array<std::uint8_t, 16>;

/// Feeds strings one after another, each with its length, so that ("ab","c") and ("a","bc") differ.
/// A value; any thread.
class KeyedHash {
 public:
  explicit KeyedHash(const HashKey& key);
  KeyedHash& add(std::string_view field);
  KeyedHash& add(std::int64_t number);
  Key128 finish();

 private:
  void bytes(const void* data, std::size_t size);
  void block(std::uint64_t m);
  void rounds(int n);

  std::uint64_t v_[4];
  std::uint64_t tail_ = 0;
  std::uint64_t length_ = 0;
};

}  // namespace sluice
