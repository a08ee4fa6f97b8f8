#include <gtest/gtest.h>

#include "base/random.h"
#include "base/result.h"
#include "base/units.h"
#include "base/utf8.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

TEST(UnitsTest, DurationsAreReadWithTheirUnits) {
  EXPECT_EQ(*parse_duration("300ms"), milliseconds(300));
  EXPECT_EQ(*parse_duration("1h30m"), milliseconds(5400000));
  EXPECT_EQ(*parse_duration("90d"), milliseconds(7776000000));
  EXPECT_EQ(*parse_duration("0"), milliseconds(0));
}

TEST(UnitsTest, ADurationWithoutAUnitIsRefusedWithAnExample) {
  const auto r = parse_duration("30");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_NE(r.error().context().find("30s"), std::string::npos);
}

TEST(UnitsTest, NonsenseIsRefused) {
  for (const char* text : {"", "s", "-1s", "1x", "1s2", "nan s", "1e300d", "inf s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(UnitsTest, SizesAreReadAndWrittenBack) {
  EXPECT_EQ(*parse_size("64KiB"), 65536u);
  EXPECT_EQ(*parse_size("1.5 GiB"), 1610612736u);
  EXPECT_EQ(*parse_size("10MB"), 10000000u);
  EXPECT_EQ(format_size(65536), "64KiB");
  EXPECT_EQ(format_duration(milliseconds(90000)), "90s");
}

TEST(Utf8Test, IllFormedSequencesAreFound) {
  EXPECT_TRUE(is_utf8("grüß 🚿"));
  for (const char* bad :
       {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80", "\xFF"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

TEST(Utf8Test, FloorNeverCutsACodePoint) {
  const std::string text = "aé🚿";
  EXPECT_EQ(utf8_floor(text, 2), 1u);
  EXPECT_EQ(utf8_floor(text, 3), 3u);
  EXPECT_EQ(utf8_floor(text, 6), 3u);
  EXPECT_EQ(utf8_floor(text, 99), text.size());
}

TEST(Utf8Test, TerminalEscapesAreTakenOut) {
  EXPECT_EQ(strip_terminal_controls("a\x1b[31mred\x1b[0m\x1b]0;title\x07z\x9b\n\tq"),
            "aredz\x9b\n\tq");
  EXPECT_EQ(strip_terminal_controls("x\xc2\x9b"
                                    "31my\r\b"),
            "x31my");
  EXPECT_EQ(strip_terminal_controls("a\x1b(Bb\x1b\x1b[1mc\x1b"), "abc");
  // Text after what begins an escape and is none stays whole; what is taken out joins nothing.
  EXPECT_EQ(strip_terminal_controls("\x1b\u00e9"), "\u00e9");
  EXPECT_EQ(strip_terminal_controls("x\xc2\x01\x9by"), "xy");
}

TEST(Utf8Test, NormalisingKeepsWhatAPersonCanTellApart) {
  EXPECT_EQ(normalise_text("a\r\nb \n"), "a\nb");
  EXPECT_NE(normalise_text("a b"), normalise_text("a  b"));
}

TEST(RandomTest, SameSeedSameNumbers) {
  Random a(7), b(7), c(8);
  EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(a.next(), c.next());
  for (int i = 0; i < 1000; ++i) EXPECT_LT(a.below(3), 3u);
}

TEST(ErrorTest, KindsHaveStableNames) {
  EXPECT_EQ(error_kind_from_string(to_string(ErrorKind::kDiskFull)), ErrorKind::kDiskFull);
  EXPECT_EQ(Error(ErrorKind::kTimeout, "connect").within("webhook").to_string(),
            "timeout: webhook: connect");
}

TEST(ResultTest, HoldsAValueOrAnError) {
  Result<int> good = 3;
  Result<int> bad = Error(ErrorKind::kNotFound);
  Result<void> nothing;
  EXPECT_TRUE(good);
  EXPECT_TRUE(nothing);
  EXPECT_FALSE(bad);
  EXPECT_THROW(bad.value(), std::logic_error);
}

}  // namespace
}  // namespace sluice
