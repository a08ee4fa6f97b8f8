#include "app/init_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> names(std::string_view body) {
  const auto models = parse_models(body);
  return models ? *models : std::vector<std::string>{"error"};
}

TEST(InitModelTest, ReadsListsOfBothKinds) {
  EXPECT_THAT(names(R"({"object":"list","data":[{"id":"a"},{"id":"b"}]})"), ElementsAre("a", "b"));
  EXPECT_THAT(names(R"({"models":[{"name":"llama3:8b"}]})"), ElementsAre("llama3:8b"));
}

TEST(InitModelTest, ReadsAListOfNothing) {
  EXPECT_THAT(names(R"({"object":"list","data":null})"), IsEmpty());
  EXPECT_THAT(names(R"({"data":[]})"), IsEmpty());
}

TEST(InitModelTest, RefusesWhatIsNoList) {
  for (const char* body : {"", "<html>", "[]", "{}", R"({"data":"a"})", R"({"models":{}})"}) {
    EXPECT_THAT(names(body), ElementsAre("error")) << body;
  }
}

TEST(InitModelTest, PassesOverNamesThatATerminalMustNotSee) {
  EXPECT_THAT(names(R"({"data":[{"id":"\u001b[2Jx"},{"id":""},{"id":7},{},1,{"id":"ok"}]})"),
              ElementsAre("ok"));
  EXPECT_THAT(names(R"({"data":[{"id":")" + std::string(300, 'a') + R"("}]})"), IsEmpty());
}

TEST(InitModelTest, KeepsABoundedNumberOfNames) {
  std::string body = R"({"data":[)";
  for (std::size_t i = 0; i < kModelsMax + 5; ++i) body += R"({"id":"m"},)";
  EXPECT_EQ(names(body + R"({"id":"m"}]})").size(), kModelsMax);
}

TEST(InitModelTest, TellsTheApisOwnWordsOnOneSafeLine) {
  const ModelPlace place{"openai", "http://h/v1", config::Secret("k"), "m"};
  const std::string words =
      refusal_words(place, 429, {}, R"({"error":{"message":"slow\ndown \u001b[31mnow"}})");
  EXPECT_THAT(words, HasSubstr("429: slow down"));
  EXPECT_THAT(words, Not(HasSubstr("\x1b")));
  EXPECT_THAT(refusal_words(place, 500, {}, R"({"error":")" + std::string(5000, 'x') + R"("})"),
              HasSubstr("xxx…"));
}

TEST(InitModelTest, SaysWhatMayBeWrong) {
  ModelPlace place{"openai", "http://h", {}, "m"};
  EXPECT_THAT(refusal_words(place, 401, {}, ""), HasSubstr("A key seems to be needed"));
  EXPECT_THAT(refusal_words(place, 404, {}, ""), HasSubstr("usually ends with /v1"));
  place.base_url = "http://h/v1";
  place.key = config::Secret("k");
  EXPECT_THAT(refusal_words(place, 403, {}, ""), HasSubstr("The key seems to be wrong"));
  EXPECT_THAT(refusal_words(place, 404, {}, ""), HasSubstr("the model's name"));
}

}  // namespace
}  // namespace sluice::app
