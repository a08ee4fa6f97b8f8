#include "agents/model/conversation.h"

#include "agents/model/model_fixture.h"

namespace sluice {
namespace {

using namespace model_test;
using Speeches = std::vector<Speech>;

TEST(ConversationTest, IsTheHistoryAndThenTheNewMessages) {
  TurnRequest request = turn("and you?");
  request.history = {line(HistoryKind::kPerson, "hi"), line(HistoryKind::kAgent, "hello")};
  EXPECT_EQ(conversation_of(request),
            (Speeches{{true, "hi"}, {false, "hello"}, {true, "and you?"}}));
}

TEST(ConversationTest, JoinsWhatOneSaidInARow) {
  TurnRequest request = turn("c");
  request.messages.push_back(message("d"));
  request.history = {line(HistoryKind::kPerson, "a"), line(HistoryKind::kAgent, "x"),
                     line(HistoryKind::kAgent, "y"), line(HistoryKind::kPerson, "b")};
  EXPECT_EQ(conversation_of(request), (Speeches{{true, "a"}, {false, "x\ny"}, {true, "b\nc\nd"}}));
}

TEST(ConversationTest, BeginsWithThePerson) {
  TurnRequest request = turn("a");
  request.history = {line(HistoryKind::kAgent, "x"), line(HistoryKind::kAgent, "y")};
  EXPECT_EQ(conversation_of(request), (Speeches{{true, "a"}}));
}

TEST(ConversationTest, LeavesOutWhatIsBlankAndWhatTheGatewayRemarked) {
  TurnRequest request = turn("a");
  request.history = {line(HistoryKind::kPerson, "b"), line(HistoryKind::kAgent, " \n"),
                     line(HistoryKind::kNotice, "Stopped.")};
  EXPECT_EQ(conversation_of(request), (Speeches{{true, "b\na"}}));
}

TEST(ConversationTest, AlwaysAsksSomething) {
  EXPECT_EQ(conversation_of(turn(" ")), (Speeches{{true, "(no text)"}}));
}

TEST(ConversationTest, ShowsWhoSentWhichImagesAndWhen) {
  TurnRequest request = turn("and these?");
  request.messages.push_back(message_with(" ", {"b.png", "c.png"}));
  request.history = {line_with("look", {"a.png"}), line(HistoryKind::kAgent, "nice")};
  EXPECT_EQ(conversation_of(request),
            (Speeches{{true, "look", {{"a.png", true}}},
                      {false, "nice"},
                      {true, "and these?", {{"b.png", false}, {"c.png", false}}}}));
}

TEST(ConversationTest, AnImageAloneAsksSomething) {
  TurnRequest request = turn("");
  request.messages = {message_with("", {"a.png"})};
  EXPECT_EQ(conversation_of(request), (Speeches{{true, "", {{"a.png", false}}}}));
}

TEST(ConversationTest, MetaThatIsNoneOfOursNamesNoImage) {
  for (const char* meta : {"", "{", "[]", R"({"attachments":7})", R"({"attachments":[7,null]})",
                           R"({"duration_ms":5})"}) {
    TurnRequest request = turn("a");
    request.history = {line(HistoryKind::kPerson, "b")};
    request.history[0].meta = meta;
    EXPECT_EQ(conversation_of(request), (Speeches{{true, "b\na"}})) << meta;
  }
}

TEST(ConversationTest, AnImageThatIsNotShownLeavesAMark) {
  Speeches all{{true, "look", {{"a", true}, {"b", true}}}, {false, "ok"}, {true, "", {{"c"}}}};
  std::string asked;
  filter_pictures(all, [&](const Picture& picture) {
    asked += picture.id;
    return picture.id == "b";
  });
  EXPECT_EQ(asked, "cba") << "the newest first";
  EXPECT_EQ(all,
            (Speeches{{true, "look\n[image]", {{"b", true}}}, {false, "ok"}, {true, "[image]"}}));
}

}  // namespace
}  // namespace sluice
