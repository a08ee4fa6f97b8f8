#include "net/json_body.h"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::net {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Type = JsonField::Type;

// What the channels' body tests don't show: what they share is tested there, on real messages.
enum Field : std::size_t { kNote, kLabel, kCount, kDone, kTags };
constexpr auto kFields = std::to_array<JsonField>({
    {"note", Type::kText, 5},
    {"label", Type::kNameOrEmpty},
    {"count", Type::kNumber, 10},
    {"done", Type::kFlag},
    {"tags", Type::kNames, 2},
});
constexpr JsonShape kOne{"a thing", kFields};
constexpr JsonShape kMany{"a thing", kFields, 3};

std::string wrong(std::string_view json, const JsonShape& shape = kOne) {
  const auto read = read_json_body(json, shape, [](JsonObject&) { return Result<void>(); });
  return read ? "" : read.error().to_string();
}

TEST(JsonBodyTest, GivesWhatIsThereAndNothingForTheRest) {
  const auto read = read_json_body(R"({"note":"a","done":true})", kOne, [](JsonObject& object) {
    EXPECT_TRUE(object.has(kNote));
    EXPECT_EQ(object.text(kNote), "a");
    EXPECT_TRUE(object.flag(kDone));
    EXPECT_FALSE(object.has(kCount));
    EXPECT_EQ(object.number(kCount), 0);
    EXPECT_THAT(object.names(kTags), IsEmpty());
    return Result<void>();
  });
  ASSERT_TRUE(read);
  EXPECT_FALSE(*read);
}

TEST(JsonBodyTest, NothingOfOneObjectIsInTheNext) {
  std::vector<std::string> notes;
  const auto read =
      read_json_body(R"([{"note":"a","tags":["x"]},{},{"note":"c"}])", kMany, [&](JsonObject& o) {
        EXPECT_EQ(o.has(kTags), notes.empty());
        notes.push_back(o.text(kNote));
        return Result<void>();
      });
  ASSERT_TRUE(read);
  EXPECT_TRUE(*read);
  EXPECT_THAT(notes, ElementsAre("a", "", "c"));
}

TEST(JsonBodyTest, AnEmptyArrayGivesNothing) {
  int objects = 0;
  const auto read = read_json_body("[]", kMany, [&](JsonObject&) {
    ++objects;
    return Result<void>();
  });
  ASSERT_TRUE(read);
  EXPECT_TRUE(*read);
  EXPECT_EQ(objects, 0);
}

TEST(JsonBodyTest, AnErrorOfTheTakerEndsTheReadingAndSaysWhere) {
  int objects = 0;
  const auto read = read_json_body("[{},{},{}]", kMany, [&](JsonObject&) -> Result<void> {
    if (++objects == 2) return Error(ErrorKind::kPermissionDenied, "no");
    return {};
  });
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_EQ(read.error().context(), "event 2: no");
  EXPECT_EQ(objects, 2);
}

TEST(JsonBodyTest, KeepsTheBoundsOfEachField) {
  EXPECT_EQ(wrong(R"({"note":"12345","count":10,"tags":["a","b"]})"), "");
  EXPECT_THAT(wrong(R"({"note":"123456"})"), HasSubstr("\"note\" is longer than 5 bytes"));
  EXPECT_THAT(wrong(R"({"count":11})"), HasSubstr("\"count\" must be a positive whole number, at "
                                                  "most 10"));
  EXPECT_THAT(wrong(R"({"tags":["a","b","c"]})"), HasSubstr("more than 2 tags"));
  EXPECT_THAT(wrong("[{},{},{},{}]", kMany), HasSubstr("too_large: more than 3 events"));
}

TEST(JsonBodyTest, OnlySomeNamesMayBeEmpty) {
  EXPECT_EQ(wrong(R"({"label":""})"), "");
  EXPECT_THAT(wrong(R"({"tags":["a",""]})"), HasSubstr("an entry of \"tags\" is empty"));
}

TEST(JsonBodyTest, TakesAnArrayOnlyWhereOneMayCome) {
  EXPECT_THAT(wrong("[{}]"), HasSubstr("a thing is an object, not an array"));
  EXPECT_THAT(wrong("[[{}]]", kMany), HasSubstr("a thing is an object, not an array"));
}

TEST(JsonBodyTest, ACleanNameHasNoControlCharacters) {
  EXPECT_TRUE(is_clean_name("Zoë / 7"));
  for (const std::string_view bad : {"", "a\nb", "\x7f", "\xff"}) EXPECT_FALSE(is_clean_name(bad));
}

}  // namespace
}  // namespace sluice::net
