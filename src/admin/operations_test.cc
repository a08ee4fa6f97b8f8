#include "admin/operations.h"

#include "admin/admin_fixture.h"

namespace sluice::admin::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

FoundMessage found(std::int64_t id) {
  FoundMessage message;
  message.id = MessageId{id};
  message.lane = LaneId{1};
  message.account = "cli";
  message.chat = "main";
  message.accepted_at = UnixMillis{1'700'000'000'123};
  return message;
}

DeadLetter dead_message(std::int64_t id) {
  DeadLetter letter;
  letter.id = id;
  letter.lane = LaneId{1};
  letter.reason = "3 attempts failed";
  letter.at = UnixMillis{1'700'000'000'000};
  letter.message.emplace();
  letter.message->sender = "ann";
  letter.message->text = "the secret text";
  return letter;
}

HistoryRow line(std::int64_t id, HistoryKind kind, std::int64_t message, std::int64_t turn,
                std::string text) {
  HistoryRow row;
  row.id = HistoryId{id};
  row.kind = kind;
  row.message = MessageId{message};
  row.turn = TurnId{turn};
  row.text = std::move(text);
  return row;
}

TEST_F(AdminTest, StatusTellsAccountsAgentsAndRunningTurns) {
  status_.generation = 7;
  status_.accounts.push_back(
      {"cli", "cli", true, AccountState::kPaused, "lunch", UnixMillis{1}, 3, 4});
  status_.agents.push_back({"echo", "echo", 1, 32, "ok"});
  status_.running.push_back({TurnId{9}, LaneId{1}, "cli", "echo", 2, 1500});
  const json::object status = get("status").object();
  EXPECT_EQ(status.at("version"), "1.2.3-test");
  EXPECT_EQ(status.at("generation"), 7);
  EXPECT_EQ(status.at("started_at"), 1'700'000'000'000);
  EXPECT_EQ(status.at("accounts").at(0).at("state"), "paused");
  EXPECT_EQ(status.at("agents").at(0).at("health"), "ok");
  EXPECT_EQ(status.at("running").at(0).at("attempt"), 2);
}

TEST_F(AdminTest, StatusTellsThePhaseAndWhatIsInFlight) {
  hooks_.life = [] {
    Hooks::Life life;
    life.phase = "draining";
    life.by_work = {{"turn", 1}, {"socket", 2}};
    life.oldest = {{"turn", "req-1", 7, 1500}, {"socket", "r2", 0, 20}};
    return life;
  };
  const json::object status = get("status").object();
  EXPECT_EQ(status.at("phase"), "draining");
  EXPECT_EQ(status.at("under_way").at("socket"), 2);
  EXPECT_EQ(status.at("in_flight").at(0).at("request_id"), "req-1");
  EXPECT_EQ(status.at("in_flight").at(0).at("age_ms"), 1500);
  EXPECT_TRUE(status.at("in_flight").at(1).at("conversation").is_null());
}

TEST_F(AdminTest, DrainAndShutdownReachTheDaemon) {
  hooks_.drain = [this](bool drained) -> Result<void> {
    done_.emplace_back(drained ? "drain" : "undo");
    return {};
  };
  hooks_.shutdown = [this] {
    done_.emplace_back("shutdown");
    return true;
  };
  EXPECT_EQ(post("drain").object().at("drained"), true);
  EXPECT_EQ(post("drain", R"({"undo":true})").object().at("drained"), false);
  EXPECT_EQ(post("shutdown").object().at("stopping"), true);
  EXPECT_THAT(done_, ElementsAre("drain", "undo", "shutdown"));
}

Task<Result<void>> at_once() { co_return Result<void>(); }

TEST_F(AdminTest, ARestartTellsWhichGenerationItBeginsIn) {
  status_.generation = 7;
  hooks_.restart = [this](bool queue) {
    done_.emplace_back(queue ? "in turn" : "now");
    return at_once();
  };
  EXPECT_EQ(post("restart").object().at("generation"), 7);
  EXPECT_EQ(post("restart", R"({"queue":true})").object().at("restarting"), true);
  EXPECT_THAT(done_, ElementsAre("now", "in turn"));
}

TEST_F(AdminTest, StatusTellsOfTheConfigurationAndOfTheLastReload) {
  hooks_.life = [] {
    Hooks::Life life;
    life.config_path = "/etc/sluice/sluice.toml";
    life.config_read_at = UnixMillis{1'700'000'000'000};
    life.needs_restart = {"store.dir"};
    life.reload_problems = {"sluice.toml:4:1: unknown key"};
    return life;
  };
  const json::object config = get("status").object().at("config").as_object();
  EXPECT_EQ(config.at("path"), "/etc/sluice/sluice.toml");
  EXPECT_EQ(config.at("read_at"), 1'700'000'000'000);
  EXPECT_EQ(config.at("needs_restart").at(0), "store.dir");
  EXPECT_TRUE(config.at("refused_at").is_null());
  EXPECT_EQ(config.at("problems").at(0), "sluice.toml:4:1: unknown key");
}

TEST_F(AdminTest, ReloadTellsWhatCameOfIt) {
  hooks_.reload = []() -> Task<Hooks::Reload> {
    co_return Hooks::Reload{true, {}, {"log.level"}, {"store.dir"}, {}};
  };
  const json::object done = post("reload").object();
  EXPECT_EQ(done.at("applied"), true);
  EXPECT_EQ(done.at("changed").at(0), "log.level");
  EXPECT_EQ(done.at("needs_restart").at(0), "store.dir");
  EXPECT_TRUE(done.at("failed").as_array().empty());
}

TEST_F(AdminTest, DoctorTellsWhatIsWrongAndWhatToDo) {
  status_.accepting = false;
  status_.disk_low = true;
  status_.clock = "ahead";
  status_.agents.push_back({"model", "webhook", 0, 32, "unavailable: refused"});
  status_.accounts.push_back(
      {"bot", "hook", true, AccountState::kParked, "401", UnixMillis{1}, 0, 0});
  const json::object doctor = get("doctor").object();
  EXPECT_EQ(doctor.at("ok"), false);
  const std::string text = json::serialize(doctor);
  EXPECT_THAT(text, HasSubstr("the disk is nearly full"));
  EXPECT_THAT(text, HasSubstr("sluice clock accept"));
  EXPECT_THAT(text, HasSubstr("sluice resume bot"));
  EXPECT_THAT(text, HasSubstr("unavailable: refused"));
}

Task<std::vector<Check>> deep_check(bool deep) {
  std::vector<Check> checks;
  if (deep) checks.push_back({"integrity", Check::State::kOk, "sound", ""});
  co_return checks;
}

TEST_F(AdminTest, DoctorReadsTheWholeStoreOnlyIfAsked) {
  status_.accepting = true;
  status_.clock = "good";
  hooks_.checks = [](bool deep) { return deep_check(deep); };
  EXPECT_THAT(get("doctor").body, testing::Not(HasSubstr("integrity")));
  EXPECT_THAT(get("doctor?deep=true").body, HasSubstr("integrity"));
  EXPECT_EQ(get("doctor").object().at("ok"), true);
}

TEST_F(AdminTest, MetricsAreText) {
  metrics_.counter("sluice_test_total", "A test.").add(3);
  const Reply reply = get("metrics");
  EXPECT_THAT(reply.body, HasSubstr("sluice_test_total 3"));
  EXPECT_THAT(std::string(reply.headers.get("Content-Type").value_or("")), HasSubstr("text/plain"));
}

TEST_F(AdminTest, TheListNamesEveryOperationWithItsWords) {
  const json::object list = get("operations").object();
  for (const json::value& operation : list.at("operations").as_array()) {
    EXPECT_FALSE(operation.at("doc").as_string().empty()) << operation.at("name");
    for (const json::value& param : operation.at("params").as_array()) {
      EXPECT_FALSE(param.at("doc").as_string().empty()) << operation.at("name") << param.at("name");
    }
  }
}

TEST_F(AdminTest, SearchHandsTheFilterOn) {
  const Reply reply = get("messages?account=cli&sender=ann&outcome=expired&limit=7&before=90");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const MessageFilter& filter = store_->reader.asked;
  EXPECT_EQ(filter.account, "cli");
  EXPECT_EQ(filter.sender, "ann");
  EXPECT_EQ(filter.outcome, MessageOutcome::kExpired);
  EXPECT_EQ(filter.limit, 7u);
  EXPECT_EQ(filter.before.value, 90);
}

TEST_F(AdminTest, SearchPagesWithACursor) {
  for (std::int64_t id = 5; id > 0; --id) store_->reader.matches.push_back(found(id));
  const json::object first = get("messages?limit=3").object();
  EXPECT_EQ(first.at("messages").as_array().size(), 3u);
  EXPECT_EQ(first.at("next"), 3);
  const json::object second = get("messages?limit=3&before=3").object();
  EXPECT_EQ(second.at("messages").as_array().size(), 2u);
  EXPECT_TRUE(second.at("next").is_null());
  EXPECT_EQ(second.at("messages").at(0).at("accepted_at"), 1'700'000'000'123);
}

TEST_F(AdminTest, SearchRefusesAnOutcomeThatDoesNotExist) {
  const Reply reply = get("messages?outcome=lost");
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.detail(), HasSubstr("outcome"));
}

TEST_F(AdminTest, ShowTellsAMessagesWholeLife) {
  MessageLife life;
  life.lane = LaneId{1};
  life.end = {MessageId{10},
              MessageOutcome::kAnswered,
              "",
              TurnId{11},
              2,
              HistoryId{20},
              UnixMillis{1'000},
              UnixMillis{1'500},
              UnixMillis{4'000}};
  MessageLife::Part part;
  part.row.id = PartId{30};
  part.row.committed_at = UnixMillis{4'000};
  part.settled = PartSettlement{};
  part.settled->outcome = PartOutcome::kSent;
  part.settled->platform_id = "p-1";
  part.settled->at = UnixMillis{4'100};
  life.parts.push_back(part);
  store_->reader.lives[10] = life;
  store_->reader.conversations[1].account = "cli";
  store_->reader.lines = {line(19, HistoryKind::kAgent, 0, 9, "before"),
                          line(20, HistoryKind::kPerson, 10, 11, "question"),
                          line(21, HistoryKind::kAgent, 0, 11, "answer"),
                          line(22, HistoryKind::kPerson, 12, 13, "another")};
  const json::object shown = get("messages/10").object();
  EXPECT_EQ(shown.at("outcome"), "answered");
  EXPECT_EQ(shown.at("waited_ms"), 500);
  EXPECT_EQ(shown.at("ran_ms"), 2500);
  EXPECT_EQ(shown.at("attempts"), 2);
  EXPECT_EQ(shown.at("conversation").at("account"), "cli");
  EXPECT_EQ(shown.at("parts").at(0).at("platform_id"), "p-1");
  ASSERT_EQ(shown.at("lines").as_array().size(), 2u);
  EXPECT_EQ(shown.at("lines").at(0).at("text"), "question");
  EXPECT_EQ(shown.at("lines").at(1).at("text"), "answer");
}

TEST_F(AdminTest, ShowFindsTheOwnLineOfAMessageFarBackInItsConversation) {
  MessageLife life;
  life.lane = LaneId{1};
  life.end.id = MessageId{10};
  life.end.history = HistoryId{20};
  store_->reader.lives[10] = life;
  store_->reader.lines = {line(20, HistoryKind::kPerson, 10, 11, "question")};
  for (std::int64_t id = 21; id < 21 + 2 * static_cast<std::int64_t>(kLifeLines); ++id) {
    store_->reader.lines.push_back(line(id, HistoryKind::kAgent, 0, 99, "later"));
  }
  const json::object shown = get("messages/10").object();
  ASSERT_EQ(shown.at("lines").as_array().size(), 1u);
  EXPECT_EQ(shown.at("lines").at(0).at("text"), "question");
}

TEST_F(AdminTest, ShowOfAPendingMessageHasNoOutcome) {
  MessageLife life;
  life.pending = true;
  life.end.id = MessageId{10};
  life.row.emplace().text = "waiting";
  store_->reader.lives[10] = life;
  const json::object shown = get("messages/10").object();
  EXPECT_TRUE(shown.at("outcome").is_null());
  EXPECT_TRUE(shown.at("ended_at").is_null());
  EXPECT_EQ(shown.at("text"), "waiting");
}

TEST_F(AdminTest, ShowOfAnUnknownMessageIsNotFound) {
  const Reply reply = get("messages/404");
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.detail(), "no message has the id 404");
  EXPECT_EQ(reply.object().at("type"), "urn:sluice:problem:not-found");
}

TEST_F(AdminTest, DeadListKeepsTheTextToItself) {
  store_->reader.dead[4] = dead_message(4);
  const Reply list = get("dead");
  EXPECT_THAT(list.body, testing::Not(HasSubstr("secret")));
  EXPECT_EQ(list.object().at("dead").at(0).at("reason"), "3 attempts failed");
  EXPECT_EQ(get("dead/4").object().at("text"), "the secret text");
}

TEST_F(AdminTest, RedriveAndDiscardReachTheGateway) {
  EXPECT_EQ(post("dead/4/redrive").status, 200);
  EXPECT_EQ(post("dead/5/discard").status, 200);
  EXPECT_THAT(done_, ElementsAre("redrive 4", "discard 5"));
}

TEST_F(AdminTest, RedriveAllTakesTheOldestFirst) {
  for (std::int64_t id : {4, 6, 8}) store_->reader.dead[id] = dead_message(id);
  const json::object answer = post("dead/redrive").object();
  EXPECT_EQ(answer.at("redriven"), 3);
  EXPECT_TRUE(answer.at("next").is_null());
  EXPECT_THAT(done_, ElementsAre("redrive 4", "redrive 6", "redrive 8"));
}

TEST_F(AdminTest, RedriveAllTellsWhatFailedAndGoesOn) {
  for (std::int64_t id : {4, 6}) store_->reader.dead[id] = dead_message(id);
  refuse_ = Error(ErrorKind::kDiskFull, "no room");
  const json::object answer = post("dead/redrive").object();
  EXPECT_EQ(answer.at("redriven"), 0);
  EXPECT_EQ(answer.at("failed").as_array().size(), 2u);
  EXPECT_EQ(answer.at("failed").at(0).at("id"), 4);
}

TEST_F(AdminTest, PauseKeepsTheReason) {
  EXPECT_EQ(post("accounts/bot/pause", R"({"reason":"lunch"})").status, 200);
  EXPECT_EQ(post("accounts/bot/resume").status, 200);
  EXPECT_THAT(done_, ElementsAre("pause bot: lunch", "resume bot"));
}

TEST_F(AdminTest, AGatewaysErrorBecomesAProblem) {
  refuse_ = Error(ErrorKind::kNotFound, "no account named \"x\"");
  const Reply reply = post("accounts/x/pause");
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.detail(), "no account named \"x\"");
}

TEST_F(AdminTest, ConversationStopAndClockAcceptReachTheGateway) {
  EXPECT_EQ(post("conversations/3/stop").status, 200);
  EXPECT_EQ(post("clock/accept").status, 200);
  EXPECT_THAT(done_, ElementsAre("stop 3", "accept_clock"));
}

TEST_F(AdminTest, WhatHasNoHookIsUnsupported) {
  EXPECT_EQ(post("backup", R"({"path":"/x"})").status, 501);
  EXPECT_EQ(get("tokens").status, 501);
  EXPECT_EQ(get("people/export?account=cli&person=ann").status, 501);
}

}  // namespace
}  // namespace sluice::admin::test
