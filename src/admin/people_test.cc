#include "admin/admin_fixture.h"

namespace sluice::admin::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Task<Result<Counts>> erased(std::vector<std::string>* done, std::string person) {
  done->push_back("erase " + person);
  co_return Counts{{"messages", 2}, {"history", 5}};
}

Task<Result<void>> two_lines(std::function<bool(std::string_view)> line) {
  if (line(R"({"text":"one"})")) line(R"({"text":"two"})");
  co_return Result<void>();
}

Task<Result<void>> many_lines(std::function<bool(std::string_view)> line) {
  for (int i = 0; i < 20'000 && line(R"({"text":"a line of some length, again and again"})"); ++i) {
  }
  co_return Result<void>();
}

Task<Result<void>> failing() { co_return Error(ErrorKind::kTimeout, "the store is busy"); }

Task<Result<NewToken>> new_token(std::string name, std::vector<std::string> scopes) {
  co_return NewToken{{"t1", std::move(name), std::move(scopes), UnixMillis{1'000}, UnixMillis{}},
                     "slc_secret"};
}
Task<Result<std::vector<TokenInfo>>> one_token() {
  co_return std::vector<TokenInfo>{{"t1", "phone", {"all"}, UnixMillis{1'000}, UnixMillis{}}};
}
Task<Result<void>> revoked(std::vector<std::string>* done, std::string id) {
  done->push_back("revoke " + id);
  co_return Result<void>();
}
Task<Result<Hooks::Backup>> backed_up(std::string path) {
  co_return Hooks::Backup{path, 4096, "", 0};
}

class PeopleTest : public AdminTest {
 protected:
  PeopleTest() {
    hooks_.erase_person = [this](std::string, std::string person) {
      return erased(&done_, person);
    };
  }
};

TEST_F(PeopleTest, EraseTellsWhatWasRemoved) {
  const json::object answer = post("people/erase", R"({"account":"cli","person":"ann"})").object();
  EXPECT_EQ(answer.at("erased").at("history"), 5);
  EXPECT_THAT(done_, ElementsAre("hold ann", "erase ann", "let go ann"));
}

TEST_F(PeopleTest, EraseWaitsUntilThePersonHasNothingPending) {
  active_["ann"] = 2;
  EXPECT_EQ(post("people/erase", R"({"account":"cli","person":"ann"})").status, 200);
  EXPECT_THAT(done_, ElementsAre("hold ann", "erase ann", "let go ann"));
}

TEST_F(PeopleTest, EraseStopsWhatRunsIfAsked) {
  active_["ann"] = 1'000'000;
  FoundMessage pending;
  pending.id = MessageId{5};
  pending.lane = LaneId{3};
  store_->reader.matches.push_back(pending);
  const Reply reply = post("people/erase", R"({"account":"cli","person":"ann","stop":true})");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_THAT(done_, ElementsAre("hold ann", "stop 3", "erase ann", "let go ann"));
  EXPECT_TRUE(store_->reader.asked.pending_only);
}

TEST_F(PeopleTest, EraseNeedsAccountAndPerson) {
  EXPECT_EQ(post("people/erase", R"({"account":"cli"})").status, 400);
  EXPECT_TRUE(done_.empty());
}

TEST_F(PeopleTest, ExportSendsEveryLineAndTheirNumber) {
  hooks_.export_person = [](std::string, std::string, std::function<bool(std::string_view)> line) {
    return two_lines(std::move(line));
  };
  const Reply reply = get("people/export?account=cli&person=ann");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.body, "{\"text\":\"one\"}\n{\"text\":\"two\"}\n");
  EXPECT_EQ(reply.headers.get("Sluice-Lines"), "2");
}

TEST_F(PeopleTest, ExportSendsMoreThanOnePiece) {
  hooks_.export_person = [](std::string, std::string, std::function<bool(std::string_view)> line) {
    return many_lines(std::move(line));
  };
  const Reply reply = get("people/export?account=cli&person=ann");
  EXPECT_EQ(std::count(reply.body.begin(), reply.body.end(), '\n'), 20'000);
}

TEST_F(PeopleTest, ExportLeavesNoFile) {
  hooks_.export_person = [](std::string, std::string, std::function<bool(std::string_view)> line) {
    return two_lines(std::move(line));
  };
  EXPECT_EQ(get("people/export?account=cli&person=ann").status, 200);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir_.file(""))) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, ElementsAre("run"));
}

TEST_F(PeopleTest, ExportThatFailsSendsNothing) {
  hooks_.export_person = [](std::string, std::string, std::function<bool(std::string_view)>) {
    return failing();
  };
  const Reply reply = get("people/export?account=cli&person=ann");
  EXPECT_EQ(reply.status, 504);
  EXPECT_EQ(reply.detail(), "the store is busy");
}

TEST_F(AdminTest, TokensAreAddedListedAndRevoked) {
  hooks_.token_add = [](std::string name, std::vector<std::string> scopes) {
    return new_token(std::move(name), std::move(scopes));
  };
  hooks_.token_list = [] { return one_token(); };
  hooks_.token_revoke = [this](std::string id) { return revoked(&done_, std::move(id)); };
  const json::object made = post("tokens", R"({"name":"phone","scopes":["all"]})").object();
  EXPECT_EQ(made.at("token"), "slc_secret");
  const Reply list = get("tokens");
  EXPECT_THAT(list.body, testing::Not(HasSubstr("slc_secret")));
  EXPECT_EQ(list.object().at("tokens").at(0).at("name"), "phone");
  EXPECT_EQ(ask("DELETE", "tokens/t1", "").status, 200);
  EXPECT_THAT(done_, ElementsAre("revoke t1"));
}

TEST_F(AdminTest, BackupWantsAnAbsolutePath) {
  hooks_.backup = [](std::string path) { return backed_up(std::move(path)); };
  EXPECT_EQ(post("backup", R"({"path":"here.db"})").status, 400);
  EXPECT_EQ(post("backup", R"({"path":"/tmp/here.db"})").object().at("bytes"), 4096);
}

TEST_F(AdminTest, TheLogTellsWhoChangedSomethingButNotWhat) {
  EXPECT_EQ(post("accounts/bot/pause", R"({"reason":"private words"})").status, 200);
  EXPECT_EQ(get("status").status, 200);
  EXPECT_EQ(log_.count("operator_request"), 1u);
  EXPECT_THAT(log_.last("operator_request"), HasSubstr("account.pause"));
  EXPECT_THAT(log_.last("operator_request"), testing::Not(HasSubstr("private words")));
}

}  // namespace
}  // namespace sluice::admin::test
