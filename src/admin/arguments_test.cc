#include "admin/arguments.h"

#include <gtest/gtest.h>

namespace sluice::admin {
namespace {

const std::vector<Param> kParams = {Param::id("id", ""), Param::text("name", "").needed(),
                                    Param::flag("stop", ""), Param::strings("scopes", ""),
                                    Param::count("limit", "", 500)};

net::HttpRequest post(std::string body) {
  net::HttpRequest request;
  request.method = "POST";
  request.body = std::move(body);
  return request;
}

net::HttpRequest get(net::QueryParams query) {
  net::HttpRequest request;
  request.method = "GET";
  request.query = std::move(query);
  return request;
}

std::string refusal(const net::HttpRequest& request) {
  const auto read = read_arguments(kParams, "/x", request, {});
  return read ? "accepted" : read.error().context();
}

TEST(ArgumentsTest, ReadsPathAndBody) {
  const auto read = read_arguments(kParams, "/dead/{id}/redrive",
                                   post(R"({"name":"a","stop":true,"scopes":["x","y"]})"), {"17"});
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->integer("id"), 17);
  EXPECT_EQ(read->text("name"), "a");
  EXPECT_TRUE(read->flag("stop"));
  EXPECT_EQ(read->strings("scopes"), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(read->integer("limit", 50), 50);
}

TEST(ArgumentsTest, ReadsQuery) {
  const auto read = read_arguments(kParams, "/x", get({{"name", "b"}, {"limit", "7"}}), {});
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->integer("limit"), 7);
}

TEST(ArgumentsTest, NamesAnUnknownParameterAndThoseItKnows) {
  EXPECT_EQ(refusal(get({{"name", "b"}, {"nmae", "c"}})),
            "unknown parameter \"nmae\"; known: id, name, stop, scopes, limit");
  EXPECT_EQ(refusal(post(R"({"name":"a","x":1})")),
            "unknown parameter \"x\"; known: id, name, stop, scopes, limit");
}

TEST(ArgumentsTest, RefusesAMissingOrEmptyParameter) {
  EXPECT_EQ(refusal(get({})), "\"name\" is missing");
  EXPECT_EQ(refusal(get({{"name", ""}})), "\"name\" is empty");
}

TEST(ArgumentsTest, RefusesAParameterGivenTwice) {
  EXPECT_EQ(refusal(get({{"name", "a"}, {"name", "b"}})), "\"name\" is given twice");
}

TEST(ArgumentsTest, RefusesWhatIsIllTyped) {
  EXPECT_EQ(refusal(post(R"({"name":1})")), "\"name\" must be a string");
  EXPECT_EQ(refusal(post(R"({"name":"a","stop":"yes"})")), "\"stop\" must be a boolean");
  EXPECT_EQ(refusal(post(R"({"name":"a","scopes":["x",1]})")),
            "\"scopes\" must be a list of strings");
  EXPECT_EQ(refusal(get({{"name", "a"}, {"limit", "7x"}})), "\"limit\" must be a whole number");
  EXPECT_EQ(refusal(get({{"name", "a"}, {"stop", "1"}})), "\"stop\" must be true or false");
}

TEST(ArgumentsTest, RefusesNumbersOutOfRange) {
  EXPECT_EQ(refusal(get({{"name", "a"}, {"limit", "501"}})), "\"limit\" must be between 1 and 500");
  EXPECT_EQ(refusal(get({{"name", "a"}, {"limit", "-1"}})), "\"limit\" must be between 1 and 500");
  EXPECT_EQ(refusal(get({{"name", "a"}, {"id", "9223372036854775808"}})),
            "\"id\" must be a whole number");
}

TEST(ArgumentsTest, RefusesLongTextsAndControlCharacters) {
  EXPECT_EQ(refusal(get({{"name", std::string(1025, 'x')}})),
            "\"name\" may have at most 1024 bytes");
  EXPECT_EQ(refusal(post(R"({"name":"a\u001b[31m"})")),
            "\"name\" must be UTF-8 without control characters");
}

TEST(ArgumentsTest, RefusesBodiesThatAreNoJsonObject) {
  EXPECT_EQ(refusal(post("[]")), "the body must be a JSON object");
  EXPECT_TRUE(refusal(post("{\"name\":")).starts_with("the body is not JSON"));
  EXPECT_TRUE(refusal(post(R"({"name":[[[[]]]]})")).starts_with("the body is not JSON"));
}

TEST(ArgumentsTest, RefusesABodyWhereNoneBelongs) {
  net::HttpRequest request = get({{"name", "a"}});
  request.body = "{}";
  EXPECT_EQ(refusal(request), "this request takes no body");
}

}  // namespace
}  // namespace sluice::admin
