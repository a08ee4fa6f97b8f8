#include "channels/hook/outcome.h"

#include <gtest/gtest.h>

namespace sluice::hook {
namespace {

using std::chrono::seconds;
using What = SendOutcome::What;

constexpr UnixMillis kNow{784'111'777'000};  // Sun, 06 Nov 1994 08:49:37 GMT

net::HttpClientResponse answer(int status, std::string body = {}) {
  return {status, {}, std::move(body)};
}
What what_of(int status, bool own = false) { return outcome_of(answer(status), own, kNow).what; }

TEST(HookOutcomeTest, AnySuccessIsSent) {
  for (const int status : {200, 201, 202, 204}) EXPECT_EQ(what_of(status), What::kSent) << status;
}

TEST(HookOutcomeTest, KeepsWhatTheReceiverCallsThePart) {
  EXPECT_EQ(outcome_of(answer(200, R"({"id": "abc"})"), false, kNow).platform_id, "abc");
  EXPECT_EQ(outcome_of(answer(200, R"({"id": 17})"), false, kNow).platform_id, "17");
}

TEST(HookOutcomeTest, AnOddBodyOfASuccessIsNoReasonToDoubtIt) {
  for (const char* body : {"ok", "{", "[]", R"({"id": {}})", R"({"id": null})", "\xff"}) {
    const SendOutcome outcome = outcome_of(answer(200, body), false, kNow);
    EXPECT_EQ(outcome.what, What::kSent) << body;
    EXPECT_EQ(outcome.platform_id, "") << body;
  }
}

TEST(HookOutcomeTest, ARefusalIsForGood) {
  for (const int status : {400, 404, 405, 409, 410, 413}) {
    EXPECT_EQ(what_of(status), What::kRefused) << status;
  }
}

TEST(HookOutcomeTest, ARefusedFormatMayBeSentPlain) {
  EXPECT_EQ(what_of(415), What::kRefusedFormat);
  EXPECT_EQ(what_of(422), What::kRefusedFormat);
}

TEST(HookOutcomeTest, RefusedCredentialsParkTheAccountOnlyAtItsOwnCallback) {
  EXPECT_EQ(what_of(401, true), What::kAccountRefused);
  EXPECT_EQ(what_of(403, true), What::kAccountRefused);
  EXPECT_EQ(what_of(401, false), What::kRefused);
  EXPECT_EQ(what_of(403, false), What::kRefused);
}

TEST(HookOutcomeTest, ARedirectIsARefusal) {
  const SendOutcome outcome = outcome_of(answer(307), true, kNow);
  EXPECT_EQ(outcome.what, What::kRefused);
  EXPECT_NE(outcome.reason.find("not followed"), std::string::npos);
}

TEST(HookOutcomeTest, AFailureThatTheReceiverOwnsUpToWasNotSent) {
  for (const int status : {408, 425, 500, 501, 503}) {
    EXPECT_EQ(what_of(status), What::kNotSent) << status;
  }
}

TEST(HookOutcomeTest, AFailureOfAProxyLeavesTheOutcomeUnknown) {
  EXPECT_EQ(what_of(502), What::kUnknown);
  EXPECT_EQ(what_of(504), What::kUnknown);
}

TEST(HookOutcomeTest, AFloodWaitIsWhatTheReceiverNamed) {
  auto limited = answer(429);
  EXPECT_EQ(outcome_of(limited, true, kNow).what, What::kNotSent);
  limited.headers.set("Retry-After", "7");
  const SendOutcome outcome = outcome_of(limited, true, kNow);
  EXPECT_EQ(outcome.what, What::kRateLimited);
  EXPECT_EQ(outcome.wait, seconds(7));
  EXPECT_FALSE(outcome.whole_account);
}

TEST(HookOutcomeTest, AFloodWaitOfNothingDoesNotSpin) {
  auto limited = answer(429);
  limited.headers.set("Retry-After", "0");
  EXPECT_EQ(outcome_of(limited, true, kNow).what, What::kNotSent);
}

TEST(HookOutcomeTest, OnlyTheAccountsOwnCallbackCanPauseTheWholeAccount) {
  auto limited = answer(503);
  limited.headers.set("Retry-After", "7");
  limited.headers.set("X-RateLimit-Scope", "Account");
  EXPECT_TRUE(outcome_of(limited, true, kNow).whole_account);
  EXPECT_FALSE(outcome_of(limited, false, kNow).whole_account);
}

TEST(HookOutcomeTest, WhatNeverLeftWasNotSent) {
  const net::FetchError refused{Error(ErrorKind::kUnavailable), net::SentState::kNotSent, {}};
  EXPECT_EQ(outcome_of(refused, true, kNow).what, What::kNotSent);
}

TEST(HookOutcomeTest, ALostAnswerLeavesTheOutcomeUnknown) {
  const net::FetchError lost{Error(ErrorKind::kTimeout), net::SentState::kMaybeSent, {}};
  EXPECT_EQ(outcome_of(lost, true, kNow).what, What::kUnknown);
}

TEST(HookOutcomeTest, AStatusCountsEvenIfTheBodyBehindItWasLost) {
  const net::FetchError cut{Error(ErrorKind::kUnavailable), net::SentState::kMaybeSent, 200};
  EXPECT_EQ(outcome_of(cut, true, kNow).what, What::kSent);
  const net::FetchError failed{Error(ErrorKind::kTooLarge), net::SentState::kMaybeSent, 500};
  EXPECT_EQ(outcome_of(failed, true, kNow).what, What::kNotSent);
}

}  // namespace
}  // namespace sluice::hook
