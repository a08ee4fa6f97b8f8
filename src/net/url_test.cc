#include "net/url.h"

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

TEST(UrlTest, TakesAnAbsoluteUrlApart) {
  const auto url = Url::parse("HTTPS://Example.COM:8443/a/b?c=d#e");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->https);
  EXPECT_EQ(url->host, "example.com");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/a/b?c=d");
  EXPECT_EQ(url->authority(), "example.com:8443");
}

TEST(UrlTest, FillsInPortAndPath) {
  const auto url = Url::parse("http://example.com?x");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->port, 80);
  EXPECT_EQ(url->to_string(), "http://example.com/?x");
  EXPECT_EQ(Url::parse("https://a")->port, 443);
}

TEST(UrlTest, TakesAddresses) {
  EXPECT_EQ(Url::parse("http://127.0.0.1:80/")->host, "127.0.0.1");
  const auto url = Url::parse("http://[2001:DB8::1]:81/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "2001:db8::1");
  EXPECT_EQ(url->authority(), "[2001:db8::1]:81");
}

TEST(UrlTest, RefusesWhatTwoParsersCouldReadDifferently) {
  for (const char* text : {"",
                           "example.com",
                           "//example.com",
                           "ftp://example.com",
                           "http:/example.com",
                           "http://",
                           "http://user@example.com",
                           "http://user:pw@example.com/",
                           "http://exa mple.com",
                           "http://ex\xc3\xa4mple.com",
                           "http://example.com:0",
                           "http://example.com:65536",
                           "http://example.com:",
                           "http://example.com:8a",
                           "http://2130706433/",
                           "http://127.1/",
                           "http://0x7f000001/",
                           "http://0177.0.0.1/",
                           "http://1.2.3.4.5/",
                           "http://a..b/",
                           "http://-a.b/",
                           "http://a-.b/",
                           "http://[::1",
                           "http://[::1]x",
                           "http://[127.0.0.1]/",
                           "http://[fe80::1%25eth0]/",
                           "http://example.com./",
                           "http://a/%",
                           "http://a/%4",
                           "http://a/%zz",
                           "http://a/\\b",
                           "http://a\\b/",
                           "http://a/\r\nX: y",
                           "http://a/\x7f"}) {
    EXPECT_FALSE(Url::parse(text)) << text;
  }
}

TEST(UrlTest, BoundsItsLength) {
  EXPECT_FALSE(Url::parse("http://a/" + std::string(kMaxUrlBytes, 'x')));
}

}  // namespace
}  // namespace sluice::net
