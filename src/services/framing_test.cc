#include "services/framing.h"

#include <gmock/gmock.h>

namespace sluice::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Framing kAll[] = {Framing::kNewline, Framing::kContentLength, Framing::kLengthPrefix};

std::vector<std::string> frames(Deframer& deframer) {
  std::vector<std::string> out;
  for (auto frame = deframer.next(); frame && *frame; frame = deframer.next()) {
    out.push_back(**frame);
  }
  return out;
}

ErrorKind refusal(Framing framing, std::string_view bytes, std::size_t most = kFrameMost) {
  Deframer deframer(framing, most);
  deframer.feed(bytes);
  auto frame = deframer.next();
  while (frame && *frame) frame = deframer.next();
  return frame ? ErrorKind::kInternal : frame.error().kind();
}

TEST(FramingTest, WhatIsFramedComesBack) {
  for (const Framing framing : kAll) {
    Deframer deframer(framing);
    deframer.feed(framed(framing, "{\"a\":1}"));
    EXPECT_THAT(frames(deframer), ElementsAre("{\"a\":1}"));
    EXPECT_THAT(frames(deframer), IsEmpty());
  }
}

TEST(FramingTest, TwoInOnePieceAreTwo) {
  for (const Framing framing : kAll) {
    Deframer deframer(framing);
    deframer.feed(framed(framing, "one") + framed(framing, "two"));
    EXPECT_THAT(frames(deframer), ElementsAre("one", "two"));
  }
}

TEST(FramingTest, SplitAtEveryByteTheyAreTheSame) {
  for (const Framing framing : kAll) {
    const std::string all = framed(framing, "{\"first\":1}") + framed(framing, "{}");
    for (std::size_t at = 0; at <= all.size(); ++at) {
      Deframer deframer(framing);
      deframer.feed(all.substr(0, at));
      std::vector<std::string> got = frames(deframer);
      deframer.feed(all.substr(at));
      for (std::string& frame : frames(deframer)) got.push_back(std::move(frame));
      EXPECT_THAT(got, ElementsAre("{\"first\":1}", "{}")) << at;
    }
  }
}

TEST(FramingTest, ByteByByteTheyAreTheSame) {
  for (const Framing framing : kAll) {
    Deframer deframer(framing);
    std::vector<std::string> got;
    for (const char byte : framed(framing, "hello") + framed(framing, "you")) {
      deframer.feed(std::string_view(&byte, 1));
      for (std::string& frame : frames(deframer)) got.push_back(std::move(frame));
    }
    EXPECT_THAT(got, ElementsAre("hello", "you"));
  }
}

TEST(FramingTest, OversizeIsRefusedBeforeItIsHeld) {
  EXPECT_EQ(refusal(Framing::kContentLength, "Content-Length: 16777217\r\n\r\n"),
            ErrorKind::kTooLarge);
  EXPECT_EQ(refusal(Framing::kLengthPrefix, std::string("\x01\x00\x00\x01", 4)),
            ErrorKind::kTooLarge);
  EXPECT_EQ(refusal(Framing::kNewline, std::string(11, 'x'), 10), ErrorKind::kTooLarge);
  EXPECT_EQ(refusal(Framing::kNewline, std::string(11, 'x') + "\n", 10), ErrorKind::kTooLarge);
}

TEST(FramingTest, AnEmptyFrameIsNoEnd) {
  EXPECT_EQ(refusal(Framing::kLengthPrefix, std::string(4, '\0')), ErrorKind::kBadResponse);
  EXPECT_EQ(refusal(Framing::kContentLength, "Content-Length: 0\r\n\r\n"), ErrorKind::kBadResponse);
  Deframer lines(Framing::kNewline);
  lines.feed("\n\r\n{}\r\n");
  EXPECT_THAT(frames(lines), ElementsAre("{}"));
}

TEST(FramingTest, HeadersAreReadAsTheLanguageServerProtocolHasThem) {
  Deframer deframer(Framing::kContentLength);
  deframer.feed("content-type: application/json\r\nCONTENT-LENGTH:  2 \r\n\r\n{}");
  EXPECT_THAT(frames(deframer), ElementsAre("{}"));
}

TEST(FramingTest, WrongHeadsAreRefused) {
  for (const char* head : {"Content-Length: x\r\n\r\n", "Content-Length: -1\r\n\r\n",
                           "Content-Length: 1 2\r\n\r\n", "Content-Type: a\r\n\r\n",
                           "hello\r\n\r\n", "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
                           "Content-Length: 99999999999999999999\r\n\r\n"}) {
    EXPECT_EQ(refusal(Framing::kContentLength, head), ErrorKind::kBadResponse) << head;
  }
  EXPECT_EQ(refusal(Framing::kContentLength, std::string(kHeadMost, 'x')), ErrorKind::kBadResponse);
}

}  // namespace
}  // namespace sluice::services
