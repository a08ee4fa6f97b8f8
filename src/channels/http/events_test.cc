#include "channels/http/events.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "net/sse.h"

namespace sluice::http {
namespace {

std::vector<StreamEvent> all_events() {
  HistoryRow line;
  line.id = HistoryId{12};
  line.text = "two\nlines";
  return {line_event(line),
          delta_event({TurnId{1}, 2, 3, "a\r\nb"}),
          html_event(TurnId{1}, 2, {3, {"<p>\"a\"</p>\n", "<hr />"}}),
          reset_event(TurnId{1}, 2),
          phase_event({TurnId{1}, MessageId{4}, TurnPhase::kAsking}),
          live_event(HistoryId{5}),
          rewind_event(HistoryId{6})};
}

TEST(HttpEventsTest, EveryEventIsOneEventOfTheStream) {
  net::SseParser parser;
  std::vector<net::SseEvent> events;
  ASSERT_TRUE(parser.put(to_sse(all_events()), events));
  ASSERT_EQ(events.size(), 7u);
  EXPECT_EQ(events[0].event, "message");
  EXPECT_EQ(events[0].id, "12");
  EXPECT_EQ(events[1].event, "delta");
  EXPECT_EQ(events[1].data, R"({"turn":1,"attempt":2,"offset":3,"text":"a\r\nb"})");
  EXPECT_EQ(events[2].data,
            R"({"turn":1,"attempt":2,"from":3,"blocks":["<p>\"a\"</p>\n","<hr />"]})");
  EXPECT_EQ(events[3].data, R"({"turn":1,"attempt":2})");
  EXPECT_EQ(events[4].data, R"({"turn":1,"message":4,"phase":"asking"})");
  EXPECT_EQ(events[5].event, "live");
  EXPECT_EQ(events[6].event, "rewind");
  EXPECT_EQ(events[6].id, "12") << "what is not a line moves no reader on";
}

TEST(HttpEventsTest, AFrameHasTheSameEvents) {
  const std::vector<StreamEvent> events = all_events();
  const boost::json::value frame = boost::json::parse(to_frame(events));
  ASSERT_EQ(frame.as_array().size(), events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(frame.at(i).at("event").as_string(), events[i].name);
    EXPECT_EQ(frame.at(i).at("data"), boost::json::parse(events[i].data));
  }
}

}  // namespace
}  // namespace sluice::http
