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

TEST(HttpRenderTest, EveryEventIsOneEventOfTheStream) {
  const std::string bytes = line_event(line()) + delta_event({TurnId{1}, 2, 3, "a\r\nb"}) +
                            reset_event(TurnId{1}, 2) +
                            phase_event({TurnId{1}, MessageId{4}, TurnPhase::kAsking}) +
                            live_event(HistoryId{5}) + rewind_event(HistoryId{6});
  net::SseParser parser;
  std::vector<net::SseEvent> events;
  ASSERT_TRUE(parser.put(bytes, events));
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[0].event, "message");
  EXPECT_EQ(events[0].id, "12");
  EXPECT_EQ(events[1].event, "delta");
  EXPECT_EQ(events[1].data, R"({"turn":1,"attempt":2,"offset":3,"text":"a\r\nb"})");
  EXPECT_EQ(events[2].data, R"({"turn":1,"attempt":2})");
  EXPECT_EQ(events[3].data, R"({"turn":1,"message":4,"phase":"asking"})");
  EXPECT_EQ(events[4].event, "live");
  EXPECT_EQ(events[5].event, "rewind");
  EXPECT_EQ(events[5].id, "12") << "what is not a line moves no reader on";
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
