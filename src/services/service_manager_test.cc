// The lifecycle of services, by the numbers of docs/lifecycle-checklist.md.

#include "services/service_manager.h"

#include <gmock/gmock.h>

#include "services/services_fixture.h"

namespace sluice::services {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ServiceManagerTest : public ServicesTest {};

TEST_F(ServiceManagerTest, Item40ANewOneHasNone) { EXPECT_EQ(manager_->count(), 0u); }

TEST_F(ServiceManagerTest, Item41AStartLeadsToRunningOnceTheGreetingIsAnswered) {
  FakePeer& peer = add("tools");
  peer.greets = false;
  ASSERT_TRUE(manager_->start("tools"));
  settle();
  EXPECT_EQ(status("tools"), "starting");
  peer.say(encode_result(
      RpcId(std::int64_t{1}),
      boost::json::parse(R"({"protocolVersion":"2025-06-18","capabilities":{"tools":{}}})")));
  settle();
  EXPECT_EQ(manager_->count(), 1u);
  EXPECT_THAT(events(), ElementsAre("tools status_changed stopped starting", "tools started",
                                    "tools status_changed starting running"));
  EXPECT_THAT(peer.heard, ElementsAre("initialize", "notifications/initialized", "tools/list"));
}

TEST_F(ServiceManagerTest, Item42AStopIsSeenAndThenItIsGone) {
  FakePeer& peer = run("tools");
  peer.closes_when_asked = false;
  events();
  const auto stopped = stop("tools");
  EXPECT_EQ(status("tools"), "stopping");
  EXPECT_FALSE(stopped->has_value());
  advance(seconds(5));
  ASSERT_TRUE(stopped->has_value());
  EXPECT_THAT(events(), ElementsAre("tools status_changed running stopping",
                                    "tools status_changed stopping stopped", "tools stopped"));
  EXPECT_EQ(manager_->count(), 0u);
  EXPECT_EQ(peer.closes, 1);
}

TEST_F(ServiceManagerTest, Item43AHeartbeatIsToldAndBeginsTheAttemptsAnew) {
  FakePeer& peer = run("tools");
  peer.reachable = false;
  peer.die();
  advance(seconds(5));
  EXPECT_GE(manager_->find("tools")->attempts, 2u);
  peer.reachable = true;
  advance(seconds(10));
  EXPECT_EQ(status("tools"), "running");
  EXPECT_EQ(manager_->find("tools")->attempts, 0u);
  events();
  advance(seconds(30));
  EXPECT_THAT(events(true), ElementsAre("tools heartbeat"));
  EXPECT_EQ(peer.count("ping"), 1u);
}

TEST_F(ServiceManagerTest, Item44AnUnknownNameIsNotFound) {
  EXPECT_EQ(manager_->start("nobody").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(manager_->find("nobody").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(manager_->log_of("nobody").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ((*stop("nobody"))->error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ((*call("nobody"))->error().kind(), ErrorKind::kNotFound);
}

TEST_F(ServiceManagerTest, Item45WithoutReconnectingAnErrorStays) {
  ServiceSettings settings;
  settings.reconnect.enabled = false;
  FakePeer& peer = run("tools", settings);
  events();
  peer.die();
  advance(minutes(10));
  EXPECT_THAT(events(), ElementsAre("tools error", "tools status_changed running error"));
  EXPECT_EQ(peer.connects, 1);
  EXPECT_EQ((*call("tools"))->error().kind(), ErrorKind::kUnavailable);
}

TEST_F(ServiceManagerTest, Item46AnErrorLeadsToAnotherAttempt) {
  FakePeer& peer = run("tools");
  events();
  peer.die();
  settle();
  EXPECT_EQ(status("tools"), "reconnecting");
  EXPECT_THAT(events(),
              ElementsAre("tools error", "tools status_changed running error",
                          "tools status_changed error reconnecting", "tools reconnecting 1/5"));
}

TEST_F(ServiceManagerTest, Item47AfterAllAttemptsItIsGivenUp) {
  FakePeer& peer = run("tools");
  peer.reachable = false;
  peer.die();
  advance(minutes(5));
  EXPECT_EQ(status("tools"), "error");
  EXPECT_EQ(peer.connects, 6);
  const auto all = events();
  EXPECT_EQ(std::count(all.begin(), all.end(), "tools reconnect_failed"), 1);
  EXPECT_EQ(std::count(all.begin(), all.end(), "tools reconnecting 5/5"), 1);
  EXPECT_THAT(all, Not(Contains("tools reconnecting 6/5")));
}

TEST_F(ServiceManagerTest, OneThatWasGivenUpMayBeStartedAgain) {
  FakePeer& peer = run("tools");
  peer.reachable = false;
  peer.die();
  advance(minutes(5));
  peer.reachable = true;
  ASSERT_TRUE(manager_->start("tools"));
  settle();
  EXPECT_EQ(status("tools"), "running");
}

TEST(ServiceSettingsTest, Item48TheDefaultsAreThoseThatWerePromised) {
  const ServiceSettings settings;
  EXPECT_EQ(settings.heartbeat_interval, seconds(30));
  EXPECT_EQ(settings.heartbeat_timeout, seconds(90));
  EXPECT_EQ(settings.timeout, seconds(30));
  EXPECT_EQ(settings.reconnect.attempts_most, 5u);
  EXPECT_EQ(settings.reconnect.delay, milliseconds(1000));
  EXPECT_EQ(settings.reconnect.delay_most, milliseconds(30'000));
  EXPECT_EQ(settings.reconnect.multiplier, 2.0);
  EXPECT_TRUE(settings.reconnect.enabled);
}

TEST_F(ServiceManagerTest, Item52SilenceIsNoticedAfterItsTimeAndNotBefore) {
  FakePeer& peer = run("tools");
  events();
  peer.answers_pings = false;
  advance(seconds(90) - milliseconds(1));
  EXPECT_EQ(status("tools"), "running");
  EXPECT_EQ(peer.count("ping"), 1u);  // one at a time
  advance(milliseconds(1));
  EXPECT_EQ(status("tools"), "reconnecting");
  EXPECT_THAT(events(),
              ElementsAre("tools heartbeat_timeout", "tools status_changed running reconnecting",
                          "tools reconnecting 1/5"));
  peer.answers_pings = true;
  advance(seconds(2));
  EXPECT_EQ(status("tools"), "running");
  EXPECT_EQ(peer.cuts, 1);
}

TEST_F(ServiceManagerTest, Item51ATimeoutOfASecondIsNoProblem) {
  ServiceSettings settings;
  settings.heartbeat_interval = milliseconds(300);
  settings.heartbeat_timeout = seconds(1);
  run("tools", settings);
  advance(seconds(10));
  EXPECT_EQ(status("tools"), "running");
}

TEST_F(ServiceManagerTest, AnyFrameIsASignOfLife) {
  FakePeer& peer = run("tools");
  peer.answers_pings = false;
  for (int i = 0; i < 10; ++i) {
    advance(seconds(60));
    peer.say(encode_notification("notifications/message", nullptr));
  }
  EXPECT_EQ(status("tools"), "running");
}

TEST_F(ServiceManagerTest, Item53WhatChangesNothingIsNoEvent) {
  run("tools");
  events();
  EXPECT_FALSE(manager_->start("tools"));
  (void)call("tools");
  EXPECT_THAT(events(true), IsEmpty());
}

TEST_F(ServiceManagerTest, Item54EachChangeIsToldOnceAndFollowsTheTable) {
  FakePeer& peer = run("tools");
  peer.die();
  advance(seconds(5));
  (void)stop("tools");
  ServiceStatus now = ServiceStatus::kStopped;
  while (const auto event = subscriber_.try_next()) {
    if (event->what != What::kStatusChanged) continue;
    EXPECT_EQ(event->from, now);
    EXPECT_TRUE(may_follow(event->from, event->to));
    EXPECT_NE(event->from, event->to);
    now = event->to;
  }
  EXPECT_EQ(now, ServiceStatus::kStopped);
}

TEST_F(ServiceManagerTest, Item55ASlowSubscriberLosesTheOldestAndIsToldHowMany) {
  run("tools");
  while (subscriber_.try_next()) {
  }
  advance(seconds(30 * 300));
  const auto first = subscriber_.try_next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->what, What::kLagged);
  EXPECT_EQ(first->lost, 300u - ServiceEvents::kQueueMost);
  std::size_t rest = 0;
  while (subscriber_.try_next()) ++rest;
  EXPECT_EQ(rest, ServiceEvents::kQueueMost);
}

TEST_F(ServiceManagerTest, Item56AStopInterruptsABackoffAtOnce) {
  FakePeer& peer = run("tools");
  peer.reachable = false;
  peer.die();
  advance(seconds(20));
  ASSERT_EQ(status("tools"), "reconnecting");
  const auto stopped = stop("tools");
  EXPECT_TRUE(stopped->has_value());
  events();
  const int before = peer.connects;
  advance(minutes(5));
  EXPECT_THAT(events(), IsEmpty());
  EXPECT_EQ(peer.connects, before);
}

TEST_F(ServiceManagerTest, Item56AStopInterruptsAGreetingThatIsNotAnswered) {
  FakePeer& peer = add("tools");
  peer.greets = false;
  ASSERT_TRUE(manager_->start("tools"));
  settle();
  EXPECT_TRUE(stop("tools")->has_value());
  EXPECT_EQ(manager_->count(), 0u);
}

TEST_F(ServiceManagerTest, Item57AllAreStoppedTheLastStartedFirst) {
  for (const char* name : {"b", "c", "a"}) run(name);
  events();
  bool done = false;
  tasks_.spawn("stop_all", note(manager_->stop_all(loop_.now() + seconds(3)), &done));
  settle();
  EXPECT_TRUE(done);
  const auto all = events();
  ASSERT_THAT(all, SizeIs(9));
  EXPECT_EQ(all[0], "a status_changed running stopping");
  EXPECT_EQ(all[1], "c status_changed running stopping");
  EXPECT_EQ(all[2], "b status_changed running stopping");
}

TEST_F(ServiceManagerTest, Item57ThoseThatDoNotGoAreCutOffAtTheDeadline) {
  FakePeer& stubborn = run("stubborn");
  stubborn.closes_when_asked = false;
  run("tools");
  bool done = false;
  tasks_.spawn("stop_all", note(manager_->stop_all(loop_.now() + seconds(3)), &done));
  advance(seconds(3));
  EXPECT_TRUE(done);
  EXPECT_EQ(stubborn.cuts + stubborn.closes, 1);
  EXPECT_EQ(manager_->start("tools").error().kind(), ErrorKind::kConflict);
}

TEST_F(ServiceManagerTest, Item58OnlyWhatRunsIsHealthy) {
  EXPECT_EQ(status("tools"), "none");
  ServiceSettings settings;
  settings.critical = true;
  FakePeer& peer = run("tools", settings);
  EXPECT_THAT(manager_->health_check(), IsEmpty());
  EXPECT_THAT(manager_->critical_ill(), IsEmpty());
  peer.reachable = false;
  peer.die();
  settle();
  EXPECT_THAT(manager_->health_check(), ElementsAre("tools"));
  EXPECT_THAT(manager_->critical_ill(), ElementsAre("tools"));
}

TEST_F(ServiceManagerTest, Item59AReconnectionIsToldAndTheAttemptsBeginAnew) {
  FakePeer& peer = run("tools");
  events();
  peer.die();
  advance(seconds(2));
  EXPECT_THAT(events(),
              ElementsAre("tools error", "tools status_changed running error",
                          "tools status_changed error reconnecting", "tools reconnecting 1/5",
                          "tools reconnected", "tools status_changed reconnecting running"));
  const auto info = manager_->find("tools");
  EXPECT_EQ(info->attempts, 0u);
  EXPECT_EQ(info->generation, 2u);
  EXPECT_EQ(info->losses, 1u);
}

TEST_F(ServiceManagerTest, Item60ASecondStartAndASecondNameAreRefused) {
  FakePeer& peer = run("tools");
  EXPECT_EQ(manager_->start("tools").error().kind(), ErrorKind::kConflict);
  const auto again = manager_->add({"tools", {}, std::make_unique<FakeConnector>(peer), false, {}});
  EXPECT_EQ(again.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(peer.connects, 1);
}

TEST_F(ServiceManagerTest, Item71OneThatDiesAgainAndAgainIsGivenUpAlthoughEachStartSucceeds) {
  FakePeer& peer = run("tools");
  for (int i = 0; i < 5; ++i) {
    peer.die();
    advance(seconds(2));
    ASSERT_EQ(status("tools"), "running") << i;
  }
  peer.die();
  advance(minutes(5));
  EXPECT_EQ(status("tools"), "error");
  EXPECT_EQ(peer.connects, 6);
  EXPECT_THAT(events(), Contains("tools reconnect_failed"));
}

TEST_F(ServiceManagerTest, Item71LossesThatAreLongAgoDoNotCount) {
  FakePeer& peer = run("tools");
  for (int i = 0; i < 20; ++i) {
    peer.die();
    advance(seconds(15));
    ASSERT_EQ(status("tools"), "running") << i;
  }
}

TEST_F(ServiceManagerTest, ACallIsAnswered) {
  run("tools");
  const auto answer = call("tools");
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->value().at("sum"), 3);
}

TEST_F(ServiceManagerTest, ALossInMidCallIsAnErrorAndTheNextCallWorks) {
  FakePeer& peer = run("tools");
  peer.answers_calls = false;
  const auto lost = call("tools");
  peer.die();
  settle();
  ASSERT_TRUE(lost->has_value());
  EXPECT_EQ((*lost)->error().kind(), ErrorKind::kUnavailable);
  peer.answers_calls = true;
  const auto next = call("tools");  // waits until it is back
  EXPECT_FALSE(next->has_value());
  advance(seconds(2));
  ASSERT_TRUE(next->has_value());
  EXPECT_TRUE(next->value());
}

TEST_F(ServiceManagerTest, ALateAnswerOfAnEarlierConnectionHarmsNobody) {
  FakePeer& peer = run("tools");
  peer.answers_calls = false;
  (void)call("tools");
  const RpcId old = peer.calls.at(0).id;
  peer.die();
  advance(seconds(2));
  const auto next = call("tools");
  ASSERT_EQ(peer.calls.at(1).id, old);  // each connection counts anew
  EXPECT_FALSE(next->has_value());
  peer.say(encode_result(RpcId(std::int64_t{99}), 1));
  peer.say(encode_result(RpcId(std::string("made up")), 1));
  settle();
  EXPECT_FALSE(next->has_value());
  EXPECT_EQ(manager_->find("tools")->strays, 2u);
}

TEST_F(ServiceManagerTest, ACallThatTakesTooLongEndsAndIsCalledOff) {
  FakePeer& peer = run("tools");
  peer.answers_calls = false;
  const auto answer = call("tools", seconds(3));
  advance(seconds(3));
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->error().kind(), ErrorKind::kTimeout);
  settle();
  EXPECT_EQ(peer.count("notifications/cancelled"), 1u);
  EXPECT_EQ(status("tools"), "running");
}

TEST_F(ServiceManagerTest, ACallOfAToolThatIsNotThereIsNotFound) {
  run("tools");
  std::optional<Answer> answer;
  tasks_.spawn("call", keep(manager_->call("tools", "divide", nullptr, seconds(1)), &answer));
  settle();
  EXPECT_EQ(answer->error().kind(), ErrorKind::kNotFound);
}

TEST_F(ServiceManagerTest, MoreCallsThanItMayHaveAreRefused) {
  ServiceSettings settings;
  settings.calls_most = 2;
  FakePeer& peer = run("tools", settings);
  peer.answers_calls = false;
  (void)call("tools");
  (void)call("tools");
  const auto third = call("tools");
  ASSERT_TRUE(third->has_value());
  EXPECT_EQ((*third)->error().kind(), ErrorKind::kOverloaded);
}

TEST_F(ServiceManagerTest, AStopWaitsForCallsUnderWay) {
  FakePeer& peer = run("tools");
  peer.answers_calls = false;
  const auto answer = call("tools");
  const auto stopped = stop("tools");
  advance(seconds(1));
  EXPECT_FALSE(stopped->has_value());
  peer.say(encode_result(peer.calls.at(0).id, 7));
  settle();
  EXPECT_TRUE(stopped->has_value());
  EXPECT_EQ((*answer)->value(), 7);
}

TEST_F(ServiceManagerTest, AVersionOfMcpThatWeDoNotSpeakIsAnError) {
  ServiceSettings settings;
  settings.reconnect.enabled = false;
  FakePeer& peer = add("tools", settings);
  peer.version = "1999-01-01";
  ASSERT_TRUE(manager_->start("tools"));
  settle();
  EXPECT_EQ(status("tools"), "error");
  EXPECT_THAT(manager_->find("tools")->last_error, ::testing::HasSubstr("1999-01-01"));
}

TEST_F(ServiceManagerTest, OneThatNeverAnswersInitializeIsTriedAgainAndGivenUp) {
  FakePeer& peer = add("tools");
  peer.greets = false;
  ASSERT_TRUE(manager_->start("tools"));
  advance(minutes(10));
  EXPECT_EQ(status("tools"), "error");
  EXPECT_EQ(peer.connects, 6);
  EXPECT_EQ(peer.cuts, 6);
}

TEST_F(ServiceManagerTest, ChangedToolsAreAskedForAgain) {
  FakePeer& peer = run("tools");
  EXPECT_THAT(manager_->find("tools")->tools, SizeIs(1));
  peer.say(encode_notification(kToolsChanged, nullptr));
  settle();
  EXPECT_EQ(peer.count("tools/list"), 2u);
}

TEST_F(ServiceManagerTest, WhatIsNoJsonRpcEndsTheConnection) {
  FakePeer& peer = run("tools");
  peer.say("hello");
  settle();
  EXPECT_EQ(status("tools"), "reconnecting");
}

TEST_F(ServiceManagerTest, LinesForPeopleArePassedOverWhereThatIsAgreed) {
  ServiceSettings settings;
  settings.passes_over_noise = true;
  FakePeer& peer = run("tools", settings);
  peer.say("listening on stdio");
  settle();
  EXPECT_EQ(status("tools"), "running");
  EXPECT_EQ(manager_->find("tools")->strays, 1u);
}

TEST_F(ServiceManagerTest, ItsRequestsAreAnswered) {
  FakePeer& peer = run("tools");
  peer.say(encode_request(1, "ping", nullptr));
  peer.say(encode_request(2, "sampling/createMessage", nullptr));
  settle();
  EXPECT_EQ(status("tools"), "running");
  EXPECT_EQ(peer.answers.size(), 2u);
}

TEST_F(ServiceManagerTest, OneThatFloodsDoesNotHoldUpTheOthers) {
  FakePeer& flood = run("flood");
  run("tools");
  for (int i = 0; i < 10'000; ++i) flood.say(encode_notification("noise", nullptr));
  auto answer = std::make_shared<std::optional<Answer>>();
  tasks_.spawn("call", keep(manager_->call("tools", "add", nullptr, seconds(1)), answer.get()));
  for (int i = 0; i < 100 && loop_.has_ready(); ++i) loop_.run_one();
  EXPECT_TRUE(answer->has_value());
  EXPECT_GT(flood.frames.size(), 9'000u);
}

TEST_F(ServiceManagerTest, AThousandComeAndGoWithoutALeftover) {
  const std::size_t before = detail::live_frames();
  for (int i = 0; i < 1000; ++i) run("s" + std::to_string(i));
  for (auto& peer : peers_) peer->die();
  advance(seconds(3));
  EXPECT_THAT(manager_->health_check(), IsEmpty());
  bool done = false;
  tasks_.spawn("stop_all", note(manager_->stop_all(loop_.now() + seconds(3)), &done));
  settle();
  EXPECT_TRUE(done);
  EXPECT_EQ(manager_->count(), 0u);
  EXPECT_EQ(detail::live_frames(), before);
}

TEST_F(ServiceManagerTest, OneThatIsRemovedIsStoppedAndForgotten) {
  FakePeer& peer = run("tools");
  std::optional<Result<void>> removed;
  tasks_.spawn("remove", keep(manager_->remove("tools"), &removed));
  settle();
  EXPECT_TRUE(removed.has_value() && *removed);
  EXPECT_EQ(status("tools"), "none");
  EXPECT_EQ(peer.closes, 1);
}

}  // namespace
}  // namespace sluice::services
