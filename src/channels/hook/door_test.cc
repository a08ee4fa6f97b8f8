#include "channels/hook/door.h"

#include <gtest/gtest.h>

namespace sluice::hook {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ManualClock : public Clock {
 public:
  MonoTime now() override { return now_; }
  UnixMillis wall() override { return UnixMillis{1'700'000'000'000 + now_.ns / 1'000'000}; }
  MonoTime now_;
};

class HookDoorTest : public ::testing::Test {
 protected:
  HookDoorTest() { options_.receive_secret = config::Secret("key"); }
  void pass(Duration time) { clock_.now_ = clock_.now_ + time; }
  net::HttpRequest signed_request(std::string body, std::string_view key = "key") {
    net::HttpRequest request;
    request.method = "POST";
    request.target = "/hook/desk";
    request.headers.set(auth::kSignatureHeader, auth::signature(key, body, loop_.wall()));
    request.body = std::move(body);
    return request;
  }
  /// "ok", or the kind of the error that the head or the body brings.
  static std::string come(Door& door, const net::HttpRequest& request) {
    const Result<void> head = door.screen(request);
    if (!head) return std::string(to_string(head.error().kind()));
    const Result<void> body = door.check(request);
    return body ? "ok" : std::string(to_string(body.error().kind()));
  }

  ManualClock clock_;
  Loop loop_{clock_, 1};
  HookOptions options_;
};

TEST_F(HookDoorTest, ASignedRequestComesIn) {
  Door door(loop_, options_);
  EXPECT_EQ(come(door, signed_request("{}")), "ok");
}

TEST_F(HookDoorTest, AForgedOneDoesNot) {
  Door door(loop_, options_);
  EXPECT_EQ(come(door, signed_request("{}", "other key")), "unauthenticated");
  net::HttpRequest changed = signed_request("{}");
  changed.body = "{ }";
  EXPECT_EQ(come(door, changed), "unauthenticated");
}

TEST_F(HookDoorTest, AReplayedOneDoesNot) {
  Door door(loop_, options_);
  const net::HttpRequest request = signed_request("{}");
  EXPECT_EQ(come(door, request), "ok");
  EXPECT_EQ(come(door, request), "conflict");
  pass(seconds(1));
  EXPECT_EQ(come(door, request), "conflict");
  EXPECT_EQ(come(door, signed_request("{}")), "ok");
}

TEST_F(HookDoorTest, ALateOneIsRefusedBeforeItsBody) {
  Door door(loop_, options_);
  const net::HttpRequest request = signed_request("{}");
  pass(options_.signature_window);
  EXPECT_TRUE(door.screen(request));
  pass(seconds(1));
  EXPECT_FALSE(door.screen(request));
}

TEST_F(HookDoorTest, OneFromTheFutureIsRefusedToo) {
  Door door(loop_, options_);
  pass(options_.signature_window + seconds(1));
  const net::HttpRequest request = signed_request("{}");
  clock_.now_ = MonoTime{};
  EXPECT_FALSE(door.screen(request));
}

TEST_F(HookDoorTest, OneThatBecameLateWhileItsBodyCameIsRefused) {
  Door door(loop_, options_);
  const net::HttpRequest request = signed_request("{}");
  EXPECT_TRUE(door.screen(request));
  pass(options_.signature_window + seconds(1));
  EXPECT_FALSE(door.check(request));
}

TEST_F(HookDoorTest, WhatIsReadIsSignedByItsTarget) {
  Door door(loop_, options_);
  net::HttpRequest request;
  request.method = "GET";
  request.target = "/hook/desk/messages/7";
  request.headers.set(auth::kSignatureHeader,
                      auth::signature("key", "GET /hook/desk/messages/7", loop_.wall()));
  EXPECT_EQ(come(door, request), "ok");
  request.target = "/hook/desk/messages/8";
  EXPECT_EQ(come(door, request), "unauthenticated");
}

TEST_F(HookDoorTest, TwoSignaturesAreNone) {
  Door door(loop_, options_);
  net::HttpRequest request = signed_request("{}");
  request.headers.add(auth::kSignatureHeader, auth::signature("other key", "{}", loop_.wall()));
  EXPECT_EQ(come(door, request), "unauthenticated");
}

TEST_F(HookDoorTest, ATokenStillServesBesideASecret) {
  options_.token = config::Secret("s3cret");
  Door door(loop_, options_);
  net::HttpRequest request;
  request.method = "POST";
  request.headers.set("Authorization", "Bearer s3cret");
  EXPECT_EQ(come(door, request), "ok");
  request.headers.set("Authorization", "Bearer other");
  EXPECT_EQ(come(door, request), "unauthenticated");
  EXPECT_EQ(come(door, signed_request("{}")), "ok");
}

TEST_F(HookDoorTest, WithoutATokenOfItsOwnAnEmptyOneDoesNotServe) {
  Door door(loop_, options_);
  net::HttpRequest request;
  request.method = "POST";
  request.headers.set("Authorization", "Bearer ");
  EXPECT_EQ(come(door, request), "unauthenticated");
}

TEST_F(HookDoorTest, RatesAreBoundedBehindTheCredentials) {
  options_.rate = 1;
  options_.burst = 2;
  Door door(loop_, options_);
  EXPECT_EQ(come(door, signed_request("forged", "other key")), "unauthenticated");
  EXPECT_EQ(come(door, signed_request("1")), "ok");
  EXPECT_EQ(come(door, signed_request("2")), "ok");
  EXPECT_EQ(come(door, signed_request("3")), "rate_limited");
  pass(seconds(1));
  EXPECT_EQ(come(door, signed_request("4")), "ok");
}

TEST_F(HookDoorTest, Item65ASuccessorKnowsWhatWasUsedAndHowFastItCame) {
  options_.rate = 1;
  options_.burst = 2;
  Door door(loop_, options_);
  const net::HttpRequest request = signed_request("{}");
  EXPECT_EQ(come(door, request), "ok");
  Door successor(loop_, options_);
  successor.remember(door.memory());
  EXPECT_EQ(come(successor, request), "conflict");
  EXPECT_EQ(come(successor, signed_request("2")), "ok");
  EXPECT_EQ(come(successor, signed_request("3")), "rate_limited");
}

TEST_F(HookDoorTest, WhatIsNoMemoryOfItIsLeft) {
  Door door(loop_, options_);
  for (const char* memory :
       {"", "[]", R"({"level":"x","at":{},"used":{"y":[1],"7":"z","8":["short"]}})"})
    door.remember(memory);
  EXPECT_EQ(come(door, signed_request("{}")), "ok");
}

TEST(HookTokenBucketTest, SaysHowLongToWaitAndNeverHoldsMoreThanABurst) {
  TokenBucket bucket(2, 1, MonoTime{});
  EXPECT_FALSE(bucket.take(MonoTime{}));
  EXPECT_EQ(bucket.take(MonoTime{}), Duration(milliseconds(500)));
  const MonoTime later = MonoTime{} + Duration(seconds(100));
  EXPECT_FALSE(bucket.take(later));
  EXPECT_TRUE(bucket.take(later));
}

}  // namespace
}  // namespace sluice::hook
