#include "media/kinds.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>

namespace sluice::media {
namespace {

struct Row {
  Type type;
  std::string_view mime;
  std::string_view extension;
};
constexpr std::array kTypes = {
    Row{Type::kPng, "image/png", "png"},
    Row{Type::kJpeg, "image/jpeg", "jpg"},
    Row{Type::kGif, "image/gif", "gif"},
    Row{Type::kWebp, "image/webp", "webp"},
};

const Row& row_of(Type type) { return kTypes[static_cast<std::size_t>(type)]; }

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string_view mime_of(Type type) { return row_of(type).mime; }

std::optional<Type> type_of_mime(std::string_view mime) {
  for (const Row& row : kTypes) {
    if (row.mime == mime) return row.type;
  }
  return std::nullopt;
}

std::optional<Type> type_of_bytes(std::string_view head) {
  using namespace std::string_view_literals;
  if (head.starts_with("\x89PNG\r\n\x1a\n"sv)) return Type::kPng;
  if (head.starts_with("\xff\xd8\xff"sv)) return Type::kJpeg;
  if (head.starts_with("GIF87a"sv) || head.starts_with("GIF89a"sv)) return Type::kGif;
  const bool webp = head.size() >= kMagicBytes && head.starts_with("RIFF"sv) &&
                    head.substr(8).starts_with("WEBPVP8"sv);
  if (webp) return Type::kWebp;
  return std::nullopt;
}

Owner owner_of(const HashKey& key, std::string_view account, std::string_view person) {
  const Key128 of_account = KeyedHash(key).add("media").add(account).finish();
  const Key128 of_person = KeyedHash(key).add("media").add(account).add(person).finish();
  return {fmt::format("{:08x}", of_account.low >> 32), fmt::format("{:016x}", of_person.low)};
}

Id Id::make(Owner owner, std::uint64_t random, Type type) {
  return {std::move(owner), fmt::format("{:016x}", random), type};
}

std::optional<Id> Id::parse(std::string_view text) {
  constexpr std::size_t kOwnerDigits = kAccountDigits + kPersonDigits;
  constexpr std::size_t kDot = kOwnerDigits + 1 + kNameDigits;
  if (text.size() <= kDot || text[kOwnerDigits] != '-' || text[kDot] != '.') return std::nullopt;
  const std::string_view owner = text.substr(0, kOwnerDigits);
  const std::string_view name = text.substr(kOwnerDigits + 1, kNameDigits);
  if (!is_hex(owner) || !is_hex(name)) return std::nullopt;
  for (const Row& row : kTypes) {
    if (row.extension != text.substr(kDot + 1)) continue;
    return Id{
        {std::string(owner.substr(0, kAccountDigits)), std::string(owner.substr(kAccountDigits))},
        std::string(name),
        row.type};
  }
  return std::nullopt;
}

std::string Id::file() const { return fmt::format("{}.{}", name, row_of(type).extension); }
std::string Id::text() const { return fmt::format("{}-{}", owner.text(), file()); }

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4, '\0');
  // It also writes a final NUL, where a std::string has one.
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  const std::string_view digits = text.substr(0, text.size() - padding);
  if (text.size() % 4 != 0 || digits.find_first_not_of(kAlphabet) != std::string_view::npos) {
    return std::nullopt;
  }
  std::string out(text.size() / 4 * 3, '\0');
  EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                  reinterpret_cast<const unsigned char*>(text.data()),
                  static_cast<int>(text.size()));
  out.resize(out.size() - padding);
  return out;
}

}  // namespace sluice::media
