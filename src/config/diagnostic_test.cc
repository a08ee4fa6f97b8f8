#include "config/diagnostic.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

TEST(NearestTest, SwappedLettersAreOneStep) {
  EXPECT_EQ(nearest("tiemout", {"listen", "timeout", "time"}), "timeout");
}

TEST(NearestTest, AShortWordMayDifferInOneLetter) {
  EXPECT_EQ(nearest("evn", {"env", "file"}), "env");
  EXPECT_EQ(nearest("ab", {"cd"}), "");
}

TEST(NearestTest, TheNearerCandidateWins) {
  EXPECT_EQ(nearest("timeouts", {"timer", "timeout", "time"}), "timeout");
}

TEST(NearestTest, AnOverlongWordMatchesNothing) {
  EXPECT_EQ(nearest(std::string(65, 'a'), {std::string(65, 'a')}), "");
  EXPECT_EQ(nearest("a", {std::string(65, 'a')}), "");
}

TEST(NearestTest, WithoutCandidatesThereIsNone) { EXPECT_EQ(nearest("a", {}), ""); }

TEST(PrintableTest, ControlsGoAndLongTextIsCutAtACodePoint) {
  EXPECT_EQ(printable("a\nb\x1b[2Jc"), "a bc");
  EXPECT_EQ(printable("aüb", 2), "a…");
}

TEST(ProblemsTest, AreSortedByTheirPlace) {
  Problems problems("f");
  problems.error({2, 1}, "b", "second");
  problems.warning({1, 5}, "a", "first");
  problems.error({}, "", "whole");
  const auto all = problems.take();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].to_string(), "f: whole");
  EXPECT_EQ(all[1].to_string(), "f:1:5: warning: first");
  EXPECT_EQ(all[2].to_string(), "f:2:1: second");
}

}  // namespace
}  // namespace sluice::config
