#include "channels/openai/completion.h"

#include <vector>

#include <gtest/gtest.h>

namespace sluice::openai {
namespace {

const Heading kHeading{MessageId{7}, UnixMillis{1'700'000'000'123}, "m", false};

TEST(CompletionTest, IsOneObject) {
  EXPECT_EQ(completion_json(kHeading, "a \"b\"", Finish::kStop),
            R"({"id":"chatcmpl-7","object":"chat.completion","created":1700000000,"model":"m",)"
            R"("choices":[{"index":0,"message":{"role":"assistant","content":"a \"b\"",)"
            R"("refusal":null},"logprobs":null,"finish_reason":"stop"}]})");
}

TEST(CompletionTest, StreamsTheRoleThenTextThenTheReason) {
  const std::string head =
      R"(data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1700000000,)"
      R"("model":"m","choices":[{"index":0,"delta":)";
  EXPECT_EQ(role_event(kHeading), head + R"({"role":"assistant","content":""},"logprobs":null,)"
                                         "\"finish_reason\":null}]}\n\n");
  EXPECT_EQ(text_event(kHeading, "a\nb"),
            head + "{\"content\":\"a\\nb\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
  EXPECT_EQ(finish_event(kHeading, Finish::kLength),
            head + "{},\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n");
}

TEST(CompletionTest, UsageThatIsAskedForIsNull) {
  Heading heading = kHeading;
  heading.include_usage = true;
  EXPECT_EQ(usage_event(heading),
            R"(data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1700000000,)"
            "\"model\":\"m\",\"choices\":[],\"usage\":null}\n\n");
}

TEST(CompletionTest, ListsModels) {
  const std::vector<std::string> names = {"a", "b"};
  EXPECT_EQ(models_json(names, UnixMillis{5'000}),
            R"({"object":"list","data":[)"
            R"({"id":"a","object":"model","created":5,"owned_by":"sluice"},)"
            R"({"id":"b","object":"model","created":5,"owned_by":"sluice"}]})");
}

}  // namespace
}  // namespace sluice::openai
