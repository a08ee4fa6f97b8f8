#include "agents/model/model_error.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "gateway/classify.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr UnixMillis kNow{784'111'777'000};  // Sun, 06 Nov 1994 08:49:37 GMT

Error refused(int status, std::string_view body = "{}", const net::HttpHeaders& headers = {}) {
  return refusal_of(status, headers, body, seconds(300), kNow);
}
Error told(std::string_view error) { return told_error(boost::json::parse(error)); }

TEST(ModelErrorTest, WhatCanHelpLaterMayBeTriedAgain) {
  for (const int status : {408, 409, 425, 429, 500, 502, 503, 504, 529}) {
    EXPECT_TRUE(refused(status).retry().allowed()) << status;
  }
}

TEST(ModelErrorTest, WhatWillBeRefusedAgainIsNotTriedAgain) {
  for (const int status : {201, 204, 301, 307, 400, 401, 402, 403, 404, 405, 413, 422}) {
    EXPECT_FALSE(refused(status).retry().allowed()) << status;
  }
}

TEST(ModelErrorTest, EachStatusLeadsToAWordThatHelpsThePerson) {
  for (const auto& [status, kind] :
       {std::pair(401, "api_key_missing"), std::pair(403, "api_key_missing"),
        std::pair(402, "api_key_missing"), std::pair(400, "validation_error"),
        std::pair(413, "validation_error"), std::pair(404, "execution_failed"),
        std::pair(307, "execution_failed"), std::pair(429, "provider_error"),
        std::pair(500, "provider_error"), std::pair(529, "provider_error")}) {
    EXPECT_EQ(classify(refused(status)).kind, kind) << status;
  }
}

TEST(ModelErrorTest, ACodeSaysMoreThanItsStatus) {
  const Error spent = refused(429, R"({"error": {"type": "insufficient_quota"}})");
  EXPECT_EQ(spent.kind(), ErrorKind::kUnauthenticated);
  EXPECT_FALSE(spent.retry().allowed());
  const Error large = refused(400, R"({"error": {"code": "context_length_exceeded"}})");
  EXPECT_EQ(large.kind(), ErrorKind::kTooLarge);
}

TEST(ModelErrorTest, NamesTypeCodeAndRequestButNoSentence) {
  const Error error = refused(400,
                              R"({"error": {"type": "invalid_request_error", "param": "stop",
                                 "code": "bad value", "message": "your key is sk-123"}})",
                              {{"x-request-id", "req_7"}});
  EXPECT_EQ(error.context(), "answered 400 (invalid_request_error, stop), request req_7");
  EXPECT_EQ(error.source(), ErrorSource::kPeer);
}

TEST(ModelErrorTest, TakesAnyBody) {
  for (const char* body : {"", "<html>", "[]", "null", R"({"error": "text"})", R"({"error": 7})",
                           R"({"error": {"code": {}, "type": []}})", "{\"error\": \"\xff\"}"}) {
    EXPECT_EQ(refused(503, body).kind(), ErrorKind::kUnavailable) << body;
  }
}

TEST(ModelErrorTest, A200ThatTellsAnErrorIsThatError) {
  EXPECT_EQ(refused(200, R"({"error": {"type": "rate_limit_error"}})").kind(),
            ErrorKind::kRateLimited);
  EXPECT_EQ(refused(200, R"({"error": {"code": 503}})").kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(refused(200, R"({"error": "whatever"})").kind(), ErrorKind::kUnavailable);
}

TEST(ModelErrorTest, A200ThatIsNoStreamIsABadResponse) {
  for (const char* body : {"", "{}", R"({"error": null})", "<html>"}) {
    const Error error = refused(200, body, {{"Content-Type", "text/html; charset=x"}});
    EXPECT_EQ(error.kind(), ErrorKind::kBadResponse);
    EXPECT_EQ(error.context(), "answered text/html where an event stream was asked for");
  }
}

TEST(ModelErrorTest, HonoursAWaitUpToItsBound) {
  const auto retry = [](const net::HttpHeaders& headers) {
    return refused(503, "{}", headers).retry();
  };
  EXPECT_EQ(retry({{"Retry-After", "300"}}), Retry::after(seconds(300)));
  EXPECT_EQ(retry({{"Retry-After", "301"}}), Retry::never());
  EXPECT_EQ(retry({{"Retry-After", "Sun, 06 Nov 1994 08:50:37 GMT"}}), Retry::after(seconds(60)));
  EXPECT_EQ(retry({{"retry-after-ms", "1500.5"}}), Retry::after(milliseconds(1500)));
  EXPECT_EQ(retry({{"retry-after-ms", "1e300"}}), Retry::never());
  for (const char* bad : {"", "-1", "nan", "soon", "1x"}) {
    EXPECT_EQ(retry({{"retry-after-ms", bad}}), Retry::with_backoff()) << bad;
  }
}

TEST(ModelErrorTest, HearsThatTryingAgainDoesNotHelp) {
  EXPECT_EQ(refused(500, "{}", {{"x-should-retry", "false"}}).retry(), Retry::never());
}

TEST(ModelErrorTest, AnErrorInAStreamIsKnownByTypeOrCode) {
  EXPECT_EQ(told(R"({"type": "overloaded_error"})").kind(), ErrorKind::kOverloaded);
  EXPECT_EQ(told(R"({"type": "authentication_error"})").kind(), ErrorKind::kUnauthenticated);
  EXPECT_EQ(told(R"({"code": 429})").kind(), ErrorKind::kRateLimited);
  EXPECT_EQ(told(R"({"code": "rate_limit_exceeded"})").kind(), ErrorKind::kRateLimited);
  EXPECT_EQ(told(R"({"type": "invalid_request_error"})").kind(), ErrorKind::kInvalidArgument);
}

TEST(ModelErrorTest, AnErrorInAStreamThatIsNotKnownIsTheServers) {
  for (const char* error : {R"({"type": "news"})", "null", "\"text\"", "[]", R"({"code": 7})"}) {
    EXPECT_EQ(told(error).kind(), ErrorKind::kUnavailable) << error;
    EXPECT_TRUE(told(error).retry().allowed());
  }
}

TEST(ModelErrorTest, OnlyShortPlainNamesAreFitForALog) {
  EXPECT_EQ(log_name("a-B_9.c:d/e"), "a-B_9.c:d/e");
  EXPECT_EQ(log_name("two words"), "");
  EXPECT_EQ(log_name("\x1b[31m"), "");
  EXPECT_EQ(log_name(std::string(65, 'a')), "");
}

}  // namespace
}  // namespace sluice
