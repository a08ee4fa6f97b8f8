#include "net/egress.h"

#include <gtest/gtest.h>

#include "net/net_fixture.h"

namespace sluice::net {
namespace {

using namespace std::chrono_literals;

class NotPublicTest : public ::testing::TestWithParam<const char*> {};

TEST_P(NotPublicTest, IsRefused) { EXPECT_FALSE(is_public(*IpAddress::parse(GetParam()))); }

INSTANTIATE_TEST_SUITE_P(
    EgressTest, NotPublicTest,
    ::testing::Values("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255",
                      "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1",
                      "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1",
                      "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
                      "255.255.255.255", "168.63.129.16", "::", "::1", "::ffff:127.0.0.1",
                      "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
                      "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1",
                      "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "100::1",
                      "4000::1"));

class PublicTest : public ::testing::TestWithParam<const char*> {};

TEST_P(PublicTest, IsAllowed) { EXPECT_TRUE(is_public(*IpAddress::parse(GetParam()))); }

INSTANTIATE_TEST_SUITE_P(EgressTest, PublicTest,
                         ::testing::Values("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1",
                                           "172.15.0.1", "172.32.0.1", "192.169.0.1",
                                           "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8",
                                           "64:ff9b::808:808", "2002:808:808::1"));

TEST(EgressTest, AllowsListedBlocksAndTargetsOnly) {
  const auto policy = EgressPolicy::allowing({"10.1.0.0/16", "127.0.0.1:8080", "fd00::/8"});
  ASSERT_TRUE(policy);
  const auto allows = [&](const char* url, const char* address) {
    return policy->allows(*Url::parse(url), *IpAddress::parse(address));
  };
  EXPECT_TRUE(allows("http://x/", "10.1.2.3"));
  EXPECT_FALSE(allows("http://x/", "10.2.2.3"));
  EXPECT_TRUE(allows("http://127.0.0.1:8080/", "127.0.0.1"));
  EXPECT_FALSE(allows("http://127.0.0.1:8081/", "127.0.0.1"));
  EXPECT_FALSE(allows("http://x:8080/", "127.0.0.1"));
  EXPECT_TRUE(allows("http://x/", "fd12::1"));
}

TEST(EgressTest, NamesAnEntryThatIsNone) {
  for (const char* entry :
       {"", "example.com", "10.0.0.0/33", "example.com:80/x", "a b:1", "[::1]"}) {
    EXPECT_FALSE(EgressPolicy::allowing({entry})) << entry;
  }
  EXPECT_TRUE(EgressPolicy::allowing({"[::1]:80", "example.com:443", "::1", "192.0.2.1"}));
}

Result<Endpoint> choose(const EgressPolicy& policy, const char* url) {
  test::ShardThread thread;
  return thread.await<Result<Endpoint>>(
      [&] { return policy.choose(thread.shard(), *Url::parse(url), thread.shard().now() + 5s); });
}

TEST(EgressTest, ChoosesTheAddressToConnectTo) {
  const auto chosen = choose(EgressPolicy(), "http://8.8.8.8:81/");
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->to_string(), "8.8.8.8:81");
}

TEST(EgressTest, RefusesANameThatLeadsInside) {
  for (const char* url : {"http://localhost/", "http://127.0.0.1/", "http://[::1]/",
                          "http://[::ffff:169.254.169.254]/latest/meta-data"}) {
    const auto chosen = choose(EgressPolicy(), url);
    ASSERT_FALSE(chosen) << url;
    EXPECT_EQ(chosen.error().kind(), ErrorKind::kPermissionDenied);
  }
}

}  // namespace
}  // namespace sluice::net
