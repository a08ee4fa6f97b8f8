#include "services/callbacks.h"

#include <gmock/gmock.h>

#include "services/services_fixture.h"

namespace sluice::services {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;

namespace json = boost::json;

/// "asker" is called for a person, and calls back; "files" is who it may call.
class CallbacksTest : public ServicesTest {
 protected:
  static ServiceSettings may(CallbackRules rules) {
    ServiceSettings settings;
    settings.protocol = Protocol::kSluice;
    settings.callbacks = std::move(rules);
    return settings;
  }
  static CallbackRules both() {
    CallbackRules rules;
    rules.agent = "helper";
    rules.services = {"files"};
    return rules;
  }
  FakePeer& own(const std::string& name, CallbackRules rules) {
    FakePeer& peer = add(name, may(std::move(rules)));
    peer.own_protocol = true;
    peer.answers_calls = false;
    EXPECT_TRUE(manager_->start(name));
    settle();
    EXPECT_EQ(status(name), "running");
    return peer;
  }
  CallOrigin origin(std::string request = "turn-1") {
    return {std::move(request),
            [this](std::string agent, std::string prompt, std::string id, Duration most) {
              return answer_as(agent, prompt, id, most);
            }};
  }
  Task<Result<std::string>> answer_as(std::string agent, std::string prompt, std::string id,
                                      Duration) {
    asked_.push_back(agent + ": " + prompt);
    ids_.push_back(id);
    if (agent_takes_ > Duration(0)) co_await sleep_for(loop_, agent_takes_);
    co_return "said " + prompt;
  }
  /// A call of the tool for a person, from which the service is told its token.
  std::shared_ptr<std::optional<Answer>> work(const std::string& name, const std::string& request) {
    auto answer = std::make_shared<std::optional<Answer>>();
    answers_.push_back(answer);
    tasks_.spawn("call",
                 keep(manager_->call(name, "add", json::object(), Duration(0), origin(request)),
                      answer.get()));
    settle();
    return answer;
  }
  static json::object lease_of(const FakePeer& peer) {
    const json::value* lease = member(peer.calls.back().params, "callback");
    return lease == nullptr ? json::object() : lease->get_object();
  }
  json::object ai(const FakePeer& peer, std::string prompt = "hello") {
    json::object params = named(peer);
    params["prompt"] = std::move(prompt);
    return params;
  }
  json::object tool(const FakePeer& peer) {
    json::object params = named(peer);
    params["tool_name"] = "add";
    return params;
  }
  static json::object named(const FakePeer& peer) {
    const json::object lease = lease_of(peer);
    return {{"token", lease.at("token")},
            {"request_id", lease.at("request_id")},
            {"service_id", lease.at("service_id")}};
  }
  /// By the port.
  std::shared_ptr<std::optional<Answer>> begin(std::string method, json::value params,
                                               std::string via = "") {
    auto answer = std::make_shared<std::optional<Answer>>();
    answers_.push_back(answer);
    tasks_.spawn("back", keep(manager_->callbacks().serve(std::move(via), std::move(method),
                                                          std::move(params)),
                              answer.get()));
    settle();
    return answer;
  }
  static std::string words(const std::shared_ptr<std::optional<Answer>>& answer) {
    if (!*answer) return "waits";
    return **answer ? json::serialize(***answer)
                    : std::string(to_string((*answer)->error().kind()));
  }
  std::string say(std::string method, json::value params, std::string via = "") {
    return words(begin(std::move(method), std::move(params), std::move(via)));
  }

  std::vector<std::string> asked_;
  std::vector<std::string> ids_;
  Duration agent_takes_{0};
};

TEST_F(CallbacksTest, AServiceAsksAnAgentAndAToolForThePersonItWorksFor) {
  FakePeer& asker = own("asker", both());
  run("files");
  const auto answer = work("asker", "turn-1");
  EXPECT_EQ(lease_of(asker).at("types"), json::value(json::array{"ai", "tool"}));
  EXPECT_EQ(say("callback.ai", ai(asker)), R"({"text":"said hello"})");
  EXPECT_EQ(say("callback.tool", tool(asker)), R"({"sum":3})");
  EXPECT_THAT(asked_, ElementsAre("helper: hello"));
  EXPECT_EQ(words(answer), "waits");
}

TEST_F(CallbacksTest, ItAsksOnItsOwnConnectionToo) {
  FakePeer& asker = own("asker", both());
  work("asker", "turn-1");
  asker.say(encode_request(9, "callback.ai", ai(asker)));
  settle();
  EXPECT_EQ(asker.answers.back(), R"({"jsonrpc":"2.0","id":9,"result":{"text":"said hello"}})");
  asker.say(encode_request(10, "callback.context", ai(asker)));
  settle();
  EXPECT_THAT(asker.answers.back(), ::testing::HasSubstr("-32601"));
}

TEST_F(CallbacksTest, ATokenIsOfOneServiceAndOneRequest) {
  FakePeer& asker = own("asker", both());
  FakePeer& other = own("other", both());
  work("asker", "turn-1");
  const json::object first = ai(asker);
  work("asker", "turn-2");
  work("other", "turn-3");
  json::object params = first;
  params["request_id"] = lease_of(asker).at("request_id");
  EXPECT_EQ(say("callback.ai", params), "permission_denied");
  params = first;
  params["service_id"] = "other";
  EXPECT_EQ(say("callback.ai", params), "permission_denied");
  EXPECT_EQ(say("callback.ai", first, "other"), "permission_denied");
  params = ai(other);
  params["token"] = "made up";
  EXPECT_EQ(say("callback.ai", params), "permission_denied");
  EXPECT_EQ(say("callback.ai", nullptr), "permission_denied");
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(say("callback.ai", first), R"({"text":"said hello"})");
  EXPECT_EQ(say("callback.ai", first, "asker"), R"({"text":"said hello"})");
}

TEST_F(CallbacksTest, ATokenEndsWithItsRequestAndSoDoesWhatItBegan) {
  FakePeer& asker = own("asker", both());
  const auto answer = work("asker", "turn-1");
  agent_takes_ = minutes(1);
  const auto slow = begin("callback.ai", ai(asker));
  EXPECT_EQ(words(slow), "waits");
  asker.say(encode_result(asker.calls.back().id, 7));
  settle();
  EXPECT_EQ(words(answer), "7");
  EXPECT_EQ(words(slow), "cancelled");
  EXPECT_EQ(say("callback.ai", ai(asker)), "permission_denied");
  EXPECT_EQ(manager_->callbacks().size(), 0u);
}

TEST_F(CallbacksTest, ATokenIsSpentAfterItsUses) {
  CallbackRules rules = both();
  rules.uses = 2;
  FakePeer& asker = own("asker", rules);
  work("asker", "turn-1");
  EXPECT_EQ(say("callback.ai", ai(asker)), R"({"text":"said hello"})");
  EXPECT_EQ(say("callback.ai", ai(asker)), R"({"text":"said hello"})");
  EXPECT_EQ(say("callback.ai", ai(asker)), "permission_denied");
  work("asker", "turn-2");
  EXPECT_EQ(say("callback.ai", ai(asker)), R"({"text":"said hello"})");
}

TEST_F(CallbacksTest, WhatIsNotGrantedIsRefused) {
  CallbackRules rules;
  rules.services = {"files"};
  FakePeer& asker = own("asker", rules);
  run("files");
  run("secrets");
  work("asker", "turn-1");
  EXPECT_EQ(say("callback.ai", ai(asker)), "permission_denied");
  json::object params = tool(asker);
  params["service"] = "secrets";
  EXPECT_EQ(say("callback.tool", params), "permission_denied");
  params["service"] = "files";
  EXPECT_EQ(say("callback.tool", params), R"({"sum":3})");
}

TEST_F(CallbacksTest, WhoMayAskNothingGetsNoToken) {
  FakePeer& quiet = own("quiet", CallbackRules());
  work("quiet", "turn-1");
  EXPECT_TRUE(lease_of(quiet).empty());
  FakePeer& asker = own("asker", both());
  call("asker");  // by an operator: there is no person to ask for
  EXPECT_TRUE(lease_of(asker).empty());
}

TEST_F(CallbacksTest, TheQuotaIsTheServicesAndOnlyItsOwnTokensUseIt) {
  CallbackRules rules = both();
  rules.uses = 1000;
  rules.per_minute = 3;
  FakePeer& asker = own("asker", rules);
  work("asker", "turn-1");
  json::object wrong = ai(asker);
  wrong["token"] = "made up";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(say("callback.ai", wrong), "permission_denied");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(say("callback.ai", ai(asker)), R"({"text":"said hello"})");
  EXPECT_EQ(say("callback.ai", ai(asker)), "rate_limited");
  work("asker", "turn-2");
  EXPECT_EQ(say("callback.ai", ai(asker)), "rate_limited");
  advance(seconds(20));
  EXPECT_EQ(say("callback.ai", ai(asker)), R"({"text":"said hello"})");
}

TEST_F(CallbacksTest, TheyDoNotGoDownForEver) {
  CallbackRules rules;
  rules.agent = "helper";
  rules.services = {"asker"};
  FakePeer& asker = own("asker", rules);
  std::string request = "turn-1";
  work("asker", request);
  for (std::uint32_t depth = 1; depth < Callbacks::kDepthMost; ++depth) {
    begin("callback.tool", tool(asker));
    ASSERT_EQ(asker.calls.size(), depth + 1);
    EXPECT_FALSE(lease_of(asker).empty());
  }
  begin("callback.tool", tool(asker));
  ASSERT_EQ(asker.calls.size(), Callbacks::kDepthMost + 1);
  EXPECT_TRUE(lease_of(asker).empty());
}

TEST_F(CallbacksTest, AnAgentsCallsAreAsDeepAsItsOwnRequest) {
  FakePeer& asker = own("asker", both());
  work("asker", "turn-1");
  agent_takes_ = minutes(1);
  for (std::uint32_t depth = 1; depth <= Callbacks::kDepthMost; ++depth) {
    ASSERT_FALSE(lease_of(asker).empty());
    begin("callback.ai", ai(asker));
    work("asker", ids_.back());  // the agent's answer is a tool's
  }
  EXPECT_TRUE(lease_of(asker).empty());
}

TEST_F(CallbacksTest, MembersThatMeanNothingHereAreNamed) {
  FakePeer& asker = own("asker", both());
  work("asker", "turn-1");
  json::object params = ai(asker);
  params["model_config"] = json::object();
  EXPECT_EQ(say("callback.ai", params), "invalid_argument");
  EXPECT_EQ(say("callback.ai", ai(asker, "")), "invalid_argument");
  EXPECT_EQ(say("callback.ai", ai(asker, std::string(Callbacks::kPromptMost + 1, 'a'))),
            "invalid_argument");
  params = ai(asker);
  params["timeout_ms"] = -1;
  EXPECT_EQ(say("callback.ai", params), "invalid_argument");
  EXPECT_TRUE(asked_.empty());
}

TEST_F(CallbacksTest, TenThousandRequestsLeaveNothingBehind) {
  FakePeer& asker = own("asker", both());
  asker.answers_calls = true;
  for (int i = 0; i < 10'000; ++i) work("asker", "turn-1");
  EXPECT_EQ(manager_->callbacks().size(), 0u);
}

}  // namespace
}  // namespace sluice::services
