#include "agents/anthropic/anthropic_stream.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

class AnthropicStreamTest : public ::testing::Test {
 protected:
  Result<void> take(std::string data) {
    return decoder_.take({"message", std::move(data), ""}, stream_);
  }
  void good(std::string data) {
    const Result<void> taken = take(std::move(data));
    EXPECT_TRUE(taken.has_value()) << taken.error().to_string();
  }
  Error bad(std::string data) {
    const Result<void> taken = take(std::move(data));
    EXPECT_TRUE(taken.has_error());
    return taken ? Error() : taken.error();
  }
  void delta(const std::string& inner) {
    good(R"({"type":"content_block_delta","index":0,"delta":)" + inner + "}");
  }

  AnthropicDecoder decoder_;
  ModelStream stream_;
};

TEST_F(AnthropicStreamTest, JoinsTheTextOfItsBlocks) {
  good(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Oh. "}})");
  delta(R"({"type":"text_delta","text":"Hi"})");
  good(R"({"type":"content_block_stop","index":0})");
  good(R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})");
  delta(R"({"type":"text_delta","text":" there"})");
  EXPECT_EQ(stream_.text, "Oh. Hi there");
  EXPECT_FALSE(stream_.ended);
}

TEST_F(AnthropicStreamTest, EndsWithItsMessage) {
  good(R"({"type":"message_stop"})");
  EXPECT_TRUE(stream_.ended);
}

TEST_F(AnthropicStreamTest, KnowsWhyTheModelFinished) {
  for (const auto& [word, finish] :
       {std::pair("end_turn", Finish::kStop), std::pair("stop_sequence", Finish::kStop),
        std::pair("max_tokens", Finish::kLength), std::pair("refusal", Finish::kRefused),
        std::pair("model_context_window_exceeded", Finish::kLength),
        std::pair("tool_use", Finish::kTools), std::pair("pause_turn", Finish::kTools),
        std::pair("news", Finish::kStop)}) {
    good(std::string(R"({"type":"message_delta","delta":{"stop_reason":")") + word + "\"}}");
    EXPECT_EQ(stream_.finish, finish) << word;
  }
}

TEST_F(AnthropicStreamTest, CountsWhatTheCacheHeldAsPartOfThePrompt) {
  good(R"({"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1,
           "cache_read_input_tokens":100,"cache_creation_input_tokens":20}}})");
  good(R"({"type":"message_delta","delta":{},"usage":{"output_tokens":15}})");
  EXPECT_EQ(stream_.usage.prompt, 130u);
  EXPECT_EQ(stream_.usage.cached, 100u);
  EXPECT_EQ(stream_.usage.completion, 15u);
}

TEST_F(AnthropicStreamTest, ThinkingIsASignOfLifeAndNoText) {
  delta(R"({"type":"thinking_delta","thinking":"hm"})");
  delta(R"({"type":"signature_delta","signature":"x"})");
  EXPECT_EQ(stream_.progress, 2u);
  EXPECT_EQ(stream_.text, "");
}

TEST_F(AnthropicStreamTest, APingIsNoSignOfLife) {
  good(R"({"type":"ping"})");
  EXPECT_EQ(stream_.progress, 0u);
}

TEST_F(AnthropicStreamTest, NamesTheToolsThatItAskedFor) {
  good(R"({"type":"content_block_start","index":1,
           "content_block":{"type":"tool_use","id":"t1","name":"weather","input":{}}})");
  delta(R"({"type":"input_json_delta","partial_json":"{}"})");
  EXPECT_EQ(stream_.tools, std::vector<std::string>{"weather"});
}

TEST_F(AnthropicStreamTest, AnErrorInTheStreamIsAnError) {
  const Error overloaded =
      bad(R"({"type":"error","error":{"type":"overloaded_error","message":"m"}})");
  EXPECT_EQ(overloaded.kind(), ErrorKind::kOverloaded);
  EXPECT_TRUE(overloaded.retry().allowed());
  EXPECT_EQ(bad(R"({"type":"error","error":{"type":"invalid_request_error"}})").kind(),
            ErrorKind::kInvalidArgument);
  EXPECT_EQ(bad(R"({"type":"error"})").kind(), ErrorKind::kUnavailable);
}

TEST_F(AnthropicStreamTest, IgnoresWhatItDoesNotKnow) {
  for (const char* data :
       {"{}", R"({"type":"news"})", R"({"type":7})", R"({"type":"message_start"})",
        R"({"type":"message_delta","delta":null})", R"({"type":"content_block_start"})",
        R"({"type":"content_block_delta","delta":[]})",
        R"({"type":"content_block_start","content_block":{"type":"server_tool_use"}})"}) {
    good(data);
  }
  EXPECT_EQ(stream_.text, "");
  EXPECT_EQ(stream_.tools_total, 0u);
}

TEST_F(AnthropicStreamTest, WhatIsNotAJsonObjectIsABadResponse) {
  for (const char* data : {"", "{", "[]", "[DONE]", "{\"a\":\"\xff\"}"}) {
    EXPECT_EQ(bad(data).kind(), ErrorKind::kBadResponse) << data;
  }
}

}  // namespace
}  // namespace sluice
