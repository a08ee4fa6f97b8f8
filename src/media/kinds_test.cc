#include "media/kinds.h"

#include <gtest/gtest.h>

namespace sluice::media {
namespace {

using namespace std::string_view_literals;

constexpr HashKey kKey{1, 2, 3};

TEST(MediaTypeTest, IsToldByTheFirstBytes) {
  EXPECT_EQ(type_of_bytes("\x89PNG\r\n\x1a\n and more"sv), Type::kPng);
  EXPECT_EQ(type_of_bytes("\xff\xd8\xff\xe0"sv), Type::kJpeg);
  EXPECT_EQ(type_of_bytes("GIF87a"sv), Type::kGif);
  EXPECT_EQ(type_of_bytes("GIF89a"sv), Type::kGif);
  EXPECT_EQ(type_of_bytes("RIFF\x10\0\0\0WEBPVP8L"sv), Type::kWebp);
}

TEST(MediaTypeTest, IsNoneOfWhatIsNoImage) {
  for (const std::string_view bytes :
       {""sv, "<svg xmlns"sv, "<html>"sv, "%PDF-1.7"sv, "RIFF\x10\0\0\0WAVEfmt "sv, "BM"sv,
        "\x89PN"sv, "\0\0\0\x20 ftypavif"sv, "GIF"sv, " \x89PNG\r\n\x1a\n"sv}) {
    EXPECT_EQ(type_of_bytes(bytes), std::nullopt) << bytes;
  }
}

TEST(MediaTypeTest, HasOneNameEach) {
  for (const Type type : {Type::kPng, Type::kJpeg, Type::kGif, Type::kWebp}) {
    EXPECT_EQ(type_of_mime(mime_of(type)), type);
  }
  EXPECT_EQ(type_of_mime("image/svg+xml"), std::nullopt);
}

TEST(MediaIdTest, SaysWhoseItIsToWhoeverHasTheKey) {
  const Id id = Id::make(owner_of(kKey, "http", "alice"), 7, Type::kJpeg);
  EXPECT_EQ(id.owner, owner_of(kKey, "http", "alice"));
  EXPECT_NE(id.owner, owner_of(kKey, "http", "bob"));
  EXPECT_EQ(id.owner.account, owner_of(kKey, "http", "bob").account);
  EXPECT_NE(id.owner.account, owner_of(kKey, "cli", "alice").account);
  EXPECT_NE(id.owner, owner_of(HashKey{9}, "http", "alice"));
  EXPECT_TRUE(id.text().ends_with("-0000000000000007.jpg"));
}

TEST(MediaIdTest, ComesBackFromItsText) {
  for (const Type type : {Type::kPng, Type::kJpeg, Type::kGif, Type::kWebp}) {
    const Id id = Id::make(owner_of(kKey, "http", "alice"), ~std::uint64_t{0}, type);
    EXPECT_EQ(Id::parse(id.text()), id);
  }
}

TEST(MediaIdTest, IsNothingThatCouldLeadElsewhere) {
  const std::string good = Id::make(owner_of(kKey, "a", "b"), 1, Type::kPng).text();
  ASSERT_TRUE(Id::parse(good));
  for (const std::string& bad :
       {std::string(), std::string("../../../../etc/passwd"), "../" + good, good + "/..",
        good + std::string("\0", 1), good.substr(1), "A" + good.substr(1),
        good.substr(0, 42) + "exe", good.substr(0, 24) + "/" + good.substr(25), good.substr(0, 41),
        good + "x", good.substr(0, 20) + "../." + good.substr(24),
        good.substr(0, 25) + "../../../../pass" + ".png", std::string(10'000, 'a')}) {
    EXPECT_FALSE(Id::parse(bad)) << bad;
  }
}

TEST(MediaBase64Test, FollowsTheRfc) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(MediaBase64Test, IsReadStrictly) {
  for (const std::string bytes : {"", "f", "fo", "foo", "foobar"}) {
    EXPECT_EQ(from_base64(base64(bytes)), bytes);
  }
  const std::string nul("\0\xff\0", 3);
  EXPECT_EQ(from_base64(base64(nul)), nul);
  for (const char* bad :
       {"Z", "Zg", "Zg=", "Zg= =", " Zg==", "Zg==\n", "Z===", "====", "Zm8_", "Zg==Zg=="}) {
    EXPECT_FALSE(from_base64(bad)) << bad;
  }
}

}  // namespace
}  // namespace sluice::media
