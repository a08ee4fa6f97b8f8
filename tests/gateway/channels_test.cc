// Channels come and go while the gateway runs (seed 001: W5, W6, W14, W16).

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ChannelsTest : public GatewayTest {};

TEST_F(ChannelsTest, NamesAreThoseOfRegisteredChannels) {
  add_platform("other");
  start();
  EXPECT_THAT(gateway().channel_names(), ElementsAre("bot", "other"));
  disconnect("bot");
  EXPECT_THAT(gateway().channel_names(), ElementsAre("other"));
}

TEST_F(ChannelsTest, ChannelRegisteredWhileRunningAnswersAtOnce) {
  start();
  add_platform("late");
  ASSERT_TRUE(connect("late"));
  const Posted posted = post("late", {message("c", "hello")});
  run_until_rest();
  EXPECT_TRUE(**posted);
  EXPECT_THAT(platforms_.at("late").taken(), ElementsAre("re hello"));
}

TEST_F(ChannelsTest, UnregisteringAnIdleChannelTakesNoTime) {
  start();
  disconnect("bot");
  EXPECT_EQ(bot().live, 0);
}

TEST_F(ChannelsTest, UnregisteringAnUnknownNameIsASuccess) {
  start();
  EXPECT_TRUE(await(gateway().unregister("nobody")));
  disconnect("bot");
  EXPECT_TRUE(await(gateway().unregister("bot")));
}

TEST_F(ChannelsTest, ChannelThatDoesNotStopIsCutOffAfterFiveSeconds) {
  bot().stop_hangs = true;
  start();
  const Begun<Result<void>> gone = begin(gateway().unregister("bot"));
  advance(milliseconds(4'999));
  EXPECT_FALSE(*gone);
  advance(milliseconds(1));
  ASSERT_TRUE(*gone);
  EXPECT_TRUE(**gone);
  EXPECT_EQ(bot().live, 0) << "left behind";
}

TEST_F(ChannelsTest, SendThatHangsIsCutOffWithItsChannelAndSettledByTheNext) {
  bot().hangs = true;
  start();
  say("c", "hello");
  ASSERT_THAT(bot().tries, SizeIs(1));
  const Begun<Result<void>> gone = begin(gateway().unregister("bot"));
  advance(seconds(5));
  ASSERT_TRUE(*gone);
  EXPECT_EQ(bot().live, 0);
  bot().hangs = false;
  ASSERT_TRUE(connect("bot"));
  run_until_rest();
  // Nobody knows whether it arrived: once more, and labelled (C19).
  EXPECT_THAT(bot().taken(), ElementsAre("(This may be a duplicate.)\nre hello"));
}

TEST_F(ChannelsTest, SlowSendOnOneChannelDelaysNeitherAnotherNorItsUnregistration) {
  bot().takes = seconds(2);
  add_platform("quick");
  add_platform("third");
  start();
  say("c", "hello");
  EXPECT_TRUE(await(gateway().unregister("third")));
  const Posted posted = post("quick", {message("c", "hi")});
  run_until_idle();
  EXPECT_TRUE(*posted);
  EXPECT_THAT(platforms_.at("quick").taken(), ElementsAre("re hi"));
}

TEST_F(ChannelsTest, DuplicateNameIsRefusedAndAllRepliesStayWithTheFirst) {
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(5)); });
  start();
  for (int i = 0; i < 250; ++i) say(fmt::format("c{}", i % 50), fmt::format("m{}", i));
  Platform second = bot();
  Platform thief;
  thief.info = bot().info;
  thief.account = bot().account;
  const Result<void> refused =
      await(gateway().register_channel(std::make_unique<ScriptedChannel>(loop(), thief)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(thief.starts, 0);
  for (int i = 250; i < 1'000; ++i) say(fmt::format("c{}", i % 50), fmt::format("m{}", i));
  run_until_rest();
  EXPECT_THAT(bot().taken(), SizeIs(1'000));
  EXPECT_THAT(thief.tries, IsEmpty());
}

TEST_F(ChannelsTest, ReplyThatIsReadyBeforeRegistrationFinishedIsDelivered) {
  add_platform("early").start_takes = seconds(1);
  open();
  platforms_.at("early").events_at_start.push_back(message("c", "first"));
  const Begun<Result<void>> registered = begin_connect("early");
  run_until_idle();
  EXPECT_FALSE(*registered);
  EXPECT_THAT(agents_.calls, SizeIs(1)) << "accepted and run while start() is under way";
  advance(seconds(1));
  ASSERT_TRUE(*registered);
  EXPECT_TRUE(**registered);
  run_until_rest();
  EXPECT_THAT(platforms_.at("early").taken(), ElementsAre("re first"));
}

TEST_F(ChannelsTest, ChannelThatDoesNotStartIsNotRegisteredAndItsNameStaysFree) {
  bot().start_fails = Error(ErrorKind::kUnauthenticated, "bad token", ErrorSource::kPlatform);
  open();
  const Result<void> refused = connect("bot");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnauthenticated);
  EXPECT_THAT(gateway().channel_names(), IsEmpty());
  EXPECT_EQ(bot().live, 0);
  bot().start_fails.reset();
  EXPECT_TRUE(connect("bot"));
}

TEST_F(ChannelsTest, UnregisteringAChannelThatIsStillStartingCutsItOff) {
  bot().start_takes = seconds(60);
  open();
  const Begun<Result<void>> registered = begin_connect("bot");
  advance(seconds(1));
  disconnect("bot");
  ASSERT_TRUE(*registered);
  ASSERT_FALSE(**registered);
  EXPECT_EQ((*registered)->error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(bot().live, 0);
  bot().start_takes = milliseconds(0);
  ASSERT_TRUE(connect("bot"));
  say("c", "hello");
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
}

TEST_F(ChannelsTest, SendUnderWayIsNotLeftBehindWhenStartingFails) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(2)); });
  start();
  say("c", "hello");
  disconnect("bot");
  bot().start_takes = seconds(5);
  bot().start_fails = Error(ErrorKind::kUnavailable, "no network", ErrorSource::kPlatform);
  bot().takes = seconds(10);
  const Begun<Result<void>> registered = begin_connect("bot");
  advance(seconds(6));
  ASSERT_TRUE(*registered);
  EXPECT_FALSE(**registered);
  advance(seconds(120));
  bot().start_takes = bot().takes = milliseconds(0);
  bot().start_fails.reset();
  ASSERT_TRUE(connect("bot"));
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
}

TEST_F(ChannelsTest, TurnsInFlightWhenTheirChannelGoesAreAnsweredOnceItIsBack) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  for (int i = 0; i < 20; ++i) {
    say(fmt::format("c{}", i), fmt::format("m{}", i), fmt::format("p{}", i));
  }
  EXPECT_EQ(agents_.running, 20u);
  disconnect("bot");
  advance(seconds(2));
  EXPECT_EQ(agents_.running, 0u);
  EXPECT_THAT(bot().tries, IsEmpty());
  ASSERT_TRUE(connect("bot"));
  run_until_rest();
  EXPECT_THAT(bot().taken(), SizeIs(20));
  EXPECT_THAT(agents_.calls, SizeIs(20)) << "each ran once";
}

TEST_F(ChannelsTest, TurnThatWaitedForASlotWhenItsChannelWentRunsOnceItIsBack) {
  options_.max_concurrent_turns = 1;
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  add_platform("other");
  start();
  const Posted first = post("other", {message("o", "holds the slot")});
  run_until_idle();
  say("c", "waits for it");
  disconnect("bot");
  advance(seconds(3));
  EXPECT_THAT(agents_.texts(), ElementsAre("holds the slot"));
  ASSERT_TRUE(connect("bot"));
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re waits for it"));
}

TEST_F(ChannelsTest, SlotOfATurnWhoseChannelIsGoneServesOthers) {
  options_.max_concurrent_turns = 1;
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  add_platform("other");
  start();
  const Posted first = post("other", {message("o", "holds the slot")});
  run_until_idle();
  say("c", "waits for it");
  const Posted second = post("other", {message("p", "waits too")});
  run_until_idle();
  disconnect("bot");
  advance(seconds(3));
  EXPECT_THAT(platforms_.at("other").taken(), ElementsAre("re holds the slot", "re waits too"));
}

TEST_F(ChannelsTest, LongAnswerFinishedWithoutItsChannelIsStillSplitAsThePlatformNeeds) {
  bot().info.can.part_bytes_max = 100;
  agent_does([](const TurnRequest&) {
    Act act = Act::says(std::string(250, 'x'));
    act.takes = seconds(1);
    return act;
  });
  start();
  say("c", "hello");
  disconnect("bot");
  advance(seconds(2));
  ASSERT_TRUE(connect("bot"));
  run_until_rest();
  std::string whole;
  for (const std::string& text : bot().taken()) {
    EXPECT_LE(text.size(), 100u);
    whole += text;
  }
  EXPECT_EQ(whole, std::string(250, 'x'));
}

TEST_F(ChannelsTest, EditUnderWayWhenItsChannelGoesIsRefusedAndNotHalfTaken) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "runs");
  const InboundMessage waiting = message("c", "waits");
  say(waiting);
  InboundMessage edit = waiting;
  edit.kind = EventKind::kEdit;
  edit.revision = "2";
  edit.text = "edited";
  hold_store_ = true;
  const Posted posted = post(edit);
  run_until_idle();
  const Begun<Result<void>> gone = begin(gateway().unregister("bot"));
  run_until_idle();
  EXPECT_TRUE(*gone);
  hold_store_ = false;
  run_until_idle();
  ASSERT_TRUE(*posted);
  ASSERT_FALSE(**posted);
  EXPECT_EQ((*posted)->error().kind(), ErrorKind::kUnavailable);
  ASSERT_TRUE(connect("bot"));
  EXPECT_TRUE(say(edit).id) << "delivered again, it is taken";
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re runs", "re edited"));
}

TEST_F(ChannelsTest, NothingIsAcceptedFromAChannelThatIsBeingStopped) {
  bot().stop_hangs = true;
  start();
  const Begun<Result<void>> gone = begin(gateway().unregister("bot"));
  run_until_idle();
  const Error refused = refusal(message("c", "hello"));
  EXPECT_EQ(refused.kind(), ErrorKind::kUnavailable);
  EXPECT_TRUE(refused.retry().allowed());
}

TEST_F(ChannelsTest, LastChannelGoneDoesNotEndTheRun) {
  start();
  const Begun<bool> ran = begin(gateway().run());
  disconnect("bot");
  advance(seconds(60));
  EXPECT_FALSE(*ran);
  gateway().signal_shutdown();
  run_until_idle();
  EXPECT_TRUE(*ran);
}

TEST_F(ChannelsTest, SendToDeliversOnceForEachKey) {
  start();
  const OutboundMessage text{"c", "", "good morning", ""};
  const Result<Accepted> first = await(gateway().send_to("bot", text, "job-1"));
  const Result<Accepted> again = await(gateway().send_to("bot", text, "job-1"));
  ASSERT_TRUE(first);
  ASSERT_TRUE(again);
  EXPECT_EQ(first->verdict, EventVerdict::kNew);
  EXPECT_EQ(again->verdict, EventVerdict::kDuplicate);
  EXPECT_EQ(again->id, first->id);
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("good morning"));
}

TEST_F(ChannelsTest, SendToRefusesAKeyThatWasUsedWithAnotherText) {
  start();
  await(gateway().send_to("bot", {"c", "", "one", ""}, "job-1"));
  const Result<Accepted> other = await(gateway().send_to("bot", {"c", "", "two", ""}, "job-1"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(bot().taken(), ElementsAre("one"));
}

TEST_F(ChannelsTest, SendToKnowsItsKeysAfterARestart) {
  start();
  await(gateway().send_to("bot", {"c", "", "one", ""}, "job-1"));
  restart();
  const Result<Accepted> again = await(gateway().send_to("bot", {"c", "", "one", ""}, "job-1"));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->verdict, EventVerdict::kDuplicate);
  EXPECT_THAT(bot().taken(), ElementsAre("one"));
}

TEST_F(ChannelsTest, SendToAnUnknownChannelIsAnErrorAndCounted) {
  start();
  const Result<Accepted> sent = await(gateway().send_to("nobody", {"c", "", "x", ""}, "k"));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind(), ErrorKind::kNotFound);
  disconnect("bot");
  EXPECT_FALSE(await(gateway().send_to("bot", {"c", "", "x", ""}, "k")));
  EXPECT_EQ(metric("sluice_send_to_unknown_channel_total"), 2);
}

TEST_F(ChannelsTest, SendToRefusesWhatNoChannelCouldSend) {
  start();
  const auto kind_of = [&](OutboundMessage message) {
    const Result<Accepted> sent = await(gateway().send_to("bot", std::move(message), "k"));
    return sent ? ErrorKind::kInternal : sent.error().kind();
  };
  EXPECT_EQ(kind_of({"", "", "x", ""}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind_of({"c", "", "", ""}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind_of({"c", "", "\xff", ""}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind_of({"c", std::string(1'025, 't'), "x", ""}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind_of({"c", "", std::string((1 << 20) + 1, 'x'), ""}), ErrorKind::kTooLarge);
  EXPECT_THAT(bot().tries, IsEmpty());
}

TEST_F(ChannelsTest, ChannelThatThrowsWhenItStartsIsRefusedWithItsWords) {
  bot().start_throws = true;
  open();
  const Result<void> registered = connect("bot");
  ASSERT_FALSE(registered);
  EXPECT_THAT(registered.error().to_string(), ::testing::HasSubstr("a bug at the start"));
  bot().start_throws = false;
  EXPECT_TRUE(connect("bot"));
}

TEST_F(ChannelsTest, ChannelThatThrowsWhenItStopsIsGoneAllTheSame) {
  bot().stop_throws = true;
  start();
  disconnect("bot");
  EXPECT_EQ(bot().live, 0);
}

TEST_F(ChannelsTest, SendToSplitsWhatIsTooLongForOnePart) {
  bot().info.can.part_bytes_max = 100;
  start();
  await(gateway().send_to("bot", {"c", "", std::string(250, 'x'), ""}, "job-1"));
  run_until_rest();
  EXPECT_THAT(bot().taken(),
              ElementsAre(std::string(100, 'x'), std::string(100, 'x'), std::string(50, 'x')));
}

TEST_F(ChannelsTest, AgentNamesAreUnique) {
  start();
  const Result<void> refused =
      gateway().add_agent(std::make_unique<ScriptedAgent>(loop(), agents_, agent("echo")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConflict);
}

}  // namespace
}  // namespace sluice::test
