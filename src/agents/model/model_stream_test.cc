#include "agents/model/model_stream.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "agents/model/model_options.h"

namespace sluice {
namespace {

namespace json = boost::json;

TEST(NoticeTest, IsEmptyForAnAnswerThatEndedAsItShould) {
  ModelStream stream;
  stream.finish_by(Finish::kStop);
  EXPECT_EQ(notice_of(stream), "");
}

TEST(NoticeTest, TellsWhyAnAnswerIsNotWhole) {
  ModelStream stream;
  stream.finish_by(Finish::kLength);
  EXPECT_EQ(notice_of(stream), "[The answer was cut off at its length limit.]");
  stream.finish_by(Finish::kRefused);
  EXPECT_EQ(notice_of(stream), "[The AI service declined to go on.]");
}

TEST(NoticeTest, NamesTheToolsThatWereAskedFor) {
  ModelStream stream;
  stream.finish_by(Finish::kTools);
  EXPECT_EQ(notice_of(stream), "[The model asked for a tool. Tools can't be used here.]");
  stream.add_tool("weather");
  EXPECT_EQ(notice_of(stream), "[The model asked for a tool: weather. Tools can't be used here.]");
  for (const char* name : {"a", "b", "c"}) stream.add_tool(name);
  EXPECT_EQ(notice_of(stream),
            "[The model asked for a tool: weather, a, b and 1 more. Tools can't be used here.]");
}

TEST(NoticeTest, ShowsNoNameThatIsNotOne) {
  ModelStream stream;
  stream.add_tool("<script> and more");
  EXPECT_EQ(notice_of(stream), "[The model asked for a tool. Tools can't be used here.]");
}

TEST(NoticeTest, KeepsABoundedNumberOfTools) {
  ModelStream stream;
  for (int i = 0; i < 1000; ++i) stream.add_tool("t");
  EXPECT_EQ(stream.tools.size(), ModelStream::kToolsMax);
  EXPECT_EQ(notice_of(stream),
            "[The model asked for a tool: t, t, t and 997 more. Tools can't be used here.]");
}

TEST(ParametersTest, AreSentWhereTheyAreSet) {
  json::object body;
  add_parameters(ModelOptions{}, body);
  EXPECT_TRUE(body.empty());
  ModelOptions options;
  options.temperature = "0.5";
  options.top_p = "1";
  options.max_tokens = 100;
  options.parameters = R"({"seed": 7, "top_p": 0.25})";
  add_parameters(options, body);
  EXPECT_EQ(json::serialize(body),
            R"({"temperature":5E-1,"top_p":2.5E-1,"max_tokens":100,"seed":7})");
}

TEST(ModelOptionsTest, NumbersAreNumbers) {
  for (const char* good : {"", "0", "0.7", "2", "1e-3"}) EXPECT_EQ(check_number(good), "") << good;
  for (const char* bad : {"warm", "0,7", " 1", "-1", "nan", "inf", "0x1", "1.0f"}) {
    EXPECT_NE(check_number(bad), "") << bad;
  }
}

TEST(ModelOptionsTest, ParametersAreAnObjectThatSetsNothingOfOurs) {
  for (const char* good : {"", "{}", R"({"seed": 7})"}) EXPECT_EQ(check_parameters(good), "");
  for (const char* bad : {"7", "[]", "{", R"({"model": "x"})", R"({"stream": false})",
                          R"({"messages": []})", R"({"n": 2})"}) {
    EXPECT_NE(check_parameters(bad), "") << bad;
  }
}

TEST(ModelOptionsTest, ABaseUrlMayEndInASlash) {
  EXPECT_EQ(model_url("http://127.0.0.1:8080/v1/", "/x")->to_string(),
            "http://127.0.0.1:8080/v1/x");
  EXPECT_EQ(model_url("https://api.example", "/x")->to_string(), "https://api.example/x");
}

TEST(ModelOptionsTest, ABaseUrlHasNoQuery) {
  EXPECT_EQ(check_base_url("http://127.0.0.1:8080/v1"), "");
  for (const char* bad : {"", "api.example", "ftp://x", "http://x/?a=b", "http://x/#f"}) {
    EXPECT_NE(check_base_url(bad), "") << bad;
  }
}

}  // namespace
}  // namespace sluice
