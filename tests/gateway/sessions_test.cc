// What an agent sees of its conversation, and when a conversation begins anew.

#include "gateway/sessions.h"

#include "gateway/message_json.h"
#include "gateway/tokens.h"
#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

// 2027-01-15 08:00 UTC.
constexpr UnixMillis kMorning{1'800'000'000'000};

class SessionsTest : public GatewayTest {
 protected:
  std::vector<std::string> seen() {
    std::vector<std::string> texts;
    for (const HistoryRow& line : agents_.calls.back().request.history) texts.push_back(line.text);
    return texts;
  }
  std::string session() { return agents_.calls.back().request.session; }
  void ask(const std::string& text) {
    say("c", text);
    run_until_rest();
  }
};

TEST(SessionRulesTest, DayBeginsByThePersonsClock) {
  SessionRules rules;
  rules.daily = "04:00";
  rules.time_zone = "Europe/Berlin";
  // 02:30 and 03:30 UTC are 03:30 and 04:30 in Berlin's winter.
  const UnixMillis before{kMorning.ms - 330 * 60'000};
  const UnixMillis after{kMorning.ms - 270 * 60'000};
  EXPECT_TRUE(begins_session(rules, "", before, after));
  EXPECT_FALSE(begins_session(rules, "UTC", before, UnixMillis{before.ms + 60'000}));
  EXPECT_FALSE(begins_session(rules, "America/New_York", before, after));
}

TEST(SessionRulesTest, AnUnknownZoneIsTheAccounts) {
  EXPECT_FALSE(is_time_zone("Mars/Olympus"));
  EXPECT_FALSE(is_time_zone(""));
  EXPECT_TRUE(is_time_zone("Europe/Berlin"));
  SessionRules rules;
  rules.daily = "00:00";
  rules.time_zone = "Asia/Tokyo";
  const UnixMillis before_midnight{kMorning.ms + (15 * 60 - 8 * 60 - 1) * 60'000};
  const UnixMillis after_midnight{before_midnight.ms + 2 * 60'000};
  EXPECT_TRUE(begins_session(rules, "Mars/Olympus", before_midnight, after_midnight));
}

TEST(SessionRulesTest, TimeOfDayIsHoursAndMinutes) {
  EXPECT_EQ(parse_time_of_day("04:30"), minutes(270));
  for (const char* wrong : {"4:30", "24:00", "12:60", "noon", "", "12:3x", "-1:00"})
    EXPECT_FALSE(parse_time_of_day(wrong)) << wrong;
}

TEST(TokensTest, EstimateCountsFourLettersOrOneCharacterOfOtherScripts) {
  EXPECT_EQ(estimate_tokens(""), 0u);
  EXPECT_EQ(estimate_tokens("abcdefgh"), 2u);
  EXPECT_EQ(estimate_tokens("\xE4\xBD\xA0\xE5\xA5\xBD"), 2u);
}

TEST_F(SessionsTest, ASilenceBeginsANewSession) {
  bot().account.session.idle = hours(8);
  start();
  ask("good night");
  const std::string first = session();
  advance(hours(7));
  ask("still there");
  EXPECT_THAT(seen(), ElementsAre("good night", "re good night"));
  EXPECT_EQ(session(), first);
  advance(hours(9));
  ask("good morning");
  EXPECT_THAT(seen(), IsEmpty());
  EXPECT_NE(session(), first);
}

TEST_F(SessionsTest, NewSessionGoesOnAfterARestart) {
  bot().account.session.idle = hours(8);
  start();
  ask("one");
  advance(hours(9));
  ask("two");
  const std::string second = session();
  restart();
  ask("three");
  EXPECT_THAT(seen(), ElementsAre("two", "re two"));
  EXPECT_EQ(session(), second);
}

TEST_F(SessionsTest, EveryAttemptIsOfTheSameSession) {
  bot().account.session.idle = hours(1);
  start();
  ask("one");
  advance(hours(2));
  agent_does([](const TurnRequest& request) {
    return request.attempt == 1 ? Act::fails(ErrorKind::kUnavailable, Retry::with_backoff())
                                : Act{};
  });
  ask("two");
  ASSERT_THAT(agents_.calls, SizeIs(3));
  EXPECT_EQ(agents_.calls[1].request.session, agents_.calls[2].request.session);
  EXPECT_THAT(agents_.calls[2].request.history, IsEmpty());
}

TEST_F(SessionsTest, CommandsAreNoWordsThatKeepASessionAlive) {
  bot().account.session.idle = hours(8);
  start();
  ask("one");
  advance(hours(9));
  say("c", "/status");
  ask("two");
  EXPECT_THAT(seen(), IsEmpty());
}

TEST_F(SessionsTest, AgentThatSeesNoHistoryHasSessionsAllTheSame) {
  agents_.known.front().history_messages = 0;
  bot().account.session.idle = hours(8);
  start();
  ask("one");
  const std::string first = session();
  ask("two");
  EXPECT_EQ(session(), first);
  EXPECT_THAT(seen(), IsEmpty());
  advance(hours(9));
  ask("three");
  EXPECT_NE(session(), first);
}

TEST_F(SessionsTest, DayOfThePersonCounts) {
  bot().account.session.daily = "00:00";
  start();
  InboundMessage evening = message("c", "evening");
  evening.time_zone = "Asia/Tokyo";  // 17:00 there
  say(evening);
  run_until_rest();
  advance(hours(8));
  InboundMessage night = message("c", "night");  // 01:00 there, 16:00 UTC
  night.time_zone = "Asia/Tokyo";
  say(night);
  run_until_rest();
  EXPECT_THAT(seen(), IsEmpty());
}

TEST_F(SessionsTest, WindowIsBoundedByEstimatedTokens) {
  options_.history_tokens = 19;
  start();
  ask(std::string(60, 'a'));  // 15 tokens, and the answer 16
  ask("short");
  EXPECT_THAT(seen(), ElementsAre(StartsWith("re aaa")));
  ask("next");
  EXPECT_THAT(seen(), ElementsAre("short", "re short"));
}

TEST_F(SessionsTest, AgentsOwnBoundOfTokensIsTheSmallerOne) {
  agents_.known.front().history_tokens = 4;
  start();
  ask("hello");
  ask("again");
  EXPECT_THAT(seen(), ElementsAre("hello", "re hello"));
  ask("third");
  EXPECT_THAT(seen(), ElementsAre("again", "re again"));
}

// ---- summaries

class SummaryTest : public SessionsTest {
 protected:
  SummaryTest() {
    agents_.known.push_back(agent("scribe"));
    bot().account.summary_agent = "scribe";
    options_.history_messages = 4;
    agent_does([](const TurnRequest& request) {
      return request.text().starts_with("Summarise") ? Act::says("they spoke of numbers") : Act{};
    });
  }
  /// What the conversation's own agent saw at last.
  std::vector<std::string> seen_by_echo() {
    for (auto call = agents_.calls.rbegin(); call != agents_.calls.rend(); ++call) {
      if (call->agent != "echo") continue;
      std::vector<std::string> texts;
      for (const HistoryRow& line : call->request.history) texts.push_back(line.text);
      return texts;
    }
    return {};
  }
};

TEST_F(SummaryTest, StandsForWhatTheWindowNoLongerHolds) {
  start();
  for (const char* text : {"one", "two", "three", "four", "five"}) ask(text);
  const std::vector<std::string> texts = seen_by_echo();
  ASSERT_FALSE(texts.empty());
  EXPECT_THAT(texts.front(), HasSubstr("they spoke of numbers"));
  EXPECT_EQ(texts.back(), "re four");
}

TEST_F(SummaryTest, IsSeenAgainAfterARestart) {
  start();
  for (const char* text : {"one", "two", "three", "four"}) ask(text);
  restart();
  ask("five");
  EXPECT_THAT(seen_by_echo().front(), HasSubstr("they spoke of numbers"));
}

TEST_F(SummaryTest, IsOfItsSession) {
  start();
  for (const char* text : {"one", "two", "three", "four"}) ask(text);
  say("c", "/new");
  ask("five");
  EXPECT_THAT(seen_by_echo(), IsEmpty());
}

TEST_F(SummaryTest, FailureLeavesTheWindowAsItIs) {
  agent_does([](const TurnRequest& request) {
    return request.text().starts_with("Summarise") ? Act::fails(ErrorKind::kUnavailable) : Act{};
  });
  start();
  for (const char* text : {"one", "two", "three", "four"}) ask(text);
  EXPECT_THAT(seen_by_echo(), ElementsAre("two", "re two", "three", "re three"));
}

TEST_F(SummaryTest, SlowOneHoldsUpNobody) {
  agent_does([](const TurnRequest& request) {
    return request.text().starts_with("Summarise") ? Act::slow(minutes(1)) : Act{};
  });
  start();
  for (const char* text : {"one", "two", "three", "four", "five"}) ask(text);
  EXPECT_THAT(bot().taken().back(), "re five");
  advance(minutes(2));
}

// ---- budgets

class BudgetTest : public GatewayTest {
 protected:
  static Act costs(std::uint64_t tokens) {
    Act act;
    AgentReply reply;
    reply.text = "dear";
    reply.usage = {tokens / 2, tokens - tokens / 2};
    act.result = reply;
    return act;
  }
};

TEST_F(BudgetTest, TurnsOfADayAreBounded) {
  bot().account.turns_per_day = 2;
  start();
  say("c", "one");
  say("d", "two");
  run_until_rest();
  const Accepted third = say("e", "three");
  run_until_rest();
  EXPECT_EQ(outcome(third.id), MessageOutcome::kFailed);
  EXPECT_THAT(bot().taken("e"), ElementsAre(HasSubstr("limit of turns")));
  say("e", "of another", "bob");
  run_until_rest();
  EXPECT_THAT(bot().taken("e").back(), "re of another");
  EXPECT_EQ(metric("sluice_over_budget_total"), 1);
}

TEST_F(BudgetTest, TokensOfADayAreBounded) {
  bot().account.tokens_per_day = 100;
  agent_does([](const TurnRequest&) { return costs(60); });
  start();
  for (int i = 0; i < 3; ++i) {
    say("c", "x");
    run_until_rest();
  }
  EXPECT_THAT(agents_.calls, SizeIs(2));
  EXPECT_THAT(bot().taken().back(), HasSubstr("limit of tokens"));
}

TEST_F(BudgetTest, WhatWasUsedOutlivesTheProcess) {
  bot().account.turns_per_day = 1;
  start();
  say("c", "one");
  run_until_rest();
  restart();
  say("c", "two");
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(BudgetTest, NextDayIsANewOne) {
  bot().account.turns_per_day = 1;
  start();
  say("c", "one");
  run_until_rest();
  advance(hours(24));
  say("c", "two");
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(2));
}

TEST_F(BudgetTest, RetriesOfATurnAreOneTurn) {
  bot().account.turns_per_day = 1;
  agent_does([](const TurnRequest& request) {
    return request.attempt == 1 ? Act::fails(ErrorKind::kUnavailable, Retry::with_backoff())
                                : Act{};
  });
  start();
  const Accepted asked = say("c", "one");
  run_until_rest();
  EXPECT_EQ(outcome(asked.id), MessageOutcome::kAnswered);
}

}  // namespace
}  // namespace sluice::test
