#include "channels/http/render.h"

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/sse.h"

namespace sluice::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HistoryRow line() {
  HistoryRow row;
  row.id = HistoryId{12};
  row.kind = HistoryKind::kAgent;
  row.turn = TurnId{9};
  row.at = UnixMillis{1'700'000'000'000};
  row.text = "two\nlines \"quoted\" \x01 \\ é";
  row.meta = R"({"session":"s"})";
  return row;
}

TEST(HttpRenderTest, ALineIsOneJsonObjectThatReadsBack) {
  const boost::json::value v = boost::json::parse(line_json(line()));
  EXPECT_EQ(v.at("id"), 12);
  EXPECT_EQ(v.at("kind"), "agent");
  EXPECT_EQ(v.at("message"), 0);
  EXPECT_EQ(v.at("turn"), 9);
  EXPECT_EQ(v.at("at"), 1'700'000'000'000);
  EXPECT_EQ(v.at("text"), "two\nlines \"quoted\" \x01 \\ é");
  EXPECT_EQ(v.at("cut"), false);
  EXPECT_EQ(v.at("meta").at("session"), "s");
}

TEST(HttpRenderTest, OnlyAgentsWordsAreRendered) {
  HistoryRow row = line();
  row.text = "*a* <b>";
  row.kind = HistoryKind::kAgent;
  EXPECT_EQ(boost::json::parse(line_json(row, true)).at("html"), "<p><em>a</em> &lt;b&gt;</p>\n");
  EXPECT_FALSE(boost::json::parse(line_json(row)).as_object().contains("html"));
  row.kind = HistoryKind::kPerson;
  EXPECT_FALSE(boost::json::parse(line_json(row, true)).as_object().contains("html"));
}

TEST(HttpRenderTest, APageSaysWhereToGoOn) {
  EXPECT_EQ(page_json(LaneId{3}, {}, false), R"({"conversation":3,"lines":[],"before":null})");
  const boost::json::value v = boost::json::parse(page_json(LaneId{3}, {line(), line()}, true));
  EXPECT_EQ(v.at("lines").as_array().size(), 2u);
  EXPECT_EQ(v.at("before"), 12);
}

TEST(HttpRenderTest, ALifeTellsItsTimesAndItsParts) {
  MessageLife life;
  life.end = {MessageId{7},
              MessageOutcome::kAnswered,
              "",
              TurnId{8},
              2,
              HistoryId{9},
              UnixMillis{10},
              UnixMillis{11},
              UnixMillis{12}};
  life.lane = LaneId{3};
  MessageLife::Part part;
  part.row.id = PartId{20};
  part.settled = PartSettlement{};
  part.settled->outcome = PartOutcome::kDead;
  part.settled->reason = "refused";
  life.parts.push_back(part);
  const boost::json::value v = boost::json::parse(life_json(life, "main"));
  EXPECT_EQ(v.at("status"), "answered");
  EXPECT_EQ(v.at("chat"), "main");
  EXPECT_EQ(v.at("attempts"), 2);
  EXPECT_EQ(v.at("accepted_at"), 10);
  EXPECT_EQ(v.at("started_at"), 11);
  EXPECT_EQ(v.at("ended_at"), 12);
  EXPECT_EQ(v.at("parts").at(0).at("status"), "dead");
  EXPECT_EQ(v.at("parts").at(0).at("reason"), "refused");
}

TEST(HttpRenderTest, APendingLifeHasTimesThatHaveNotCome) {
  MessageLife life;
  life.pending = true;
  life.row.emplace();
  life.row->event = "a1";
  const boost::json::value v = boost::json::parse(life_json(life, "main"));
  EXPECT_EQ(v.at("status"), "pending");
  EXPECT_EQ(v.at("id"), "a1");
  EXPECT_TRUE(v.at("ended_at").is_null());
}

TEST(HttpRenderTest, ErrorsBecomeStatusesWithWhenToTryAgain) {
  const auto status = [](ErrorKind kind) { return problem_of(Error(kind, "why")).status; };
  EXPECT_EQ(status(ErrorKind::kInvalidArgument), 400);
  EXPECT_EQ(status(ErrorKind::kUnauthenticated), 401);
  EXPECT_EQ(status(ErrorKind::kPermissionDenied), 403);
  EXPECT_EQ(status(ErrorKind::kTooLarge), 413);
  EXPECT_EQ(status(ErrorKind::kOverloaded), 429);
  EXPECT_EQ(status(ErrorKind::kUnavailable), 503);
  EXPECT_EQ(status(ErrorKind::kDiskFull), 503);
  EXPECT_EQ(status(ErrorKind::kStorageFailed), 503);
  EXPECT_EQ(status(ErrorKind::kCorrupt), 500);
  const Error busy(ErrorKind::kOverloaded, "full", ErrorSource::kSelf,
                   Retry::after(std::chrono::milliseconds(2'100)));
  EXPECT_EQ(problem_of(busy).headers.get("Retry-After"), "3");
  EXPECT_EQ(problem_of(Error(ErrorKind::kDiskFull)).headers.get("Retry-After"), "60");
}

TEST(HttpRenderTest, WhatIsWrongInsideIsNotToldOutside) {
  EXPECT_THAT(problem_of(Error(ErrorKind::kCorrupt, "/var/lib/x")).body, Not(HasSubstr("/var")));
  EXPECT_THAT(problem_of(Error(ErrorKind::kStorageFailed, "/var")).body, Not(HasSubstr("/var")));
  EXPECT_THAT(problem_of(Error(ErrorKind::kInvalidArgument, "why")).body, HasSubstr("why"));
}

}  // namespace
}  // namespace sluice::http
