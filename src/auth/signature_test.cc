#include "auth/signature.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::auth {
namespace {

constexpr UnixMillis kNow{1'700'000'000'999};

TEST(SignatureTest, IsHmacSha256OfTimeAndBody) {
  // printf '1.{}' | openssl dgst -sha256 -hmac key
  EXPECT_EQ(signature("key", "{}", UnixMillis{1999}),
            "t=1,v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224");
}

TEST(SignatureTest, WhatWasSignedIsRecognised) {
  const std::string text = signature("key", "{}", kNow);
  const std::optional<Signature> read = parse_signature(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->seconds, 1'700'000'000);
  EXPECT_TRUE(is_signed_with(*read, "key", "{}"));
}

TEST(SignatureTest, AnotherKeyTextOrTimeIsNot) {
  Signature read = *parse_signature(signature("key", "{}", kNow));
  EXPECT_FALSE(is_signed_with(read, "kez", "{}"));
  EXPECT_FALSE(is_signed_with(read, "key", "{ }"));
  read.seconds += 1;
  EXPECT_FALSE(is_signed_with(read, "key", "{}"));
}

TEST(SignatureTest, OneSignatureHasOneForm) {
  const std::string hex(64, 'a');
  EXPECT_TRUE(parse_signature("t=1,v1=" + hex));
  EXPECT_TRUE(parse_signature("v1=" + hex + ",t=1"));
  for (const std::string& text : std::vector<std::string>{
           "", "t=1", "v1=" + hex, "t=01,v1=" + hex, "t=+1,v1=" + hex, "t= 1,v1=" + hex,
           "t=1,t=1,v1=" + hex, "t=1,v1=" + hex + ",v1=" + hex, "t=1,v1=" + hex + ",x=1",
           "t=99999999999999999999,v1=" + hex, "t=1,v1=" + hex.substr(1),
           "t=1,v1=g" + hex.substr(1)}) {
    EXPECT_FALSE(parse_signature(text)) << text;
  }
}

}  // namespace
}  // namespace sluice::auth
