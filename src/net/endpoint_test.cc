#include "net/endpoint.h"

#include <gtest/gtest.h>

#include "net/asio_bridge.h"
#include "net/net_fixture.h"

namespace sluice::net {
namespace {

using namespace std::chrono_literals;

TEST(EndpointTest, ReadsAndWritesAddresses) {
  for (const char* text : {"192.0.2.1", "::1", "2001:db8::1"}) {
    EXPECT_EQ(IpAddress::parse(text)->to_string(), text);
  }
  EXPECT_EQ((Endpoint{*IpAddress::parse("::1"), 80}).to_string(), "[::1]:80");
  for (const char* text :
       {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "0x1.2.3.4", "[::1]", "fe80::1%eth0", "a"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0x", 9)));
}

TEST(EndpointTest, SurvivesTheWayThroughASockaddr) {
  for (const char* text : {"192.0.2.1", "2001:db8::1"}) {
    const Endpoint endpoint{*IpAddress::parse(text), 8080};
    sockaddr_storage storage{};
    to_sockaddr(endpoint, storage);
    EXPECT_EQ(from_sockaddr(storage), endpoint);
  }
}

TEST(ResolveTest, ANameThatDoesNotExistIsUnavailable) {
  test::ShardThread thread;
  const auto found = thread.await<Result<std::vector<Endpoint>>>(
      [&] { return resolve(thread.shard(), "nowhere.invalid", 80, thread.shard().now() + 10s); });
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::kUnavailable);
}

Task<int> wait_for(Loop* loop, std::function<void(std::function<void(int)>)> start) {
  co_return co_await await_callback<int>(*loop, start);
}

TEST(AsioBridgeTest, AwaitsACallbackThatComesLaterOrAtOnce) {
  test::ShardThread thread;
  const int later = thread.await<int>([&] {
    return wait_for(&thread.shard(), [&](std::function<void(int)> done) {
      thread.shard().post_from_any_thread([done] { done(7); });
    });
  });
  const int at_once = thread.await<int>(
      [&] { return wait_for(&thread.shard(), [](std::function<void(int)> done) { done(8); }); });
  EXPECT_EQ(later, 7);
  EXPECT_EQ(at_once, 8);
}

Task<void> forget(Task<int> task) { co_await std::move(task); }

TEST(AsioBridgeTest, ACallbackAfterTheWaiterIsGoneFindsNobody) {
  test::ShardThread thread;
  std::function<void(int)> kept;
  thread.run([&] {
    TaskGroup group(thread.shard());
    group.spawn("wait", forget(wait_for(&thread.shard(),
                                        [&](std::function<void(int)> done) { kept = done; })));
    group.cancel();
    kept(1);
  });
  thread.run([&] { kept(2); });
}

}  // namespace
}  // namespace sluice::net
