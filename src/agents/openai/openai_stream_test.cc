#include "agents/openai/openai_stream.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

class OpenAiStreamTest : public ::testing::Test {
 protected:
  Result<void> take(std::string data, std::string event = "message") {
    return decoder_.take({std::move(event), std::move(data), ""}, stream_);
  }
  void good(std::string data) {
    const Result<void> taken = take(std::move(data));
    EXPECT_TRUE(taken.has_value()) << taken.error().to_string();
  }
  ErrorKind bad(std::string data, std::string event = "message") {
    const Result<void> taken = take(std::move(data), std::move(event));
    EXPECT_TRUE(taken.has_error());
    return taken ? ErrorKind::kInternal : taken.error().kind();
  }
  void delta(const std::string& inner) {
    good(R"({"choices":[{"index":0,"delta":)" + inner + R"(,"finish_reason":null}]})");
  }

  OpenAiDecoder decoder_;
  ModelStream stream_;
};

TEST_F(OpenAiStreamTest, JoinsTheTextOfItsDeltas) {
  delta(R"({"role":"assistant","content":""})");
  EXPECT_EQ(stream_.progress, 0u);
  delta(R"({"content":"Hi"})");
  delta(R"({"content":" there \u00fc"})");
  EXPECT_EQ(stream_.text, "Hi there ü");
  EXPECT_EQ(stream_.finish, Finish::kNone);
  EXPECT_FALSE(stream_.ended);
}

TEST_F(OpenAiStreamTest, EndsWithTheMarker) {
  good("[DONE]");
  EXPECT_TRUE(stream_.ended);
}

TEST_F(OpenAiStreamTest, KnowsWhyTheModelFinished) {
  for (const auto& [word, finish] :
       {std::pair("stop", Finish::kStop), std::pair("length", Finish::kLength),
        std::pair("tool_calls", Finish::kTools), std::pair("function_call", Finish::kTools),
        std::pair("content_filter", Finish::kRefused), std::pair("eos", Finish::kStop)}) {
    good(std::string(R"({"choices":[{"index":0,"delta":{},"finish_reason":")") + word + "\"}]}");
    EXPECT_EQ(stream_.finish, finish) << word;
  }
}

TEST_F(OpenAiStreamTest, RecordsTheUsage) {
  good(R"({"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17,
           "prompt_tokens_details":{"cached_tokens":8}}})");
  EXPECT_EQ(stream_.usage.prompt, 12u);
  EXPECT_EQ(stream_.usage.completion, 5u);
  EXPECT_EQ(stream_.usage.cached, 8u);
}

TEST_F(OpenAiStreamTest, CountsThatAreNoneChangeNothing) {
  good(R"({"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":"5",
           "prompt_tokens_details":null}})");
  good(R"({"choices":[],"usage":{"prompt_tokens":1e99,"completion_tokens":2.5}})");
  EXPECT_EQ(stream_.usage.prompt, 0u);
  EXPECT_EQ(stream_.usage.completion, 0u);
}

TEST_F(OpenAiStreamTest, TakesTheFirstChoiceOnly) {
  good(
      R"({"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"yes"}}]})");
  good(R"({"choices":[{"delta":{"content":"!"}}]})");
  EXPECT_EQ(stream_.text, "yes!");
}

TEST_F(OpenAiStreamTest, ARefusalIsAnAnswer) {
  delta(R"({"content":null,"refusal":"I can't help with that."})");
  EXPECT_EQ(stream_.text, "I can't help with that.");
}

TEST_F(OpenAiStreamTest, ThinkingIsASignOfLifeAndNoText) {
  delta(R"({"reasoning_content":"hm"})");
  delta(R"({"reasoning":"hm"})");
  EXPECT_EQ(stream_.progress, 2u);
  EXPECT_EQ(stream_.text, "");
}

TEST_F(OpenAiStreamTest, NamesEachToolOnce) {
  delta(R"({"tool_calls":[{"index":0,"id":"c1","type":"function",
            "function":{"name":"weather","arguments":""}}]})");
  delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]})");
  delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]})");
  delta(R"({"tool_calls":[{"index":1,"function":{"name":"clock","arguments":""}}]})");
  EXPECT_EQ(stream_.tools, (std::vector<std::string>{"weather", "clock"}));
  EXPECT_EQ(stream_.tools_total, 2u);
}

TEST_F(OpenAiStreamTest, NamesAFunctionOfTheOldKind) {
  delta(R"({"function_call":{"name":"weather","arguments":""}})");
  delta(R"({"function_call":{"arguments":"{}"}})");
  EXPECT_EQ(stream_.tools, std::vector<std::string>{"weather"});
}

TEST_F(OpenAiStreamTest, AnErrorInTheStreamIsAnError) {
  EXPECT_EQ(bad(R"({"error":{"message":"m","type":"server_error","code":null}})"),
            ErrorKind::kUnavailable);
  EXPECT_EQ(bad(R"({"error":{"message":"m","code":429}})"), ErrorKind::kRateLimited);
  EXPECT_EQ(bad(R"({"error":"m","choices":[]})"), ErrorKind::kUnavailable);
  EXPECT_EQ(bad(R"({"message":"m","type":"rate_limit_error"})", "error"), ErrorKind::kRateLimited);
}

TEST_F(OpenAiStreamTest, IgnoresWhatItDoesNotKnow) {
  good("{}");
  good(R"({"error":null,"choices":null})");
  good(R"({"choices":[7,null,{"index":0},{"index":0,"delta":null},{"index":0,"delta":[1]}]})");
  good(R"({"choices":[{"index":0,"delta":{"content":["x"],"tool_calls":[1,{}],"audio":{}}}]})");
  good(R"({"choices":{"index":0}})");
  EXPECT_EQ(stream_.text, "");
}

TEST_F(OpenAiStreamTest, WhatIsNotAJsonObjectIsABadResponse) {
  for (const char* data : {"", "{", "[]", "7", "done", "{} x", "{\"a\":\"\xff\"}",
                           R"({"choices":[{"delta":{"content":"\ud83d"}}]})"}) {
    EXPECT_EQ(bad(data), ErrorKind::kBadResponse) << data;
  }
}

TEST_F(OpenAiStreamTest, DeepNestingIsABadResponse) {
  EXPECT_EQ(bad("{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}"),
            ErrorKind::kBadResponse);
}

TEST_F(OpenAiStreamTest, TakesADeltaOfAnySize) {
  delta(R"({"content":")" + std::string(100'000, 'x') + "\"}");
  EXPECT_EQ(stream_.text.size(), 100'000u);
}

}  // namespace
}  // namespace sluice
