#include "ctl/render.h"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/console.h"

namespace sluice::ctl {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

TEST(RenderTest, TableAlignsItsColumns) {
  EXPECT_EQ(table({"ID", "NAME"}, {{"1", "é"}, {"1000", "b"}}), "ID    NAME\n1     é\n1000  b\n");
}

TEST(RenderTest, TableCutsLongCellsAndMarksEmptyOnes) {
  const std::string shown = table({"A", "B"}, {{std::string(100, 'x'), ""}});
  EXPECT_THAT(shown, HasSubstr(std::string(59, 'x') + "…  -\n"));
}

TEST(RenderTest, TimesAreUtc) {
  EXPECT_EQ(time_text(1'700'000'000'123), "2023-11-14 22:13:20Z");
  EXPECT_EQ(time_text(0), "-");
}

TEST(RenderTest, DurationsAndSizesAreShort) {
  EXPECT_EQ(took_text(250), "250ms");
  EXPECT_EQ(took_text(1'540), "1.5s");
  EXPECT_EQ(took_text(123'000), "2m 3s");
  EXPECT_EQ(took_text(7'380'000), "2h 3m");
  EXPECT_EQ(took_text(180'000'000), "2d 2h");
  EXPECT_EQ(size_text(1'023), "1023 B");
  EXPECT_EQ(size_text(1'258'291), "1.2 MiB");
  EXPECT_EQ(size_text(3'221'225'472), "3.0 GiB");
}

TEST(RenderTest, StatusShowsAccountsAndRunningTurns) {
  const json::value status = json::parse(R"({"version":"0.1.0","now":61000,"started_at":1000,
    "accepting":true,"clock":"good","pending":2,"pending_bytes":2048,"accounts":[
    {"name":"bot","kind":"hook","registered":true,"state":"parked","pending":2,"outbox":1,"reason":"401"}],
    "agents":[{"name":"echo","kind":"echo","running":1,"max":32,"health":"ok"}],
    "running":[{"turn":9,"conversation":4,"account":"bot","agent":"echo","attempt":2,"running_ms":1500}]})");
  const std::string page = status_page(status);
  EXPECT_THAT(page, HasSubstr("up             1m 0s"));
  EXPECT_THAT(page, HasSubstr("pending        2 (2.0 KiB)"));
  EXPECT_THAT(page, HasSubstr("bot      hook  parked  2        1       401"));
  EXPECT_THAT(page, HasSubstr("echo   echo  1/32     ok"));
  EXPECT_THAT(page, HasSubstr("9     4             bot      echo   2        1.5s"));
}

TEST(RenderTest, StatusShowsWhatIsWrongWithTheConfiguration) {
  const json::value status = json::parse(R"({"config":{"path":"/etc/sluice.toml","read_at":60000,
    "needs_restart":["store.dir"],"refused_at":120000,"problems":["/etc/sluice.toml:3:1: no"]}})");
  EXPECT_THAT(status_page(status),
              HasSubstr("config         /etc/sluice.toml, read 1970-01-01 00:01:00Z\n"
                        "needs restart  store.dir\n"
                        "reload refused 1970-01-01 00:02:00Z\n"
                        "               /etc/sluice.toml:3:1: no\n"));
  const json::value good = json::parse(R"({"config":{"path":"/etc/sluice.toml","read_at":60000,
    "needs_restart":[],"refused_at":null,"problems":[]}})");
  EXPECT_THAT(status_page(good), Not(HasSubstr("reload")));
}

TEST(RenderTest, ReloadShowsWhatCameOfIt) {
  EXPECT_EQ(reload_page(json::parse(R"({"applied":true,"problems":[],"changed":["log.level"],
    "needs_restart":["store.dir"],"failed":["[channels.a] is in use"]})")),
            "changed: log.level\nfailed: [channels.a] is in use\nneeds a restart: store.dir\n");
  EXPECT_EQ(reload_page(json::parse(R"({"applied":true,"changed":[]})")), "nothing has changed\n");
  EXPECT_EQ(reload_page(json::parse(R"({"applied":false,"problems":["a.toml:1:2: \u001b[1mno"]})")),
            "a.toml:1:2: " + safe_line("\x1b[1mno") + "\nnothing was changed\n");
}

TEST(RenderTest, MessageShowsItsLifeInOrder) {
  const json::value message = json::parse(R"({"id":10,"pending":false,"outcome":"answered",
    "conversation":{"id":1,"account":"cli","chat":"me/main"},"turn":11,"attempts":2,
    "accepted_at":1000,"started_at":1500,"ended_at":4000,"waited_ms":500,"ran_ms":2500,
    "lines":[{"kind":"person","at":4000,"text":"two\nlines"},{"kind":"agent","at":4000,"text":"yes","cut":true}],
    "parts":[{"id":30,"kind":"reply","outcome":"sent","committed_at":4000,"settled_at":4100,"tries":1}]})");
  const std::string page = message_page(message);
  EXPECT_THAT(page, HasSubstr("started        1970-01-01 00:00:01Z (waited 500ms)"));
  EXPECT_THAT(page, HasSubstr("turn           11, 2 attempts\n"));
  EXPECT_THAT(page, HasSubstr("    two\n    lines\n"));
  EXPECT_THAT(page, HasSubstr("agent (cut off)\n    yes\n"));
  EXPECT_THAT(page, HasSubstr("sent"));
}

TEST(RenderTest, NothingOfAMessageReachesTheTerminalRaw) {
  const json::value message = {{"id", 1},
                               {"sender", "\x1b[31mred"},
                               {"text", "\x1b]0;owned\x07text"},
                               {"reason",
                                "\xc2\x9b"
                                "1m"}};
  EXPECT_THAT(message_page(message), Not(HasSubstr("\x1b")));
  EXPECT_THAT(message_page(message), Not(HasSubstr("\xc2\x9b")));
  const json::value page = {{"messages", {message}}, {"dead", {message}}};
  EXPECT_THAT(messages_page(page), Not(HasSubstr("\xc2\x9b")));
  EXPECT_THAT(dead_page(page), Not(HasSubstr("\xc2\x9b")));
  EXPECT_THAT(dead_letter_page(message), Not(HasSubstr("\x1b")));
}

TEST(RenderTest, ListsTellHowToGoOn) {
  const json::value page = json::parse(R"({"messages":[{"id":7,"pending":true}],"next":7})");
  EXPECT_THAT(messages_page(page), HasSubstr("more: sluice messages --before 7\n"));
  EXPECT_THAT(messages_page(page), HasSubstr("pending"));
}

TEST(RenderTest, EmptyListsSaySo) {
  EXPECT_EQ(messages_page(json::object{}), "no messages\n");
  EXPECT_EQ(dead_page(json::object{}), "no dead letters\n");
  EXPECT_EQ(tokens_page(json::object{}), "no tokens\n");
}

TEST(RenderTest, WhatHasAnUnexpectedShapeIsShownEmpty) {
  EXPECT_NO_THROW(status_page(json::parse(R"({"accounts":{"a":1},"pending":"x"})")));
  EXPECT_NO_THROW(message_page(json::parse(R"([1,2])")));
  EXPECT_NO_THROW(doctor_page(json::value(nullptr)));
}

}  // namespace
}  // namespace sluice::ctl
