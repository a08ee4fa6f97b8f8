#include "net/retry_after.h"

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr UnixMillis kNow{784'111'777'000};  // Sun, 06 Nov 1994 08:49:37 GMT

TEST(RetryAfterTest, TakesSeconds) {
  EXPECT_EQ(parse_retry_after("120", kNow), seconds(120));
  EXPECT_EQ(parse_retry_after("0", kNow), seconds(0));
}

TEST(RetryAfterTest, CountsADateFromNowAndOneGoneByAsNoWait) {
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", kNow), seconds(60));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", kNow), seconds(0));
}

TEST(RetryAfterTest, TakesNothingElse) {
  for (const std::string_view bad :
       {"", "-1", "1.5", "soon", "12 s", "Sun, 06 Nov 1994 08:50:37 PST", "99999999999999999999"}) {
    EXPECT_FALSE(parse_retry_after(bad, kNow)) << bad;
  }
  using namespace std::string_view_literals;
  EXPECT_FALSE(parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT\0x"sv, kNow));
}

TEST(RetryAfterTest, IsAtMostADay) {
  EXPECT_EQ(parse_retry_after("9000000000000000000", kNow), hours(24));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 2094 08:50:37 GMT", kNow), hours(24));
}

}  // namespace
}  // namespace sluice::net
