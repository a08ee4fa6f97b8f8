#include "ctl/chat_log.h"

#include <boost/json.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::ctl {
namespace {

using testing::ElementsAre;

/// Events as short words: "line 5 hello", "piece hel", "void 7.1".
class ChatLogTest : public testing::Test {
 protected:
  std::vector<std::string> put(const std::string& event, const std::string& data) {
    std::vector<ChatEvent> news;
    const Result<void> read = log_.put(net::SseEvent{event, data, ""}, news);
    if (!read) return {"refused"};
    std::vector<std::string> words;
    for (const ChatEvent& one : news) {
      if (const auto* line = std::get_if<ChatLine>(&one)) {
        words.push_back(
            fmt::format("line {} {}{}", line->id, line->text,
                        line->given > 0 ? fmt::format(" ({} given)", line->given) : ""));
      } else if (const auto* piece = std::get_if<ChatPiece>(&one)) {
        words.push_back("piece " + piece->text);
      } else if (const auto* gone = std::get_if<ChatVoid>(&one)) {
        words.push_back(fmt::format("void {}.{}", gone->turn, gone->attempt));
      } else {
        words.push_back("phase " + std::get<ChatPhase>(one).phase);
      }
    }
    return words;
  }
  std::vector<std::string> delta(int turn, int attempt, int offset, const std::string& text) {
    return put("delta", fmt::format(R"({{"turn":{},"attempt":{},"offset":{},"text":"{}"}})", turn,
                                    attempt, offset, text));
  }
  std::vector<std::string> reset(int turn, int attempt) {
    return put("reset", fmt::format(R"({{"turn":{},"attempt":{}}})", turn, attempt));
  }
  std::vector<std::string> line(int id, const std::string& kind, int turn,
                                const std::string& text) {
    return put("message",
               fmt::format(R"({{"id":{},"kind":"{}","turn":{},"message":0,"text":"{}"}})", id, kind,
                           turn, text));
  }

  ChatLog log_{0};
};

TEST_F(ChatLogTest, MarksWhatATerminalDoesNotShow) {
  const auto with = [&](int id, const std::string& text, const std::string& meta) {
    return put("message",
               fmt::format(R"({{"id":{},"kind":"person","text":"{}","meta":{}}})", id, text, meta));
  };
  EXPECT_THAT(with(1, "look", R"({"attachments":["a","b"]})"),
              ElementsAre("line 1 look [image] [image]"));
  EXPECT_THAT(with(2, "", R"({"attachments":["a"]})"), ElementsAre("line 2 [image]"));
  EXPECT_THAT(with(3, "x", R"({"attachments":7})"), ElementsAre("line 3 x"));
  EXPECT_THAT(with(4, "x", "null"), ElementsAre("line 4 x"));
}

TEST_F(ChatLogTest, PiecesContinueEachOther) {
  EXPECT_THAT(delta(7, 1, 0, "hel"), ElementsAre("piece hel"));
  EXPECT_THAT(delta(7, 1, 3, "lo"), ElementsAre("piece lo"));
  EXPECT_THAT(line(5, "agent", 7, "hello!"), ElementsAre("line 5 hello! (5 given)"));
}

TEST_F(ChatLogTest, ALineComesOnce) {
  EXPECT_THAT(line(5, "agent", 7, "hello"), ElementsAre("line 5 hello"));
  EXPECT_THAT(line(5, "agent", 7, "hello"), ElementsAre());
  EXPECT_THAT(line(4, "person", 7, "hi"), ElementsAre());
  EXPECT_EQ(log_.last(), 5);
}

TEST_F(ChatLogTest, WhatIsToldAgainAfterAReconnectionIsNotGivenAgain) {
  delta(7, 1, 0, "hello");
  EXPECT_THAT(reset(7, 1), ElementsAre());
  EXPECT_THAT(delta(7, 1, 0, "hello wor"), ElementsAre("piece  wor"));
  EXPECT_THAT(delta(7, 1, 9, "ld"), ElementsAre("piece ld"));
}

TEST_F(ChatLogTest, AnotherAttemptVoidsWhatWasGiven) {
  delta(7, 1, 0, "hello");
  EXPECT_THAT(reset(7, 2), ElementsAre("void 7.1"));
  EXPECT_THAT(delta(7, 2, 0, "good day"), ElementsAre("piece good day"));
  EXPECT_THAT(line(5, "agent", 7, "good day"), ElementsAre("line 5 good day (8 given)"));
}

TEST_F(ChatLogTest, AnotherAttemptVoidsEvenWithoutAReset) {
  delta(7, 1, 0, "hello");
  EXPECT_THAT(delta(7, 2, 0, "good"), ElementsAre("void 7.1", "piece good"));
}

TEST_F(ChatLogTest, TextsOfTwoAttemptsAreNeverJoined) {
  delta(7, 1, 0, "hello");
  // The reset was lost with the connection, the next delta of attempt 2 was not its first.
  EXPECT_THAT(delta(7, 2, 5, "world"), ElementsAre("void 7.1"));
  EXPECT_THAT(line(5, "agent", 7, "other world"), ElementsAre("line 5 other world"));
}

TEST_F(ChatLogTest, AHoleIsLeftToTheLine) {
  delta(7, 1, 0, "one ");
  EXPECT_THAT(delta(7, 1, 8, "three"), ElementsAre());
  EXPECT_THAT(line(5, "agent", 7, "one two three"), ElementsAre("line 5 one two three (4 given)"));
}

TEST_F(ChatLogTest, ALineThatSaysSomethingElseVoidsWhatWasGiven) {
  delta(7, 1, 0, "hello");
  EXPECT_THAT(line(5, "agent", 7, "sorry"), ElementsAre("void 7.1", "line 5 sorry"));
}

TEST_F(ChatLogTest, ANoticeInPlaceOfTheAnswerVoidsWhatWasGiven) {
  delta(7, 1, 0, "hello");
  EXPECT_THAT(line(5, "notice", 7, "it failed"), ElementsAre("void 7.1", "line 5 it failed"));
}

TEST_F(ChatLogTest, ThePersonsLineLeavesTheAnswerAlone) {
  delta(7, 1, 0, "hello");
  EXPECT_THAT(line(5, "person", 7, "hi"), ElementsAre("line 5 hi"));
  EXPECT_THAT(line(6, "agent", 7, "hello"), ElementsAre("line 6 hello (5 given)"));
}

TEST_F(ChatLogTest, TheSameAttemptWithAnotherTextIsVoid) {
  delta(7, 1, 0, "hello");
  EXPECT_THAT(delta(7, 1, 0, "howdy"), ElementsAre("void 7.1", "piece howdy"));
}

TEST_F(ChatLogTest, AnotherTurnVoidsWhatHasNoLine) {
  delta(7, 1, 0, "hello");
  EXPECT_THAT(delta(8, 1, 0, "next"), ElementsAre("void 7.1", "piece next"));
}

TEST_F(ChatLogTest, ARestoredStoreIsReadFromWhereItStands) {
  line(50, "agent", 7, "old");
  EXPECT_THAT(put("rewind", R"({"head":20})"), ElementsAre());
  EXPECT_EQ(log_.last(), 20);
  EXPECT_THAT(line(20, "agent", 3, "known"), ElementsAre());
  EXPECT_THAT(line(21, "agent", 9, "new"), ElementsAre("line 21 new"));
}

TEST_F(ChatLogTest, UnknownEventsAreIgnoredAndBrokenOnesRefused) {
  EXPECT_THAT(put("weather", R"({"rain":true})"), ElementsAre());
  EXPECT_THAT(put("message", "{"), ElementsAre("refused"));
  EXPECT_THAT(put("message", R"({"kind":"agent"})"), ElementsAre("refused"));
}

TEST_F(ChatLogTest, PhasesPassThrough) {
  EXPECT_THAT(put("phase", R"({"turn":7,"message":3,"phase":"running"})"),
              ElementsAre("phase running"));
}

}  // namespace
}  // namespace sluice::ctl
