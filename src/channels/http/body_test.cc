#include "channels/http/body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string wrong(std::string_view json) {
  const Result<PostedBody> body = parse_body(json);
  return body ? "" : body.error().to_string();
}

InboundMessage one(std::string_view json) {
  Result<PostedBody> body = parse_body(json);
  EXPECT_TRUE(body) << body.error().to_string();
  return body ? std::move(body->events.at(0)) : InboundMessage{};
}

TEST(HttpBodyTest, TakesEveryFieldOfAMessage) {
  const InboundMessage m = one(
      R"({"id":"a1","text":"hé\n","sender":"bob","sender_name":"Bob B","order":7,"session":"s",)"
      R"("projects":["p","q"],"request_id":"r"})");
  EXPECT_EQ(m.kind, EventKind::kMessage);
  EXPECT_EQ(m.event, "a1");
  EXPECT_EQ(m.text, "hé\n");
  EXPECT_EQ(m.sender, "bob");
  EXPECT_EQ(m.sender_name, "Bob B");
  EXPECT_EQ(m.order, 7);
  EXPECT_EQ(m.session, "s");
  EXPECT_THAT(m.projects, ElementsAre("p", "q"));
  EXPECT_EQ(m.request_id, "r");
}

TEST(HttpBodyTest, TakesAnEditByWhatItReplacesAndItsRevision) {
  const InboundMessage m = one(R"({"replaces":"a1","revision":"2","text":"new"})");
  EXPECT_EQ(m.kind, EventKind::kEdit);
  EXPECT_EQ(m.event, "a1");
  EXPECT_EQ(m.revision, "2");
}

TEST(HttpBodyTest, TakesABatchInItsOrder) {
  const Result<PostedBody> body = parse_body(R"([{"id":"1","text":"a"},{"id":"2","text":"b"}])");
  ASSERT_TRUE(body);
  EXPECT_TRUE(body->batch);
  ASSERT_EQ(body->events.size(), 2u);
  EXPECT_EQ(body->events[1].text, "b");
}

TEST(HttpBodyTest, NamesAnUnknownFieldAndTheEventItIsIn) {
  EXPECT_EQ(wrong(R"({"id":"1","txt":"a"})"), "invalid_argument: unknown field \"txt\"");
  EXPECT_EQ(wrong(R"([{"id":"1"},{"idd":"2"}])"),
            "invalid_argument: event 2: unknown field \"idd\"");
}

TEST(HttpBodyTest, CutsAndCleansTheNameOfAnUnknownField) {
  const std::string error = wrong("{\"\\u001b[31m" + std::string(200, 'x') + "\":1}");
  EXPECT_THAT(error, HasSubstr("\"?[31mxxx"));
  EXPECT_LT(error.size(), 120u);
}

TEST(HttpBodyTest, RefusesAFieldThatComesTwice) {
  EXPECT_THAT(wrong(R"({"id":"1","text":"a","text":"b"})"), HasSubstr("\"text\" comes twice"));
}

TEST(HttpBodyTest, RefusesValuesOfAnotherType) {
  EXPECT_THAT(wrong(R"({"text":5})"), HasSubstr("\"text\" can't be a number"));
  EXPECT_THAT(wrong(R"({"text":null})"), HasSubstr("\"text\" can't be null"));
  EXPECT_THAT(wrong(R"({"text":true})"), HasSubstr("\"text\" can't be a truth value"));
  EXPECT_THAT(wrong(R"({"text":{}})"), HasSubstr("\"text\" can't be an object"));
  EXPECT_THAT(wrong(R"({"text":["a"]})"), HasSubstr("\"text\" can't be an array"));
  EXPECT_THAT(wrong(R"({"projects":"a"})"), HasSubstr("\"projects\" can't be a text"));
  EXPECT_THAT(wrong(R"({"projects":[["a"]]})"), HasSubstr("\"projects\" can't be an array"));
  EXPECT_THAT(wrong(R"({"order":"1"})"), HasSubstr("\"order\" can't be a text"));
}

TEST(HttpBodyTest, RefusesWhatIsNoMessageAtTheTop) {
  for (const char* json : {"5", "\"x\"", "null", "true", "[5]", "[[]]", "[[{}]]"}) {
    EXPECT_THAT(wrong(json), HasSubstr("invalid_argument")) << json;
  }
  EXPECT_THAT(wrong("[]"), HasSubstr("the batch is empty"));
}

TEST(HttpBodyTest, RefusesOrdersThatAreNoCount) {
  EXPECT_THAT(wrong(R"({"order":0})"), HasSubstr("positive"));
  EXPECT_THAT(wrong(R"({"order":-1})"), HasSubstr("positive"));
  EXPECT_THAT(wrong(R"({"order":1.5})"), HasSubstr("whole number"));
  EXPECT_THAT(wrong(R"({"order":18446744073709551615})"), HasSubstr("whole number"));
}

TEST(HttpBodyTest, RefusesMalformedJsonAndWhatFollowsIt) {
  for (const char* json :
       {"", "{", "{]", R"({"id":"1",})", R"({"id":"1"} x)", R"({"id":'1'})", "{\"id\":\"\xff\"}",
        R"({"id":"\ud800"})", "{/*c*/}", "\xef\xbb\xbf{}"}) {
    EXPECT_THAT(wrong(json), HasSubstr("not JSON")) << json;
  }
}

TEST(HttpBodyTest, RefusesControlCharactersInNamesAndNulInText) {
  EXPECT_THAT(wrong(R"({"id":"a\u0007"})"), HasSubstr("control character"));
  EXPECT_THAT(wrong(R"({"projects":["a\n"]})"), HasSubstr("control character"));
  EXPECT_THAT(wrong(R"({"text":"a\u0000b"})"), HasSubstr("NUL"));
}

TEST(HttpBodyTest, RefusesEmptyNames) {
  EXPECT_THAT(wrong(R"({"id":""})"), HasSubstr("\"id\" is empty"));
}

TEST(HttpBodyTest, RefusesAnIdBesideReplaces) {
  EXPECT_THAT(wrong(R"({"id":"2","replaces":"1"})"), HasSubstr("without \"id\""));
  EXPECT_THAT(wrong(R"({"replaces":"1","id":"2"})"), HasSubstr("without \"id\""));
}

TEST(HttpBodyTest, BoundsEventsAndProjects) {
  std::string events = "[";
  for (std::size_t i = 0; i <= kMaxEvents; ++i) events += i == 0 ? "{}" : ",{}";
  EXPECT_THAT(wrong(events + "]"), HasSubstr("too_large"));
  std::string projects = R"({"projects":["x")";
  for (std::size_t i = 0; i < kMaxProjects; ++i) projects += ",\"x\"";
  EXPECT_THAT(wrong(projects + "]}"), HasSubstr("more than 100 projects"));
}

TEST(HttpBodyTest, AnErrorNeverHoldsTheText) {
  EXPECT_THAT(wrong(R"({"text":"secret words","text":"x"})"), Not(HasSubstr("secret")));
  EXPECT_THAT(wrong(R"({"text":"secret words)"), Not(HasSubstr("secret")));
}

// ---- complete()

std::string completed(std::string_view json, const Caller& caller,
                      std::optional<std::string_view> key = std::nullopt,
                      InboundMessage* out = nullptr) {
  Result<PostedBody> body = parse_body(json);
  EXPECT_TRUE(body);
  const Result<void> ok = complete(*body, caller, "main", key);
  if (out != nullptr) *out = body->events[0];
  return ok ? "" : ok.error().to_string();
}

const Caller kAlice{"alice", false, false};
const Caller kRobot{"robot", true, true};

TEST(HttpBodyTest, APersonWritesInAChatOfTheirOwn) {
  InboundMessage m;
  EXPECT_EQ(completed(R"({"id":"1","text":"a"})", kAlice, {}, &m), "");
  EXPECT_EQ(m.chat, "alice/main");
  EXPECT_EQ(m.sender, "alice");
}

TEST(HttpBodyTest, TwoPeopleNeverShareAChatWhateverTheyAreCalled) {
  EXPECT_NE(chat_of(Caller{"a/b", false, false}, "c"), chat_of(Caller{"a", false, false}, "b/c"));
  EXPECT_FALSE(may_see(Caller{"a", false, false}, chat_of(Caller{"a/b", false, false}, "c")));
  EXPECT_FALSE(may_see(Caller{"a", false, false}, chat_of(Caller{"ab", false, false}, "c")));
}

TEST(HttpBodyTest, ATokenForAllNamesChatsAndSendersItself) {
  InboundMessage m;
  EXPECT_EQ(completed(R"({"id":"1","text":"a","sender":"zoe","sender_name":"Z"})", kRobot, {}, &m),
            "");
  EXPECT_EQ(m.chat, "main");
  EXPECT_EQ(m.sender, "zoe");
}

TEST(HttpBodyTest, NobodySpeaksForAnotherWithoutTheRight) {
  EXPECT_THAT(completed(R"({"id":"1","text":"a","sender":"bob"})", kAlice),
              HasSubstr("permission_denied"));
  EXPECT_EQ(completed(R"({"id":"1","text":"a","sender":"alice"})", kAlice), "");
}

TEST(HttpBodyTest, TheHeaderStandsForTheIdOrTheRevision) {
  InboundMessage m;
  EXPECT_EQ(completed(R"({"text":"a"})", kAlice, "k1", &m), "");
  EXPECT_EQ(m.event, "k1");
  EXPECT_EQ(completed(R"({"replaces":"k1","text":"b"})", kAlice, "k2", &m), "");
  EXPECT_EQ(m.revision, "k2");
  EXPECT_EQ(completed(R"({"id":"k1","text":"a"})", kAlice, "k1"), "");
  EXPECT_THAT(completed(R"({"id":"k2","text":"a"})", kAlice, "k1"), HasSubstr("different ids"));
  EXPECT_THAT(completed(R"({"text":"a"})", kAlice, "k\x07"), HasSubstr("not usable"));
  EXPECT_THAT(completed(R"([{"text":"a"}])", kAlice, "k1"), HasSubstr("batch"));
}

TEST(HttpBodyTest, SaysWhatIsMissing) {
  EXPECT_THAT(completed(R"({"text":"a"})", kAlice), HasSubstr("\"id\" is missing"));
  EXPECT_THAT(completed(R"({"id":"1"})", kAlice), HasSubstr("\"text\" is missing"));
  EXPECT_THAT(completed(R"({"replaces":"1","text":"a"})", kAlice), HasSubstr("\"revision\""));
  EXPECT_THAT(completed(R"({"id":"1","revision":"2","text":"a"})", kAlice),
              HasSubstr("goes with \"replaces\""));
}

TEST(HttpBodyTest, ABatchHasEachIdOnceAndNoEdits) {
  EXPECT_THAT(completed(R"([{"id":"1","text":"a"},{"id":"1","text":"b"}])", kAlice),
              HasSubstr("event 2: its id comes twice"));
  EXPECT_THAT(completed(R"([{"replaces":"1","revision":"2","text":"a"}])", kAlice),
              HasSubstr("an edit is posted by itself"));
}

}  // namespace
}  // namespace sluice::http
