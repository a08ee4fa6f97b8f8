#include "ctl/commands.h"

#include <filesystem>
#include <fstream>
#include <set>

#include <sys/stat.h>

#include "ctl/ctl_fixture.h"

namespace sluice::ctl::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string problem(std::string_view detail) {
  return fmt::format(R"({{"type":"urn:sluice:problem:x","title":"No","status":404,"detail":"{}"}})",
                     detail);
}

TEST_F(CtlTest, NamesAndHelpAreComplete) {
  std::set<std::string_view> names;
  for (const CommandSpec& command : commands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_FALSE(command.help.empty()) << command.name;
    for (const ArgSpec& arg : command.args) {
      EXPECT_FALSE(arg.help.empty()) << command.name << arg.name;
      EXPECT_EQ(arg.kind == ArgSpec::Kind::kFlag, arg.value.empty()) << command.name << arg.name;
    }
  }
}

TEST_F(CtlTest, AMissingDaemonIsNamedWithWhatToDo) {
  daemon_->stop();
  EXPECT_EQ(run("status"), kUnreachable);
  EXPECT_THAT(err(), HasSubstr("no daemon answers at " + socket()));
  EXPECT_THAT(err(), HasSubstr("start one with: sluice run"));
  EXPECT_EQ(out(), "");
}

TEST_F(CtlTest, AMissingArgumentIsUsage) {
  EXPECT_EQ(run("messages show"), kUsage);
  EXPECT_THAT(err(), HasSubstr("sluice messages show: ID is missing"));
  EXPECT_EQ(run("erase", {"account=cli", "yes"}), kUsage);
  EXPECT_THAT(err(), HasSubstr("--person is missing"));
}

TEST_F(CtlTest, AMalformedIdIsUsage) {
  EXPECT_EQ(run("messages show", {"id=../status"}), kUsage);
  EXPECT_EQ(run("dead show", {"id=-1"}), kUsage);
  EXPECT_EQ(run("stop-turn", {"conversation=main"}), kUsage);
  EXPECT_TRUE(daemon_->asked().empty());
}

TEST_F(CtlTest, AToolsTextsAreShownAndItsRefusalFails) {
  daemon_->answer(
      "POST /v1/admin/services/files/call", 200,
      R"({"result":{"content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}})");
  EXPECT_EQ(run("services call", {"service=files", "tool=read", "arguments={\"a\":1}"}), kDone);
  EXPECT_EQ(out(), "one\ntwo\n");
  EXPECT_THAT(daemon_->asked().back(), HasSubstr(R"("arguments":"{\"a\":1}")"));
  daemon_->answer("POST /v1/admin/services/files/call", 200,
                  R"({"result":{"isError":true,"content":[{"type":"text","text":"no"}]}})");
  EXPECT_EQ(run("services call", {"service=files", "tool=read"}), kFailed);
  daemon_->answer("POST /v1/admin/services/files/call", 200, R"({"result":{"sum":3}})");
  EXPECT_EQ(run("services call", {"service=files", "tool=read", "timeout=90s"}), kDone);
  EXPECT_THAT(out(), HasSubstr(R"({"sum":3})"));
  EXPECT_THAT(daemon_->asked().back(), HasSubstr(R"("timeout_ms":90000)"));
  EXPECT_EQ(run("services call", {"service=files", "tool=read", "timeout=soon"}), kUsage);
}

TEST_F(CtlTest, ServicesAreATable) {
  daemon_->answer("GET /v1/admin/services", 200,
                  R"({"services":[{"name":"files","kind":"process","from":"configuration",
                      "status":"running","in_status_ms":1500,"process":42,"tools":["a","b"],"calls":0,"losses":1,"last_error":""}]})");
  EXPECT_EQ(run("services list"), kDone);
  EXPECT_THAT(out(), HasSubstr("files    process  configuration  running  1.5s   42       2"));
}

TEST_F(CtlTest, JsonIsTheDaemonsAnswerInOneLine) {
  options_.json = true;
  daemon_->answer("GET /v1/admin/status", 200, R"({"version":"1","accounts":[]})");
  EXPECT_EQ(run("status"), kDone);
  EXPECT_EQ(out(), "{\"version\":\"1\",\"accounts\":[]}\n");
}

TEST_F(CtlTest, SearchEncodesItsOptions) {
  run("messages", {"account=a b", "person=x&y", "limit=3"});
  EXPECT_THAT(daemon_->asked(),
              ElementsAre("GET /v1/admin/messages?account=a%20b&sender=x%26y&limit=3"));
}

TEST_F(CtlTest, TheDaemonsRefusalIsASentence) {
  daemon_->answer("GET /v1/admin/messages/9", 404, problem("no message has the id 9"));
  EXPECT_EQ(run("messages show", {"id=9"}), kFailed);
  EXPECT_EQ(err(), "sluice: no message has the id 9\n");
}

TEST_F(CtlTest, WhatTheDaemonCallsInvalidIsUsage) {
  daemon_->answer("GET /v1/admin/messages?limit=0", 400,
                  problem("limit must be between 1 and 500"));
  EXPECT_EQ(run("messages", {"limit=0"}), kUsage);
}

TEST_F(CtlTest, RedriveTakesAnIdOrAll) {
  EXPECT_EQ(run("dead redrive"), kUsage);
  EXPECT_EQ(run("dead redrive", {"id=4", "all"}), kUsage);
  daemon_->answer("POST /v1/admin/dead/4/redrive", 200, R"({"id":4,"redriven":true})");
  EXPECT_EQ(run("dead redrive", {"id=4"}), kDone);
  EXPECT_EQ(out(), "redriven: 4\n");
}

TEST_F(CtlTest, RedriveAllTellsWhatFailed) {
  daemon_->answer("POST /v1/admin/dead/redrive", 200,
                  R"({"redriven":2,"failed":[{"id":9,"reason":"disk_full"}],"next":null})");
  EXPECT_EQ(run("dead redrive", {"all"}), kFailed);
  EXPECT_EQ(out(), "redriven: 2\n");
  EXPECT_EQ(err(), "sluice: 9: disk_full\n");
}

TEST_F(CtlTest, ATokenIsAloneOnStandardOutput) {
  daemon_->answer("POST /v1/admin/tokens", 200, R"({"id":"t1","name":"phone","token":"slc_x"})");
  EXPECT_EQ(run("token add", {"name=phone", "scope=all", "scope=metrics"}), kDone);
  EXPECT_EQ(out(), "slc_x\n");
  EXPECT_THAT(daemon_->asked(),
              ElementsAre(R"(POST /v1/admin/tokens {"name":"phone","scopes":["all","metrics"]})"));
}

TEST_F(CtlTest, AnOperatorsTokenIsOneFlag) {
  daemon_->answer("POST /v1/admin/tokens", 200, R"({"id":"t1","name":"ops","token":"slc_x"})");
  EXPECT_EQ(run("token add", {"name=ops", "admin"}), kDone);
  EXPECT_THAT(daemon_->asked(),
              ElementsAre(R"(POST /v1/admin/tokens {"name":"ops","scopes":["admin"]})"));
}

TEST_F(CtlTest, EraseWantsAYes) {
  EXPECT_EQ(run("erase", {"account=cli", "person=ann"}), kUsage);
  EXPECT_THAT(err(), HasSubstr("add --yes"));
  EXPECT_TRUE(daemon_->asked().empty());
  daemon_->answer("POST /v1/admin/people/erase", 200, R"({"erased":{"messages":2,"history":5}})");
  EXPECT_EQ(run("erase", {"account=cli", "person=ann", "yes", "stop"}), kDone);
  EXPECT_EQ(out(), "erased: messages 2, history 5\n");
  EXPECT_THAT(daemon_->asked(), Contains(HasSubstr(R"("stop":true)")));
  EXPECT_THAT(err(), HasSubstr("out of reach"));
}

TEST_F(CtlTest, BackupSendsAnAbsolutePath) {
  daemon_->answer("POST /v1/admin/backup", 200, R"({"path":"/x","bytes":2048})");
  EXPECT_EQ(run("backup", {"file=b.db"}), kDone);
  EXPECT_THAT(daemon_->asked(),
              Contains(HasSubstr((std::filesystem::current_path() / "b.db").string())));
  EXPECT_THAT(out(), HasSubstr("2.0 KiB"));
}

TEST_F(CtlTest, AccountNamesAreEncodedInPaths) {
  daemon_->answer("POST /v1/admin/accounts/a%2Fb/pause", 200, R"({"state":"paused"})");
  EXPECT_EQ(run("pause", {"account=a/b", "reason=lunch"}), kDone);
  EXPECT_THAT(daemon_->asked(),
              ElementsAre(R"(POST /v1/admin/accounts/a%2Fb/pause {"reason":"lunch"})"));
}

TEST_F(CtlTest, DoctorFailsIfACheckFails) {
  daemon_->answer(
      "GET /v1/admin/doctor", 200,
      R"({"ok":false,"checks":[{"name":"disk","state":"failed","detail":"full","hint":"free some"}]})");
  EXPECT_EQ(run_doctor(options_, false, console()), kFailed);
  EXPECT_THAT(out(), HasSubstr("failed   disk"));
  EXPECT_THAT(out(), HasSubstr("free some"));
}

TEST_F(CtlTest, DoctorIsSilentWhereThereIsNoDaemon) {
  daemon_->stop();
  EXPECT_EQ(run_doctor(options_, false, console()), kUnreachable);
  EXPECT_EQ(out() + err(), "");
}

TEST_F(CtlTest, AnExportThatBreaksOffLeavesNoFile) {
  // Two lines, but no word of how many there should be.
  daemon_->answer("GET /v1/admin/people/export?account=cli&person=ann", 200, "{}\n{}\n");
  EXPECT_EQ(run("export", {"account=cli", "person=ann", "out=" + dir_.file("ann.jsonl")}), kFailed);
  EXPECT_THAT(err(), HasSubstr("broke off"));
  EXPECT_FALSE(std::filesystem::exists(dir_.file("ann.jsonl")));
}

TEST_F(CtlTest, AnExportThatIsRefusedTellsWhy) {
  daemon_->answer("GET /v1/admin/people/export?account=cli&person=ann", 409, problem("wait"));
  EXPECT_EQ(run("export", {"account=cli", "person=ann", "out=" + dir_.file("ann.jsonl")}), kFailed);
  EXPECT_EQ(err(), "sluice: wait\n");
  EXPECT_FALSE(std::filesystem::exists(dir_.file("ann.jsonl")));
}

TEST_F(CtlTest, AnExportDoesNotOverwrite) {
  std::ofstream(dir_.file("there")) << "mine";
  EXPECT_EQ(run("export", {"account=cli", "person=ann", "out=" + dir_.file("there")}), kFailed);
  EXPECT_TRUE(daemon_->asked().empty());
  EXPECT_TRUE(std::filesystem::exists(dir_.file("there")));
}

TEST_F(CtlTest, ADaemonThatAnswersNonsenseDoesNotHarm) {
  daemon_->answer("GET /v1/admin/status", 200, "\x1b[31mnot json");
  EXPECT_EQ(run("status"), kDone);
  EXPECT_THAT(out(), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace sluice::ctl::test
