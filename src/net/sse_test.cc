#include "net/sse.h"

#include <gtest/gtest.h>

namespace sluice::net {
namespace {

std::vector<SseEvent> parse(std::string_view text) {
  SseParser parser;
  std::vector<SseEvent> events;
  EXPECT_TRUE(parser.put(text, events));
  return events;
}

TEST(SseTest, ReadsEventsWithTypeIdAndSeveralDataLines) {
  const auto events = parse("id: 7\nevent: delta\ndata: one\ndata:two\n\ndata\n\ndata: lost");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0], (SseEvent{"delta", "one\ntwo", "7"}));
  EXPECT_EQ(events[1], (SseEvent{"message", "", "7"}));
}

TEST(SseTest, TakesEveryKindOfLineEndAndAByteOrderMark) {
  const auto events = parse(
      "\xef\xbb\xbf"
      "data: a\r\n\r\ndata: b\r\rdata: c\n\n");
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].data + events[1].data + events[2].data, "abc");
}

TEST(SseTest, GivesTheSameEventsHoweverTheBytesAreCut) {
  const std::string text =
      "\xef\xbb\xbfid: 1\r\ndata: x\r\n: comment\r\ndata: y\r\n\r\nevent: e\rdata: z\r\r";
  const auto whole = parse(text);
  ASSERT_EQ(whole.size(), 2u);
  SseParser parser;
  std::vector<SseEvent> events;
  for (const char c : text) ASSERT_TRUE(parser.put(std::string_view(&c, 1), events));
  EXPECT_EQ(events, whole);
}

TEST(SseTest, SkipsOneLineFeedAfterACarriageReturnThatEndedThePieceBefore) {
  SseParser parser;
  std::vector<SseEvent> events;
  for (const char* piece : {"data: x\r", "\n", "\n"}) ASSERT_TRUE(parser.put(piece, events));
  EXPECT_EQ(events.size(), 1u);
}

TEST(SseTest, IgnoresCommentsUnknownFieldsAndIdsWithNul) {
  const auto events = parse(std::string_view(":hi\nfoo: bar\nid: a\0b\ndata: x\n\n", 30));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0], (SseEvent{"message", "x", ""}));
}

TEST(SseTest, TellsRetryAndTheLastId) {
  SseParser parser;
  std::vector<SseEvent> events;
  ASSERT_TRUE(parser.put("retry: 1500\nid: 9\n\nretry: x\n", events));
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(parser.last_event_id(), "9");
  EXPECT_EQ(parser.retry(), std::chrono::milliseconds(1500));
}

TEST(SseTest, BoundsALineAndAnEvent) {
  std::vector<SseEvent> events;
  SseParser line(100);
  EXPECT_FALSE(line.put("data: " + std::string(100, 'x'), events));
  EXPECT_FALSE(line.put("\n\n", events));
  SseParser event(100);
  bool failed = false;
  for (int i = 0; i < 10 && !failed; ++i) failed = !event.put("data: 0123456789abcdef\n", events);
  EXPECT_TRUE(failed);
  EXPECT_TRUE(events.empty());
}

TEST(SseTest, WritesWhatItReads) {
  const SseEvent event{"delta", "one\n\ntwo\n", "12"};
  EXPECT_EQ(parse(format_sse(event)), std::vector<SseEvent>{event});
}

TEST(SseTest, NeverLetsTextStartAFieldOfItsOwn) {
  const auto events =
      parse(format_sse({"a\ndata: forged", "x\r\n\r\nid: 1\r\rdata: y", "5\nevent: z"}));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0], (SseEvent{"a", "x\n\nid: 1\n\ndata: y", "5"}));
}

}  // namespace
}  // namespace sluice::net
