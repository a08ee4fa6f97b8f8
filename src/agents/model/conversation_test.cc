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

}  // namespace
}  // namespace sluice
