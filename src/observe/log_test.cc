#include "observe/log.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "observe/log_format.h"
#include "observe/memory_logger.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class LogFileTest : public ::testing::Test {
 protected:
  LogFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice_log_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~LogFileTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Logger> open(LogOptions::Format format, LogLevel level = LogLevel::kInfo) {
    return make_logger({format, level, path()}).value();
  }
  std::string path() const { return (folder_ / "log").string(); }
  std::string read() const {
    std::ifstream in(path());
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
  }

  std::filesystem::path folder_;
};

std::string text(std::string_view event, Logger::Fields fields) {
  fmt::memory_buffer out;
  append_text(out, event, std::span(fields.begin(), fields.size()));
  return fmt::to_string(out);
}

std::string json(std::string_view event, Logger::Fields fields) {
  fmt::memory_buffer out;
  append_json(out, event, std::span(fields.begin(), fields.size()));
  return fmt::to_string(out);
}

TEST_F(LogFileTest, TextLinesHaveTimeLevelEventAndFields) {
  open(LogOptions::Format::kText)->info("turn_ended", {{"turn", "t1"}, {"ms", 12}, {"late", true}});
  EXPECT_THAT(read(), MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\."
                                   "[0-9]{3}Z info  turn_ended turn=t1 ms=12 late=true\n"));
}

TEST_F(LogFileTest, JsonLinesAreOneObjectEach) {
  open(LogOptions::Format::kJson)->warn("peer_slow", {{"peer", "a\"b"}, {"seconds", 0.5}});
  EXPECT_THAT(read(), MatchesRegex("\\{\"time\":\"[0-9T:.-]+Z\",\"level\":\"warn\",\"event\":"
                                   "\"peer_slow\",\"peer\":\"a\\\\\"b\",\"seconds\":0.5\\}\n"));
}

TEST_F(LogFileTest, PercentSignsAndBracesOfAValueAreNotFormats) {
  open(LogOptions::Format::kText)->info("x", {{"v", "%v{}{0}%n"}});
  EXPECT_THAT(read(), HasSubstr("v=%v{}{0}%n\n"));
}

TEST_F(LogFileTest, LinesBelowTheLevelAreNotWritten) {
  const auto log = open(LogOptions::Format::kText, LogLevel::kWarn);
  log->info("quiet");
  log->warn("heard");
  log->set_level(LogLevel::kDebug);
  log->debug("now_too");
  EXPECT_THAT(read(), ::testing::Not(HasSubstr("quiet")));
  EXPECT_THAT(read(), HasSubstr("heard"));
  EXPECT_THAT(read(), HasSubstr("now_too"));
}

TEST_F(LogFileTest, TheFileIsForItsOwnerOnly) {
  const auto log = open(LogOptions::Format::kText);
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST_F(LogFileTest, AnExistingFileIsAppendedTo) {
  open(LogOptions::Format::kText)->info("first");
  open(LogOptions::Format::kText)->info("second");
  EXPECT_THAT(read(), MatchesRegex(".*first\n.*second\n"));
}

TEST_F(LogFileTest, APipeThatNobodyReadsHoldsNobodyUpAndWhatIsLostIsCounted) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  const int reader = ::open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  const std::unique_ptr<Logger> log = open(LogOptions::Format::kText);
  const std::string text(1'000, 'x');
  for (int i = 0; i < 200; ++i) log->info("line", {{"text", text}});
  const auto take_all = [reader] {
    std::string all;
    char some[4096];
    for (ssize_t n = 0; (n = ::read(reader, some, sizeof some)) > 0;)
      all.append(some, static_cast<std::size_t>(n));
    return all;
  };
  const std::string before = take_all();
  const auto kept = std::count(before.begin(), before.end(), '\n');
  EXPECT_LT(kept, 200);
  log->info("afterwards");
  EXPECT_THAT(take_all(), MatchesRegex(fmt::format(
                              ".*warn  log_lines_lost count={}\n.*afterwards\n", 200 - kept)));
  ::close(reader);
}

TEST(LogTest, AFileThatCannotBeOpenedIsAnErrorThatNamesIt) {
  const auto log = make_logger({LogOptions::Format::kText, LogLevel::kInfo, "/no/such/folder/log"});
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_THAT(log.error().context(), HasSubstr("/no/such/folder/log"));
}

TEST(LogFormatTest, ValuesThatCouldBeMistakenAreQuoted) {
  EXPECT_EQ(text("e", {{"a", ""}, {"b", "x y"}, {"c", "k=v"}, {"d", "q\"\\"}, {"e", "plain:/1"}}),
            R"(e a="" b="x y" c="k=v" d="q\"\\" e=plain:/1)");
}

TEST(LogFormatTest, AValueNeverStartsALineOfItsOwn) {
  const std::string evil =
      "x\n2026-01-01 error forged\r\x1b[2J\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xae";
  for (const std::string& line : {text(evil, {{evil, evil}}), json(evil, {{evil, evil}})}) {
    for (const char c : line) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    EXPECT_EQ(line.find("\xc2\x85"), std::string::npos);
    EXPECT_EQ(line.find("\xe2\x80"), std::string::npos);
  }
  EXPECT_THAT(text("e", {{"v", evil}}), HasSubstr(R"(\r\u001b[2J\u007f\u0085\u2028\u202e)"));
}

TEST(LogFormatTest, InvalidUtf8IsReplaced) {
  EXPECT_EQ(json("e", {{"v", "a\xff\xe2\x82z\xed\xa0\x80"}}),
            "\"event\":\"e\",\"v\":\"a\ufffd\ufffd\ufffdz\ufffd\ufffd\ufffd\"");
  EXPECT_EQ(valid_utf8("gr\xc3\xbc\xdf"), "grü\ufffd");
}

TEST(LogFormatTest, WhatJsonHasNoNumberForIsAString) {
  EXPECT_EQ(json("e", {{"v", std::numeric_limits<double>::quiet_NaN()}}),
            R"("event":"e","v":"nan")");
}

TEST(LogFormatTest, ALongValueIsCutAtACodePoint) {
  const std::string value = std::string(kMaxLogValueBytes - 1, 'a') + "ü" + std::string(100, 'b');
  const std::string line = text("e", {{"v", value}});
  EXPECT_EQ(line, "e v=\"" + std::string(kMaxLogValueBytes - 1, 'a') + "…\"");
  EXPECT_TRUE(is_utf8(line));
}

TEST(MemoryLoggerTest, KeepsLinesForAssertions) {
  MemoryLogger log;
  log.debug("started");
  log.error("send_failed", {{"part", 3}});
  log.error("send_failed", {{"part", 4}});
  EXPECT_THAT(log.lines(),
              ElementsAre("debug started", "error send_failed part=3", "error send_failed part=4"));
  EXPECT_EQ(log.count("send_failed"), 2u);
  EXPECT_EQ(log.last("send_failed"), "error send_failed part=4");
  EXPECT_EQ(log.last("never"), "");
}

TEST(MemoryLoggerTest, ForgetsTheOldestLinesBeyondItsBound) {
  MemoryLogger log;
  for (std::size_t i = 0; i <= MemoryLogger::kMaxLines; ++i) log.info("n", {{"i", i}});
  EXPECT_EQ(log.lines().size(), MemoryLogger::kMaxLines);
  EXPECT_EQ(log.lines().front(), "info n i=1");
}

}  // namespace
}  // namespace sluice
