#include "services/registry.h"

#include <gmock/gmock.h>

#include "services/services_fixture.h"

namespace sluice::services {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace json = boost::json;

constexpr std::string_view kToken = "the token of the registry";

class RegistryTest : public ServicesTest {
 protected:
  RegistryTest() { make(); }
  void make() {
    registry_.emplace(Registry::Parts{
        loop_, log_, metrics_, *manager_,
        [this](const Registration&, Framing) {
          FakePeer& peer = *peers_.emplace_back(std::make_unique<FakePeer>(loop_));
          peer.reachable = reachable_;
          return std::make_unique<FakeConnector>(peer);
        },
        [this](std::string mark, std::string value) { return keep_mark(mark, value); }});
    registry_->configure(options(), ServiceDefaults());
  }
  static RegistryOptions options() {
    RegistryOptions out;
    out.token = config::Secret(kToken);
    return out;
  }
  Task<Result<void>> keep_mark(std::string mark, std::string value) {
    if (store_takes_ > Duration(0)) co_await sleep_for(loop_, store_takes_);
    if (!store_works_) co_return Error(ErrorKind::kDiskFull, "no room");
    disk_[mark] = value;
    if (value.empty()) disk_.erase(mark);
    co_return Result<void>();
  }
  static json::object tcp(std::string_view name, int port = 4000) {
    return {{"token", kToken},
            {"name", name},
            {"protocol", "mcp"},
            {"transport", {{"type", "tcp"}, {"port", port}}}};
  }
  std::shared_ptr<std::optional<Answer>> begin(std::string method, json::value params) {
    auto answer = std::make_shared<std::optional<Answer>>();
    answers_.push_back(answer);
    tasks_.spawn("ask", keep(registry_->serve(std::move(method), std::move(params)), answer.get()));
    settle();
    return answer;
  }
  Answer ask(std::string method, json::value params) { return **begin(method, params); }
  /// What the answer is, in a word.
  std::string say(std::string method, json::value params) {
    const Answer answer = ask(std::move(method), std::move(params));
    return answer ? "ok" : std::string(to_string(answer.error().kind()));
  }
  std::string id_of(const Answer& answer) { return text_member(*answer, "service_id"); }
  json::object by_id(const std::string& id) { return {{"token", kToken}, {"service_id", id}}; }

  std::map<std::string, std::string> disk_;
  bool store_works_ = true;
  bool reachable_ = true;
  Duration store_takes_{0};
  std::optional<Registry> registry_;
};

TEST_F(RegistryTest, WhatRegistersIsOnDiskAndConnectedTo) {
  json::object params = tcp("tools");
  params["capabilities"] = json::array{"search"};
  const Answer answer = ask("service.register", params);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(id_of(answer).empty());
  EXPECT_EQ(status("tools"), "running");
  EXPECT_TRUE(manager_->find("tools")->registered);
  EXPECT_TRUE(disk_.contains("service:tools"));
  ASSERT_EQ(manager_->list("search").size(), 1u);
  EXPECT_EQ(manager_->list("search")[0].name, "tools");
  EXPECT_EQ(manager_->list("tools").size(), 1u);  // from its greeting
  EXPECT_TRUE(manager_->list("cooking").empty());
  ASSERT_TRUE(**call("tools"));
}

TEST_F(RegistryTest, NobodyComesInWithoutTheToken) {
  json::object params = tcp("tools");
  params["token"] = "another token of a registry";
  EXPECT_EQ(say("service.register", params), "permission_denied");
  params.erase("token");
  EXPECT_EQ(say("service.register", params), "permission_denied");
  EXPECT_EQ(say("service.register", nullptr), "permission_denied");
  EXPECT_EQ(metrics_.value("sluice_service_registry_refused_total"), 3);
  registry_->configure(RegistryOptions(), ServiceDefaults());
  params["token"] = "";
  EXPECT_EQ(say("service.register", params), "permission_denied");
  EXPECT_EQ(registry_->size(), 0u);
}

TEST_F(RegistryTest, WithoutTheTokenNobodyUsesUpWhatOthersMayAsk) {
  for (std::uint32_t i = 0; i < 2 * Registry::kWritesBurst; ++i) {
    say("service.register", json::object{{"token", "guess"}});
  }
  EXPECT_EQ(say("service.register", tcp("tools")), "ok");
}

TEST_F(RegistryTest, TooManyRequestsASecondAreRefused) {
  for (std::uint32_t i = 0; i < Registry::kWritesBurst; ++i) {
    EXPECT_EQ(say("service.heartbeat", by_id("made up")), "not_found");
  }
  EXPECT_EQ(say("service.heartbeat", by_id("made up")), "rate_limited");
  advance(seconds(1));
  EXPECT_EQ(say("service.heartbeat", by_id("made up")), "not_found");
}

TEST_F(RegistryTest, ProgramsAreNeverStarted) {
  for (const auto& transport :
       {json::object{{"type", "stdio"}}, json::object{{"type", "process"}, {"command", "/bin/sh"}},
        json::object{{"type", "tcp"}, {"port", 1}, {"command", "/bin/sh"}},
        json::object{{"type", "tcp"}, {"port", 1}, {"address", "169.254.169.254"}}}) {
    json::object params = tcp("tools");
    params["transport"] = transport;
    EXPECT_EQ(say("service.register", params), "permission_denied");
  }
  EXPECT_TRUE(manager_->list().empty());
}

TEST_F(RegistryTest, MembersThatMeanNothingHereAreNamed) {
  const auto with = [](std::string_view key, json::value value) {
    json::object params = tcp("tools");
    params[key] = std::move(value);
    return params;
  };
  EXPECT_EQ(say("service.register", with("critical", true)), "invalid_argument");
  EXPECT_EQ(say("service.register", with("name", "a b")), "invalid_argument");
  EXPECT_EQ(say("service.register", with("name", json::string(65, 'a'))), "invalid_argument");
  EXPECT_EQ(say("service.register", with("timeout_ms", 1)), "invalid_argument");
  EXPECT_EQ(say("service.register", with("timeout_ms", "1s")), "invalid_argument");
  EXPECT_EQ(say("service.register", with("protocol", "other")), "invalid_argument");
  EXPECT_EQ(say("service.register", with("heartbeat_timeout_ms", 200)), "invalid_argument");
  EXPECT_EQ(say("service.register", with("capabilities", json::array{"\x1b[2J"})),
            "invalid_argument");
  EXPECT_EQ(say("service.register", with("capabilities", json::array(33, json::string("a")))),
            "invalid_argument");
  EXPECT_EQ(
      say("service.register", with("transport", json::object{{"type", "unix"}, {"path", "x"}})),
      "invalid_argument");
  EXPECT_EQ(say("service.register", with("transport", json::object{{"type", "tcp"}})),
            "invalid_argument");
  EXPECT_EQ(say("service.sing", by_id("x")), "unsupported");
}

TEST_F(RegistryTest, ANameOfTheConfigurationIsTaken) {
  run("tools");
  EXPECT_EQ(say("service.register", tcp("tools")), "conflict");
  EXPECT_TRUE(disk_.empty());
  EXPECT_EQ(status("tools"), "running");
}

TEST_F(RegistryTest, OneOfManyWhoWantANameAtOnceGetsIt) {
  store_takes_ = seconds(1);
  std::vector<std::shared_ptr<std::optional<Answer>>> all;
  for (int i = 0; i < 64; ++i) all.push_back(begin("service.register", tcp("tools", 4000 + i)));
  advance(seconds(2));
  int won = 0;
  for (const auto& one : all) won += (*one)->has_value() ? 1 : 0;
  EXPECT_EQ(won, 1);
  EXPECT_EQ(registry_->size(), 1u);
}

TEST_F(RegistryTest, WhoComesAgainFindsItsPlace) {
  const std::string id = id_of(ask("service.register", tcp("tools")));
  EXPECT_EQ(id_of(ask("service.register", tcp("tools"))), id);
  // Elsewhere, while the one that is known runs: not without its id.
  EXPECT_EQ(say("service.register", tcp("tools", 4001)), "conflict");
  peers_[0]->reachable = false;
  peers_[0]->die();
  settle();
  EXPECT_EQ(id_of(ask("service.register", tcp("tools", 4001))), id);
  EXPECT_EQ(status("tools"), "running");
  EXPECT_THAT(disk_["service:tools"], HasSubstr("4001"));
}

TEST_F(RegistryTest, AnUpdateMovesTheService) {
  const std::string id = id_of(ask("service.register", tcp("tools")));
  json::object params = tcp("tools", 4001);
  params.erase("name");
  params["service_id"] = id;
  EXPECT_EQ(say("service.update", params), "ok");
  EXPECT_EQ(status("tools"), "running");
  EXPECT_EQ(peers_.size(), 2u);
  EXPECT_EQ(peers_[0]->closes, 1);
  EXPECT_THAT(disk_["service:tools"], HasSubstr("4001"));
  params["service_id"] = "made up";
  EXPECT_EQ(say("service.update", params), "not_found");
}

TEST_F(RegistryTest, WhatIsUnregisteredIsForgotten) {
  const std::string id = id_of(ask("service.register", tcp("tools")));
  EXPECT_EQ(say("service.unregister", by_id(id)), "ok");
  EXPECT_EQ(status("tools"), "none");
  EXPECT_TRUE(disk_.empty());
  EXPECT_EQ(say("service.heartbeat", by_id(id)), "not_found");
}

TEST_F(RegistryTest, AHeartbeatBringsBackWhatWasGivenUp) {
  const std::string id = id_of(ask("service.register", tcp("tools")));
  peers_[0]->reachable = false;
  peers_[0]->die();
  advance(minutes(5));
  ASSERT_EQ(status("tools"), "error");
  peers_[0]->reachable = true;
  EXPECT_EQ(say("service.heartbeat", by_id(id)), "ok");
  EXPECT_EQ(status("tools"), "running");
}

TEST_F(RegistryTest, WhatWasGivenUpAndSaysNothingIsForgotten) {
  ask("service.register", tcp("tools"));
  peers_[0]->reachable = false;
  peers_[0]->die();
  advance(minutes(30));
  EXPECT_EQ(status("tools"), "error");
  advance(hours(1));
  EXPECT_EQ(status("tools"), "none");
  EXPECT_TRUE(disk_.empty());
}

TEST_F(RegistryTest, ANewStartKnowsThem) {
  const std::string id = id_of(ask("service.register", tcp("tools")));
  registry_.reset();
  manager_.emplace(manager_parts());
  make();
  Registry::Marks marks(disk_.begin(), disk_.end());
  marks.emplace_back("service:bad", "{");
  marks.emplace_back("other", "mark");
  EXPECT_THAT(registry_->load(marks), ElementsAre("service:bad"));
  settle();
  EXPECT_EQ(status("tools"), "running");
  EXPECT_EQ(say("service.heartbeat", by_id(id)), "ok");
}

TEST_F(RegistryTest, WithoutADiskNothingIsRegistered) {
  store_works_ = false;
  EXPECT_EQ(say("service.register", tcp("tools")), "disk_full");
  EXPECT_EQ(status("tools"), "none");
  store_works_ = true;
  EXPECT_EQ(say("service.register", tcp("tools")), "ok");
}

TEST_F(RegistryTest, ARequestGoesOnWhenWhoAskedIsGone) {
  store_takes_ = seconds(1);
  {
    TaskGroup hasty(loop_);
    std::optional<Answer> none;
    hasty.spawn("ask", keep(registry_->serve("service.register", tcp("tools")), &none));
    settle();
  }
  advance(seconds(1));
  EXPECT_EQ(status("tools"), "running");
  EXPECT_EQ(registry_->size(), 1u);
}

TEST_F(RegistryTest, WhatTheConfigurationSaysAnewHoldsForThemToo) {
  ask("service.register", tcp("tools"));
  registry_->configure(options(), ServiceDefaults());
  settle();
  EXPECT_EQ(peers_.size(), 1u);
  ServiceDefaults slower;
  slower.timeout = std::chrono::milliseconds(60'000);
  registry_->configure(options(), slower);
  settle();
  EXPECT_EQ(peers_.size(), 2u);
  EXPECT_EQ(status("tools"), "running");
}

TEST_F(RegistryTest, TheConfigurationTakesItsNameBack) {
  ask("service.register", tcp("tools"));
  bool done = false;
  tasks_.spawn("yield", note(registry_->yield_name("tools"), &done));
  settle();
  EXPECT_TRUE(done);
  EXPECT_TRUE(disk_.empty());
  run("tools");
}

TEST_F(RegistryTest, ThereAreNotTooMany) {
  for (std::size_t i = 0; i < Registry::kMost; ++i) {
    advance(seconds(1));
    ASSERT_EQ(say("service.register", tcp("s" + std::to_string(i))), "ok");
  }
  EXPECT_EQ(say("service.register", tcp("more")), "overloaded");
}

}  // namespace
}  // namespace sluice::services
