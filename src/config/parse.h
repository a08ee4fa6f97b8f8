#pragma once
// TOML text as a plain tree in which every key and value knows its place in the file. The parser
// itself (toml++) is seen by parse.cc alone.
//
// Limits: kMaxBytes of text, kMaxDepth brackets within each other, kMaxDots dots in one key; all
// are checked before the parser runs, which would recurse as deep as the text says.
//
// Reference: https://toml.io/en/v1.0.0

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.h"

namespace sluice::config {

inline constexpr std::size_t kMaxBytes = 1 << 20;
inline constexpr std::size_t kMaxDepth = 32;
inline constexpr std::size_t kMaxDots = 16;

struct Member;

struct Value {
  enum class Kind : std::uint8_t { kFlag, kInteger, kReal, kText, kDate, kList, kTable };

  Kind kind = Kind::kTable;
  Position at;
  bool flag = false;
  std::int64_t integer = 0;
  std::string text;
  std::vector<Value> items;
  std::vector<Member> members;  // sorted by key; keys are unique

  const Member* find(std::string_view key) const;
};

struct Member {
  std::string key;
  Position at;
  Value value;
};

/// "a string", "an integer", …: for messages.
std::string_view describe(Value::Kind kind);

/// The table of the whole file; nothing, and a problem, if the text is no TOML. TOML's own rules (a
/// key twice, a table twice) end with the first violation: what follows it has no certain meaning.
std::optional<Value> parse_toml(std::string_view text, Problems& problems);

}  // namespace sluice::config
