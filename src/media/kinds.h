#pragma once
// What an attachment is: one of four types of image, told by its first bytes, and an id that says
// whose it is. Pure functions; any thread.
//
// Module media: what people attach, as files on disk (docs/adr/0011). Nothing of it is in the
// store: whose a file is, is in its name, its age is the file's own. It may include base, runtime,
// observe and net. Which thread does what: library.h.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace sluice::media {

enum class Type : std::uint8_t { kPng, kJpeg, kGif, kWebp };

/// "image/png"
std::string_view mime_of(Type type);
/// As a Content-Type without parameters names it, in lower case.
std::optional<Type> type_of_mime(std::string_view mime);

/// How many bytes type_of_bytes() needs to know all types.
inline constexpr std::size_t kMagicBytes = 16;
/// By the first bytes of the file (W3C PNG 5.2, ITU T.81 B.1.1, GIF89a 17, RFC 9649 2.4).
std::optional<Type> type_of_bytes(std::string_view head);

/// Whose it is: 8 hex digits for the account and 16 for the person, of keyed hashes, so that a name
/// cannot be read out of an id or a directory.
struct Owner {
  std::string account;
  std::string person;

  std::string text() const { return account + person; }
  friend bool operator==(const Owner&, const Owner&) = default;
};
Owner owner_of(const HashKey& key, std::string_view account, std::string_view person);

/// "<account><person>-<16 hex digits>.<extension>". What parse() lets through is safe as a path.
struct Id {
  static constexpr std::size_t kAccountDigits = 8;
  static constexpr std::size_t kPersonDigits = 16;
  static constexpr std::size_t kNameDigits = 16;

  Owner owner;
  std::string name;
  Type type = Type::kPng;

  static Id make(Owner owner, std::uint64_t random, Type type);
  static std::optional<Id> parse(std::string_view text);
  std::string text() const;
  /// Within its owner's directory.
  std::string file() const;
  friend bool operator==(const Id&, const Id&) = default;
};

/// RFC 4648 4, with padding.
std::string base64(std::string_view bytes);
/// What base64() made; nullopt for anything else, white space included.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace sluice::media
