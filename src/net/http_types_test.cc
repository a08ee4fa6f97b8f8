#include "net/http_types.h"

#include <gtest/gtest.h>

#include "net/http_parser.h"

namespace sluice::net {
namespace {

TEST(HttpHeadersTest, FindsNamesWithoutCase) {
  HttpHeaders headers{{"Content-Type", "a"}, {"X-Two", "b"}, {"x-two", "c"}};
  EXPECT_EQ(headers.get("content-type"), "a");
  EXPECT_EQ(headers.get("X-TWO"), "b");
  EXPECT_EQ(headers.count("x-two"), 2u);
  EXPECT_FALSE(headers.contains("x"));
}

TEST(HttpHeadersTest, SetReplacesAllOfThatName) {
  HttpHeaders headers{{"a", "1"}, {"A", "2"}, {"b", "3"}};
  headers.set("a", "4");
  EXPECT_EQ(headers.size(), 2u);
  EXPECT_EQ(headers.get("a"), "4");
}

TEST(HttpHeadersTest, NeverLetsAValueStartAnotherHeader) {
  HttpHeaders headers;
  headers.add("x", "a\r\nSet-Cookie: b");
  EXPECT_EQ(headers.get("x"), "a  Set-Cookie: b");
}

TEST(HttpHeadersTest, FindsTokensInLists) {
  const HttpHeaders headers{{"connection", "Upgrade , keep-alive"}, {"connection", "close"}};
  EXPECT_TRUE(headers.has_token("Connection", "upgrade"));
  EXPECT_TRUE(headers.has_token("Connection", "close"));
  EXPECT_FALSE(headers.has_token("Connection", "keep"));
}

TEST(HttpRequestTest, SplitsPathAndQuery) {
  HttpRequest request;
  request.target = "/v1/a%2Fb?after=10&text=a+b%21&flag&empty=";
  ASSERT_TRUE(split_target(request));
  EXPECT_EQ(request.path, "/v1/a%2Fb");
  EXPECT_EQ(request.query_value("after"), "10");
  EXPECT_EQ(request.query_value("text"), "a b!");
  EXPECT_EQ(request.query_value("flag"), "");
  EXPECT_FALSE(request.query_value("nothing"));
}

TEST(HttpRequestTest, TakesTheAbsoluteForm) {
  HttpRequest request;
  request.target = "http://other.example:80/x?y=1";
  ASSERT_TRUE(split_target(request));
  EXPECT_EQ(request.path, "/x");
  EXPECT_EQ(request.query_value("y"), "1");
}

TEST(HttpRequestTest, RefusesTargetsThatAreNone) {
  for (const char* target :
       {"", "x", "example.com:80", "/a b", "/a#b", "/?x=%0", "/?x=%00", "/?x=%ff", "ftp://a/b"}) {
    HttpRequest request;
    request.target = target;
    EXPECT_FALSE(split_target(request)) << target;
  }
}

TEST(HttpRequestTest, BoundsTheNumberOfQueryParameters) {
  std::string query;
  for (std::size_t i = 0; i <= kMaxQueryParams; ++i) query += "a=b&";
  EXPECT_FALSE(parse_query(query));
}

TEST(HttpRequestTest, TellsTheMediaTypeWithoutParameters) {
  HttpRequest request;
  request.headers.add("Content-Type", "Application/JSON ; charset=utf-8");
  EXPECT_EQ(request.content_type(), "application/json");
}

TEST(HttpResponseTest, MakesAProblemOfRfc9457) {
  const HttpResponse response = HttpResponse::problem(404, "not-found", "Not \"Found\"", "a\nb");
  EXPECT_EQ(response.headers.get("content-type"), "application/problem+json");
  EXPECT_EQ(
      response.body,
      R"({"type":"urn:sluice:problem:not-found","title":"Not \"Found\"","status":404,"detail":"a\nb"})");
}

TEST(PercentTest, EncodesWhatItDecodes) {
  const std::string text = "a/b c\xc3\xa9?&=%";
  EXPECT_EQ(percent_encode(text), "a%2Fb%20c%C3%A9%3F%26%3D%25");
  EXPECT_EQ(*percent_decode(percent_encode(text)), text);
}

TEST(HttpParserTest, StopsAfterTheHeadAndAtTheEndOfTheMessage) {
  HttpParser parser = HttpParser::for_request({});
  std::string bytes = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET";
  auto used = parser.put(bytes);
  ASSERT_TRUE(used);
  EXPECT_TRUE(parser.head_done());
  EXPECT_FALSE(parser.done());
  bytes.erase(0, *used);
  used = parser.put(bytes);
  ASSERT_TRUE(used);
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(bytes.substr(*used), "GET");
  EXPECT_EQ(parser.body(), "abc");
}

TEST(HttpParserTest, BoundsHeadersThatComeOneByOne) {
  HttpParser parser = HttpParser::for_request({.header_bytes = 200});
  ASSERT_TRUE(parser.put("GET / HTTP/1.1\r\n"));
  std::string pending;
  bool failed = false;
  for (int i = 0; i < 20 && !failed; ++i) {
    pending += "name: 0123456789\r\n";
    const auto used = parser.put(pending);
    failed = !used;
    if (used) pending.erase(0, *used);
  }
  EXPECT_TRUE(failed);
  EXPECT_EQ(parser.failure_status(), 431);
}

TEST(HttpParserTest, BoundsAChunkHeaderThatNeverEnds) {
  HttpParser parser = HttpParser::for_request({.header_bytes = 200});
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_EQ(*parser.put(head), head.size());
  std::string pending;
  bool failed = false;
  for (int i = 0; i < 300 && !failed; ++i) {
    pending += i == 0 ? "5;" : "x";
    const auto used = parser.put(pending);
    failed = !used;
    if (used) pending.erase(0, *used);
  }
  EXPECT_TRUE(failed);
}

TEST(HttpParserTest, SurvivesALastChunkThatComesInPieces) {
  HttpParser parser = HttpParser::for_request({});
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_EQ(*parser.put(head), head.size());
  const std::string rest = "0\r\nT: x\r\n\r\n";
  for (std::size_t n = 1; n < rest.size(); ++n) ASSERT_EQ(*parser.put(rest.substr(0, n)), 0u);
  ASSERT_EQ(*parser.put(rest), rest.size());
  EXPECT_TRUE(parser.done());
}

TEST(HttpParserTest, DropsTrailers) {
  HttpParser parser = HttpParser::for_request({});
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_EQ(*parser.put(head), head.size());
  ASSERT_TRUE(parser.put("0\r\nAuthorization: forged\r\n\r\n"));
  EXPECT_TRUE(parser.done());
  EXPECT_FALSE(parser.headers().contains("authorization"));
}

TEST(HttpParserTest, AResponseWithoutALengthEndsWithTheConnection) {
  HttpParser parser = HttpParser::for_response({}, false);
  const std::string head = "HTTP/1.1 200 OK\r\n\r\n";
  ASSERT_EQ(*parser.put(head), head.size());
  ASSERT_TRUE(parser.put("abc"));
  EXPECT_FALSE(parser.done());
  ASSERT_TRUE(parser.put_eof());
  EXPECT_TRUE(parser.done());
  EXPECT_FALSE(parser.keep_alive());
  EXPECT_EQ(parser.body(), "abc");
}

TEST(HttpParserTest, AResponseThatIsCutOffIsAnError) {
  HttpParser parser = HttpParser::for_response({}, false);
  ASSERT_TRUE(parser.put("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"));
  ASSERT_TRUE(parser.put("ab"));
  EXPECT_FALSE(parser.put_eof());
}

}  // namespace
}  // namespace sluice::net
