#include "channels/hook/body.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace sluice::hook {
namespace {

constexpr std::string_view kWhole = R"({"id": "m1", "chat": "c1", "text": "hi ü", "sender": "ann",
  "thread": "t1", "sender_name": "Ann", "callback": "https://example.com/cb", "session": "s1",
  "request_id": "r1", "order": 3, "sent_at": 1763740800000, "group": true, "mentioned": true,
  "projects": ["p1", "p2"]})";

std::string problem_of(std::string_view json, std::string_view header = {}) {
  const auto body = parse_body(json, header);
  EXPECT_TRUE(body.has_error()) << json;
  if (body) return {};
  EXPECT_EQ(body.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(body.error().source(), ErrorSource::kPeer);
  return body.error().context();
}

TEST(HookBodyTest, TakesEveryField) {
  const auto body = parse_body(kWhole, {});
  ASSERT_TRUE(body.has_value()) << body.error().to_string();
  const InboundMessage& m = body->message;
  EXPECT_EQ(m.event, "m1");
  EXPECT_EQ(m.chat, "c1");
  EXPECT_EQ(m.text, "hi ü");
  EXPECT_EQ(m.sender, "ann");
  EXPECT_EQ(m.thread, "t1");
  EXPECT_EQ(m.sender_name, "Ann");
  EXPECT_EQ(m.session, "s1");
  EXPECT_EQ(m.request_id, "r1");
  EXPECT_EQ(m.order, 3);
  EXPECT_EQ(m.sent_at.ms, 1763740800000);
  EXPECT_EQ(m.chat_kind, ChatKind::kGroup);
  EXPECT_TRUE(m.mentions_us);
  EXPECT_EQ(m.projects, (std::vector<std::string>{"p1", "p2"}));
  EXPECT_EQ(m.kind, EventKind::kMessage);
  EXPECT_EQ(body->callback, "https://example.com/cb");
}

TEST(HookBodyTest, NeedsNoMoreThanIdChatTextAndSender) {
  const auto body = parse_body(R"({"id":"m","chat":"c","text":"t","sender":"s"})", {});
  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(body->message.chat_kind, ChatKind::kDirect);
  EXPECT_TRUE(body->message.mentions_us);
  EXPECT_FALSE(body->message.order);
  EXPECT_EQ(body->callback, "");
}

TEST(HookBodyTest, NamesTheFieldThatIsMissing) {
  EXPECT_NE(problem_of(R"({"chat":"c","text":"t","sender":"s"})").find("\"id\" is missing"),
            std::string::npos);
  EXPECT_EQ(problem_of(R"({"id":"m","text":"t","sender":"s"})"), "\"chat\" is missing");
  EXPECT_EQ(problem_of(R"({"id":"m","chat":"c","sender":"s"})"), "\"text\" is missing");
  EXPECT_EQ(problem_of(R"({"id":"m","chat":"c","text":"t"})"), "\"sender\" is missing");
}

TEST(HookBodyTest, NamesAFieldThatItDoesNotKnowOrSeesTwice) {
  EXPECT_EQ(problem_of(R"({"id":"m","txt":"t"})"), "unknown field \"txt\"");
  EXPECT_EQ(problem_of(R"({"id":"m","id":"n"})"), "field \"id\" comes twice");
  EXPECT_EQ(problem_of("{\"a\\u0007b\":1}"), "unknown field \"a?b\"");
}

TEST(HookBodyTest, NamesAFieldOfTheWrongType) {
  EXPECT_EQ(problem_of(R"({"id":7})"), "\"id\" can't be a number");
  EXPECT_EQ(problem_of(R"({"id":null})"), "\"id\" can't be null");
  EXPECT_EQ(problem_of(R"({"id":{"a":1}})"), "\"id\" can't be an object");
  EXPECT_EQ(problem_of(R"({"text":["a"]})"), "\"text\" can't be an array");
  EXPECT_EQ(problem_of(R"({"order":"1"})"), "\"order\" can't be a text");
  EXPECT_EQ(problem_of(R"({"group":"yes"})"), "\"group\" can't be a text");
  EXPECT_EQ(problem_of(R"({"projects":"p"})"), "\"projects\" can't be a text");
  EXPECT_EQ(problem_of(R"([{"id":"m"}])"), "a message is an object, not an array");
  EXPECT_EQ(problem_of("\"hi\""), "a message is an object, not a text");
}

TEST(HookBodyTest, TakesOnlyWholeNumbersThatEveryReaderKeepsExact) {
  for (const char* number :
       {"0", "-1", "1.5", "1e400", "9007199254740993", "18446744073709551615"}) {
    EXPECT_NE(problem_of(std::string(R"({"order":)") + number + "}"), "") << number;
  }
}

TEST(HookBodyTest, RefusesWhatIsNotJsonInUtf8) {
  for (const char* text : {"", "{", "{\"id\":\"m\"}}", "{'id':'m'}", "{\"id\":\"m\",}",
                           "{\"text\":\"\xff\"}", "{\"text\":\"\\ud800\"}", "// c\n{}"}) {
    EXPECT_TRUE(problem_of(text).starts_with("not JSON in UTF-8")) << text;
  }
}

TEST(HookBodyTest, RefusesDeepNestingAtOnce) {
  EXPECT_NE(problem_of(std::string(100'000, '[')), "");
  EXPECT_NE(problem_of(R"({"projects":)" + std::string(100'000, '[')), "");
}

TEST(HookBodyTest, RefusesControlCharactersInIdsButNotInTheText) {
  EXPECT_EQ(problem_of(R"({"id":"a\nb","chat":"c","text":"t","sender":"s"})"),
            "\"id\" holds a control character");
  EXPECT_TRUE(parse_body(R"({"id":"m","chat":"c","text":"a\nb\t","sender":"s"})", {}).has_value());
  EXPECT_EQ(problem_of(R"({"id":"m","chat":"c","text":"a\u0000b","sender":"s"})"),
            "\"text\" holds a NUL");
}

TEST(HookBodyTest, BoundsProjectsAndTheCallback) {
  std::string projects = "\"p\"";
  for (std::size_t i = 0; i < kMaxProjects; ++i) projects += ",\"p\"";
  EXPECT_EQ(problem_of("{\"projects\":[" + projects + "]}"), "more than 100 projects");
  EXPECT_EQ(problem_of(R"({"id":"m","chat":"c","text":"t","sender":"s","callback":")" +
                       std::string(kMaxCallbackBytes + 1, 'x') + "\"}"),
            "\"callback\" is longer than 2048 bytes");
}

TEST(HookBodyTest, TheIdempotencyKeyHeaderStandsForTheId) {
  const auto body = parse_body(R"({"chat":"c","text":"t","sender":"s"})", "h1");
  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(body->message.event, "h1");
  EXPECT_TRUE(parse_body(R"({"id":"h1","chat":"c","text":"t","sender":"s"})", "h1").has_value());
  EXPECT_EQ(problem_of(R"({"id":"m1","chat":"c","text":"t","sender":"s"})", "h1"),
            "the Idempotency-Key header and \"id\" differ");
}

TEST(HookBodyTest, AnEditNamesItsRevision) {
  const auto edit = parse_body(
      R"({"kind":"edit","id":"m","revision":"2","chat":"c","text":"new","sender":"s"})", {});
  ASSERT_TRUE(edit.has_value());
  EXPECT_EQ(edit->message.kind, EventKind::kEdit);
  EXPECT_EQ(edit->message.revision, "2");
  EXPECT_NE(problem_of(R"({"kind":"edit","id":"m","chat":"c","text":"n","sender":"s"})"), "");
  EXPECT_NE(problem_of(R"({"id":"m","revision":"2","chat":"c","text":"n","sender":"s"})"), "");
}

TEST(HookBodyTest, ADeleteHasNoText) {
  const auto gone = parse_body(R"({"kind":"delete","id":"m","chat":"c","sender":"s"})", {});
  ASSERT_TRUE(gone.has_value());
  EXPECT_EQ(gone->message.kind, EventKind::kDelete);
  EXPECT_NE(problem_of(R"({"kind":"delete","id":"m","chat":"c","text":"t","sender":"s"})"), "");
  EXPECT_NE(problem_of(R"({"kind":"poke","id":"m","chat":"c","text":"t","sender":"s"})"), "");
}

TEST(HookBodyTest, AGroupMessageIsForUsOnlyIfItSaysSo) {
  const auto group =
      parse_body(R"({"id":"m","chat":"c","text":"t","sender":"s","group":true})", {});
  ASSERT_TRUE(group.has_value());
  EXPECT_FALSE(group->message.mentions_us);
  EXPECT_EQ(problem_of(R"({"id":"m","chat":"c","text":"t","sender":"s","mentioned":true})"),
            "\"mentioned\" goes with \"group\"");
}

TEST(HookBodyTest, TakesEachWayToAnswer) {
  const std::string head = R"({"id":"m1","chat":"c","text":"x","sender":"s","answer":)";
  EXPECT_EQ(parse_body(head + R"("callback"})", {})->answer_by, AnswerBy::kCallback);
  EXPECT_EQ(parse_body(head + R"("wait"})", {})->answer_by, AnswerBy::kWait);
  EXPECT_EQ(parse_body(head + R"("stream"})", {})->answer_by, AnswerBy::kStream);
  EXPECT_EQ(problem_of(head + R"("never"})"), "\"answer\" must be callback, wait or stream");
  EXPECT_EQ(problem_of(head + R"("wait","callback":"https://example.com/"})"),
            "\"callback\" goes with \"answer\": \"callback\"");
  EXPECT_EQ(problem_of(R"({"id":"m1","chat":"c","sender":"s","kind":"delete","answer":"wait"})"),
            "only a message can wait for its \"answer\"");
}

TEST(HookBodyTest, NeverPutsTheTextIntoAnError) {
  for (const char* json :
       {R"({"text":"secret","x":1})", R"({"text":"secret","text":"secret"})", R"({"text":"secret")",
        R"({"id":"secret\n","chat":"c","text":"secret","sender":"s"})"}) {
    EXPECT_EQ(problem_of(json).find("secret"), std::string::npos) << json;
  }
}

TEST(ReplyToTest, SurvivesTheWayThroughTheOutbox) {
  const ReplyTo to = parse_reply_to(to_string({"https://example.com/cb", "m1"}));
  EXPECT_EQ(to.callback, "https://example.com/cb");
  EXPECT_EQ(to.event, "m1");
}

TEST(ReplyToTest, AnOperatorsSendNamesACallbackOrNothing) {
  EXPECT_EQ(parse_reply_to("https://example.com/cb").callback, "https://example.com/cb");
  EXPECT_EQ(parse_reply_to("").callback, "");
  EXPECT_EQ(parse_reply_to("").event, "");
}

}  // namespace
}  // namespace sluice::hook
