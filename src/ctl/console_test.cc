#include "ctl/console.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace sluice::ctl {
namespace {

TEST(ConsoleTest, LinesHaveNoBreaksAndNoEscapes) {
  EXPECT_EQ(safe_line("a\nb\tc\x1b[31md\x07"), "a b cd");
}

TEST(ConsoleTest, JsonEscapesWhatATerminalWouldObey) {
  const boost::json::value value = {{"text",
                                     "\x1b[31m\x7f\xc2\x9b"
                                     "1mé"}};
  EXPECT_EQ(safe_json(value), "{\"text\":\"\\u001b[31m\\u007f\\u009b1mé\"}");
}

TEST(SafeStreamTest, DropsASequenceThatIsCutBetweenPieces) {
  SafeStream stream;
  EXPECT_EQ(stream.put("one \x1b"), "one ");
  EXPECT_EQ(stream.put("[3"), "");
  EXPECT_EQ(stream.put("1m two"), " two");
  EXPECT_EQ(stream.put("\x1b]0;title"), "");
  EXPECT_EQ(stream.put("\x1b"), "");
  EXPECT_EQ(stream.put("\\three"), "three");
  EXPECT_EQ(stream.end(), "");
}

TEST(SafeStreamTest, GivesWholeSequencesUpAtOnce) {
  SafeStream stream;
  EXPECT_EQ(stream.put("a\x1b[1mb\x1b]0;t\x07"
                       "c"),
            "abc");
}

TEST(SafeStreamTest, HoldsNoMoreThanASequenceCanBe) {
  SafeStream stream;
  stream.put("\x1b]");
  for (int i = 0; i < 100; ++i) stream.put(std::string(100, 'x'));
  EXPECT_EQ(stream.put("seen"), "seen");
}

TEST(SafeStreamTest, NeverShowsAnEscape) {
  const std::string text =
      "a\x1b[31mb\x1b]0;t\x1b\\c\x1bMd\x1bP1q\x07"
      "e\x1b\x1b[0mf";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    SafeStream stream;
    std::string shown = stream.put(text.substr(0, cut));
    shown += stream.put(text.substr(cut));
    shown += stream.end();
    EXPECT_EQ(shown.find('\x1b'), std::string::npos) << cut;
    EXPECT_EQ(shown, safe_text(text)) << cut;
  }
}

}  // namespace
}  // namespace sluice::ctl
