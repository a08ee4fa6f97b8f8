#include "channels/openai/body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::openai {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kHello = R"([{"role":"user","content":"hello"}])";

std::string body(std::string_view messages, std::string_view more = {}) {
  std::string out = R"({"model":"m","messages":)";
  out += messages;
  if (!more.empty()) out.append(",").append(more);
  return out + "}";
}

/// "param code", or "ok".
std::string refusal(std::string_view json) {
  const Checked<ChatRequest> request = parse_body(json);
  return request ? "ok" : request.error().param + " " + request.error().code;
}

TEST(OpenAiBodyTest, ReadsTheLeastThatClientsSend) {
  const Checked<ChatRequest> request = parse_body(body(kHello));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->model, "m");
  EXPECT_EQ(request->text, "hello");
  EXPECT_EQ(request->user, "");
  EXPECT_FALSE(request->stream);
}

TEST(OpenAiBodyTest, KeepsAllButTheMessagesOfARequestThatIsAccepted) {
  const Checked<ChatRequest> request = parse_body(
      body(kHello, R"("stream":true,"stream_options":{"include_usage":true},"user":"ann\"x")"));
  ASSERT_TRUE(request);
  const std::string rest = without_messages(*request);
  EXPECT_THAT(rest, ::testing::Not(HasSubstr("hello")));
  const Checked<ChatRequest> again = parse_without_messages(rest);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->model, "m");
  EXPECT_EQ(again->user, "ann\"x");
  EXPECT_TRUE(again->stream);
  EXPECT_TRUE(again->include_usage);
  EXPECT_EQ(again->text, "");
}

TEST(OpenAiBodyTest, JoinsTextParts) {
  const Checked<ChatRequest> request = parse_body(body(
      R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])"));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->text, "ab");
}

TEST(OpenAiBodyTest, FoldsEarlierMessagesIntoTheTextOfAConversationOfItsOwn) {
  const Checked<ChatRequest> request =
      parse_body(body(R"([{"role":"system","content":"be \"brief\""},
                          {"role":"user","content":"one\ntwo"},
                          {"role":"assistant","content":"three"},
                          {"role":"user","content":"four"}])"));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->text,
            "Earlier messages of this conversation, one JSON object a line:\n"
            "{\"role\":\"system\",\"content\":\"be \\\"brief\\\"\"}\n"
            "{\"role\":\"user\",\"content\":\"one\\ntwo\"}\n"
            "{\"role\":\"assistant\",\"content\":\"three\"}\n"
            "\n"
            "The message to answer:\n"
            "four");
}

TEST(OpenAiBodyTest, TakesTheLastMessageAloneWhereAUserNamesTheConversation) {
  const Checked<ChatRequest> request = parse_body(body(
      R"([{"role":"system","content":"x"},{"role":"user","content":"four"}])", R"("user":"ann")"));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->text, "four");
  EXPECT_EQ(request->user, "ann");
}

TEST(OpenAiBodyTest, IgnoresWhatIsTheAgentsOwnBusiness) {
  EXPECT_EQ(refusal(body(kHello, R"("temperature":0.3,"max_tokens":9,"stop":["x"],"seed":1,
                                    "metadata":{"a":"b"},"made_up":[1,{"x":null}])")),
            "ok");
}

TEST(OpenAiBodyTest, NullIsAsGoodAsAbsent) {
  EXPECT_EQ(refusal(body(kHello, R"("tools":null,"n":null,"stream":null,"user":null,"audio":null,
                                    "stream_options":null,"response_format":null)")),
            "ok");
}

TEST(OpenAiBodyTest, TakesWishesForWhatIsTheCaseAnyway) {
  EXPECT_EQ(refusal(body(kHello, R"("n":1,"tools":[],"tool_choice":"none","logprobs":false,
                                    "response_format":{"type":"text"},"modalities":["text"])")),
            "ok");
}

TEST(OpenAiBodyTest, RefusesAndNamesWhatCannotBeDone) {
  const std::string suffix = " unsupported_parameter";
  EXPECT_EQ(refusal(body(kHello, R"("tools":[{"type":"function"}])")), "tools" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("functions":[{"name":"f"}])")), "functions" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("tool_choice":"required")")), "tool_choice" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("n":2)")), "n" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("n":1.0)")), "n" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("logprobs":true)")), "logprobs" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("top_logprobs":3)")), "top_logprobs" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("response_format":{"type":"json_object"})")),
            "response_format" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("modalities":["text","audio"])")), "modalities" + suffix);
}

std::string with_image(std::string_view url, std::string_view role = "user") {
  return R"({"role":")" + std::string(role) +
         R"(","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":")" +
         std::string(url) + R"("}}]})";
}

TEST(OpenAiBodyTest, TakesTheImagesOfTheRequestItself) {
  const Checked<ChatRequest> request =
      parse_body(body("[" + with_image("data:image/jpg;base64,aGVsbG8=") + "]"));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->text, "look");
  ASSERT_EQ(request->images.size(), 1u);
  EXPECT_EQ(request->images[0].type, media::Type::kJpeg);
  EXPECT_EQ(request->images[0].bytes, "hello");
  EXPECT_EQ(request->images[0].param, "messages[0].content[1]");
}

TEST(OpenAiBodyTest, AnImageAloneIsAMessage) {
  const Checked<ChatRequest> request =
      parse_body(body(R"([{"role":"user","content":[{"type":"image_url",
                          "image_url":{"url":"data:image/png;base64,","detail":"low"}}]}])"));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->text, "");
  EXPECT_EQ(request->images.size(), 1u);
}

TEST(OpenAiBodyTest, ImagesOfEarlierMessagesCountWhereTheseDo) {
  const std::string messages = "[" + with_image("data:image/png;base64,YQ==") +
                               R"(,{"role":"assistant","content":"ah"},)" +
                               with_image("data:image/png;base64,Yg==") + "]";
  const Checked<ChatRequest> own = parse_body(body(messages));
  ASSERT_TRUE(own);
  ASSERT_EQ(own->images.size(), 2u);
  EXPECT_EQ(own->images[1].bytes, "b");
  EXPECT_THAT(own->text, HasSubstr(R"({"role":"user","content":"look[image 1]"})"));
  const Checked<ChatRequest> named = parse_body(body(messages, R"("user":"ann")"));
  ASSERT_TRUE(named);
  ASSERT_EQ(named->images.size(), 1u);
  EXPECT_EQ(named->images[0].bytes, "b");
}

TEST(OpenAiBodyTest, RefusesImagesThatItWouldHaveToFetchOrCannotRead) {
  const auto refused = [](std::string_view url) {
    return refusal(body("[" + with_image(url) + "]"));
  };
  const std::string unsupported = "messages[0].content[1] unsupported_content";
  EXPECT_EQ(refused("https://example.com/cat.png"), unsupported);
  EXPECT_EQ(refused("data:"), unsupported);
  EXPECT_EQ(refused("data:image/svg+xml;base64,YQ=="), unsupported);
  EXPECT_EQ(refused("data:image/png,YQ=="), unsupported);
  EXPECT_EQ(refused("data:image/png;base64,Y Q="), "messages[0].content[1] invalid_value");
  EXPECT_EQ(refused("data:image/png;base64,YQ"), "messages[0].content[1] invalid_value");
  EXPECT_EQ(refusal(body("[" + with_image("data:image/png;base64,", "assistant") + "," +
                         with_image("data:image/png;base64,") + "]")),
            "messages[0].content[1] unsupported_content");
  EXPECT_EQ(refusal(body(R"([{"role":"user","content":[{"type":"image_url"}]}])")),
            "messages[0].content[0].image_url missing_required_parameter");
  EXPECT_EQ(refusal(body(R"([{"role":"user","content":[{"type":"input_audio"}]}])")),
            "messages[0].content[0] unsupported_content");
}

TEST(OpenAiBodyTest, BoundsTheNumberOfImages) {
  std::string parts;
  for (std::size_t i = 0; i <= kImagesMax; ++i) {
    if (i > 0) parts += ',';
    parts += R"({"type":"image_url","image_url":{"url":"data:image/png;base64,"}})";
  }
  EXPECT_EQ(refusal(body(R"([{"role":"user","content":[)" + parts + "]}]")),
            "messages invalid_value");
}

TEST(OpenAiBodyTest, RefusesCallsAndResultsOfTools) {
  const std::string suffix = " unsupported_parameter";
  EXPECT_EQ(refusal(body(R"([{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},
                             {"role":"user","content":"x"}])")),
            "messages[0].tool_calls" + suffix);
  EXPECT_EQ(refusal(body(R"([{"role":"tool","content":"x","tool_call_id":"1"},
                             {"role":"user","content":"x"}])")),
            "messages[0].role" + suffix);
}

TEST(OpenAiBodyTest, NamesWhatIsMissing) {
  const std::string suffix = " missing_required_parameter";
  EXPECT_EQ(refusal(R"({"messages":[]})"), "model" + suffix);
  EXPECT_EQ(refusal(R"({"model":"m"})"), "messages" + suffix);
  EXPECT_EQ(refusal(body(R"([{"content":"x"}])")), "messages[0].role" + suffix);
  EXPECT_EQ(refusal(body(R"([{"role":"user"}])")), "messages[0].content" + suffix);
  EXPECT_EQ(refusal(body(R"([{"role":"user","content":[{"type":"text"}]}])")),
            "messages[0].content[0].text" + suffix);
}

TEST(OpenAiBodyTest, NamesWhatHasTheWrongType) {
  const std::string suffix = " invalid_type";
  EXPECT_EQ(refusal(body(R"("hello")")), "messages" + suffix);
  EXPECT_EQ(refusal(body(R"(["hello"])")), "messages[0]" + suffix);
  EXPECT_EQ(refusal(body(R"([{"role":"user","content":7}])")), "messages[0].content" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("stream":"yes")")), "stream" + suffix);
  EXPECT_EQ(refusal(body(kHello, R"("user":7)")), "user" + suffix);
}

TEST(OpenAiBodyTest, TheLastMessageIsTheUsersAndSaysSomething) {
  EXPECT_EQ(refusal(body("[]")), "messages invalid_value");
  EXPECT_EQ(refusal(body(R"([{"role":"user","content":" \n"}])")), "messages invalid_value");
  EXPECT_EQ(refusal(body(R"([{"role":"user","content":"x"},{"role":"assistant","content":"y"}])")),
            "messages invalid_value");
}

TEST(OpenAiBodyTest, UsageIsAskedForInAStreamOnly) {
  const Checked<ChatRequest> request =
      parse_body(body(kHello, R"("stream":true,"stream_options":{"include_usage":true})"));
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->include_usage);
  EXPECT_EQ(refusal(body(kHello, R"("stream_options":{"include_usage":true})")),
            "stream_options invalid_value");
}

TEST(OpenAiBodyTest, RefusesWhatIsNoJson) {
  EXPECT_EQ(refusal("{"), " invalid_json");
  EXPECT_EQ(refusal("[]"), " invalid_json");
  EXPECT_EQ(refusal(std::string(100'000, '[')), " invalid_json");
  EXPECT_EQ(refusal(body("[{\"role\":\"user\",\"content\":\"\xC3\"}]")), " invalid_json");
}

TEST(OpenAiBodyTest, RefusesNulAndNamesThatAreNone) {
  EXPECT_EQ(refusal(body(R"([{"role":"user","content":"a\u0000b"}])")),
            "messages[0].content invalid_value");
  EXPECT_EQ(refusal(body(kHello, R"("user":"a\nb")")), "user invalid_value");
  EXPECT_EQ(refusal(body(kHello, "\"user\":\"" + std::string(257, 'u') + "\"")),
            "user invalid_value");
}

TEST(OpenAiBodyTest, BoundsTheNumberOfMessages) {
  std::string messages = "[";
  for (std::size_t i = 0; i < kMessagesMax; ++i) messages += R"({"role":"user","content":"x"},)";
  EXPECT_EQ(refusal(body(messages + R"({"role":"user","content":"x"}])")),
            "messages invalid_value");
}

TEST(OpenAiRefusalTest, LooksLikeOpenAisErrors) {
  EXPECT_EQ(to_json(invalid("n", "\"no\"")),
            R"({"error":{"message":"\"no\"","type":"invalid_request_error","param":"n",)"
            R"("code":"invalid_value"}})");
}

TEST(OpenAiRefusalTest, WhatIsFullSaysWhenToComeBack) {
  const net::HttpResponse response =
      to_response(refusal_of(Error(ErrorKind::kOverloaded, "too much is waiting",
                                   ErrorSource::kSelf, Retry::after(std::chrono::seconds(3)))));
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.get("retry-after"), "3");
  EXPECT_THAT(response.body, HasSubstr("rate_limit_error"));
}

TEST(OpenAiRefusalTest, WhatIsWrongInsideIsNotForCallers) {
  const Refusal refusal = refusal_of(Error(ErrorKind::kStorageFailed, "EIO on /var/lib"));
  EXPECT_EQ(refusal.status, 500);
  EXPECT_EQ(refusal.message, "Internal Server Error");
}

TEST(OpenAiRefusalTest, ALongModelIsNotRepeated) {
  EXPECT_THAT(no_such_model("gpt-9").message, HasSubstr("gpt-9"));
  EXPECT_LT(no_such_model(std::string(200, 'x')).message.size(), 100u);
}

}  // namespace
}  // namespace sluice::openai
