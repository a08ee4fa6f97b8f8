// Every queue has a bound; what is refused at one leaves nothing behind (C32; seed 001: W2).

#include "tests/gateway/gateway_fixture.h"

namespace sluice::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LimitsTest : public GatewayTest {
 protected:
  /// Refused with this kind; nothing of it is kept.
  void expect_refused(InboundMessage event, ErrorKind kind) {
    const std::uint64_t pending = gateway().status().pending;
    const InboundMessage copy = event;
    EXPECT_EQ(refusal(std::move(event)).kind(), kind);
    EXPECT_EQ(gateway().status().pending, pending);
    MessageFilter filter;
    filter.chat = copy.chat;
    const auto found = store().reader().find_messages(filter);
    ASSERT_TRUE(found);
    EXPECT_THAT(*found, IsEmpty());
  }
  Error body_refusal(std::vector<InboundMessage> body) {
    const Posted posted = post("bot", std::move(body));
    run_until_idle();
    EXPECT_TRUE(*posted && !**posted) << "accepted, or not answered";
    return *posted && !**posted ? (*posted)->error() : Error();
  }
  void turns_never_end() {
    agent_does([](const TurnRequest&) { return Act::hang(); });
  }
};

TEST_F(LimitsTest, EmptyFieldsThatAreNeededAreRefused) {
  start();
  for (std::string InboundMessage::* field :
       {&InboundMessage::sender, &InboundMessage::event, &InboundMessage::text}) {
    InboundMessage event = message("c", "hello");
    (event.*field).clear();
    expect_refused(event, ErrorKind::kInvalidArgument);
  }
  InboundMessage nowhere = message("", "hello");
  EXPECT_EQ(refusal(nowhere).kind(), ErrorKind::kInvalidArgument);
}

TEST_F(LimitsTest, TextOfOnlyWhiteSpaceIsEmpty) {
  start();
  expect_refused(message("c", " \r\n\t "), ErrorKind::kInvalidArgument);
}

TEST_F(LimitsTest, AttachmentNeedsNoText) {
  start();
  InboundMessage event = message("c", "");
  event.attachments = {"photo-1"};
  EXPECT_TRUE(say(event).id);
}

TEST_F(LimitsTest, TextAtTheBoundIsTakenAndAByteMoreIsNot) {
  options_.text_bytes_max = 1'000;
  start();
  EXPECT_TRUE(say("a", std::string(1'000, 'x')).id);
  expect_refused(message("b", std::string(1'001, 'x')), ErrorKind::kTooLarge);
}

TEST_F(LimitsTest, FieldsOverTheBoundAreRefused) {
  start();
  const std::string long_text(options_.field_bytes_max + 1, 'x');
  for (std::string InboundMessage::* field :
       {&InboundMessage::thread, &InboundMessage::sender, &InboundMessage::sender_name,
        &InboundMessage::event, &InboundMessage::revision, &InboundMessage::session,
        &InboundMessage::request_id}) {
    InboundMessage event = message("c", "hello");
    event.*field = long_text;
    expect_refused(event, ErrorKind::kTooLarge);
  }
}

TEST_F(LimitsTest, FieldsThatAreNotUtf8AreRefused) {
  start();
  for (std::string InboundMessage::* field :
       {&InboundMessage::thread, &InboundMessage::sender, &InboundMessage::text,
        &InboundMessage::request_id, &InboundMessage::reply_to}) {
    InboundMessage event = message("c", "hello");
    event.*field = "\xc0\xaf";
    expect_refused(event, ErrorKind::kInvalidArgument);
  }
}

TEST_F(LimitsTest, ListsOverTheBoundAreRefused) {
  start();
  for (std::vector<std::string> InboundMessage::* list :
       {&InboundMessage::attachments, &InboundMessage::projects}) {
    InboundMessage event = message("c", "hello");
    (event.*list).assign(options_.attachments_max + 1, "x");
    expect_refused(event, ErrorKind::kTooLarge);
  }
}

TEST_F(LimitsTest, OrderMustBePositive) {
  start();
  InboundMessage event = message("c", "hello");
  event.order = 0;
  expect_refused(event, ErrorKind::kInvalidArgument);
}

TEST_F(LimitsTest, BodyWithTooManyEventsIsRefusedWhole) {
  options_.batch_max = 3;
  start();
  std::vector<InboundMessage> body;
  for (int i = 0; i < 4; ++i) body.push_back(message("c", "hello"));
  EXPECT_EQ(body_refusal(body).kind(), ErrorKind::kTooLarge);
  EXPECT_EQ(gateway().status().pending, 0u);
}

TEST_F(LimitsTest, OneBadEventRefusesItsWholeBody) {
  start();
  EXPECT_EQ(body_refusal({message("c", "good"), message("c", "")}).kind(),
            ErrorKind::kInvalidArgument);
  run_until_rest();
  EXPECT_THAT(agents_.calls, IsEmpty());
}

TEST_F(LimitsTest, ConversationHoldsNoMoreThanItsBound) {
  options_.pending_per_conversation = 5;
  turns_never_end();
  start();
  for (int i = 0; i < 6; ++i) say("full", fmt::format("m{}", i), fmt::format("p{}", i));
  const Error refused = refusal(message("full", "one more", "somebody"));
  EXPECT_EQ(refused.kind(), ErrorKind::kOverloaded);
  EXPECT_TRUE(refused.retry().allowed());
  EXPECT_TRUE(say("other", "hello", "somebody").id);
  EXPECT_EQ(metric("sluice_refused_overload_total"), 1);
}

TEST_F(LimitsTest, StopIsHeardAtEveryBound) {
  options_.pending_per_conversation = 2;
  options_.pending_per_person = 3;
  options_.pending_per_account = 3;
  options_.pending_bytes = 15;
  turns_never_end();
  start();
  for (int i = 0; i < 3; ++i) say("c", "hello");
  EXPECT_EQ(refusal(message("c", "more")).kind(), ErrorKind::kOverloaded);
  EXPECT_TRUE(say("c", "/stop").id);
  EXPECT_THAT(bot().taken(), ::testing::Contains("Stopping."));
}

TEST_F(LimitsTest, BodyThatDoesNotFitIntoANewConversationIsRefusedWhole) {
  options_.pending_per_conversation = 5;
  start();
  std::vector<InboundMessage> body;
  for (int i = 0; i < 10; ++i) body.push_back(message("c", "hello", fmt::format("p{}", i)));
  EXPECT_EQ(body_refusal(body).kind(), ErrorKind::kOverloaded);
  EXPECT_EQ(gateway().status().pending, 0u);
}

TEST_F(LimitsTest, BodyThatDoesNotFitIntoANewPersonsBoundIsRefusedWhole) {
  options_.pending_per_person = 5;
  start();
  std::vector<InboundMessage> body;
  for (int i = 0; i < 10; ++i) body.push_back(message(fmt::format("c{}", i), "hello", "ann"));
  EXPECT_EQ(body_refusal(body).kind(), ErrorKind::kOverloaded);
}

TEST_F(LimitsTest, BodyOfManyPersonsAndConversationsIsCountedForEachAlone) {
  options_.pending_per_conversation = 5;
  options_.pending_per_person = 5;
  start();
  std::vector<InboundMessage> body;
  for (int i = 0; i < 20; ++i) {
    body.push_back(message(fmt::format("c{}", i % 10), "hello", fmt::format("p{}", i % 10)));
  }
  const Posted posted = post("bot", body);
  run_until_idle();
  ASSERT_TRUE(*posted);
  EXPECT_TRUE(**posted) << (*posted)->error().to_string();
}

TEST_F(LimitsTest, PersonHoldsNoMoreThanTheirBound) {
  options_.pending_per_person = 5;
  turns_never_end();
  start();
  for (int i = 0; i < 5; ++i) say(fmt::format("c{}", i), "hello", "ann");
  expect_refused(message("d", "one more", "ann"), ErrorKind::kOverloaded);
  EXPECT_TRUE(say("e", "hello", "bob").id);
}

TEST_F(LimitsTest, AccountHoldsNoMoreThanItsBound) {
  options_.pending_per_account = 5;
  turns_never_end();
  add_platform("other");
  start();
  for (int i = 0; i < 5; ++i) say(fmt::format("c{}", i), "hello", fmt::format("p{}", i));
  expect_refused(message("d", "one more", "bob"), ErrorKind::kOverloaded);
  const Posted posted = post("other", {message("c", "hello")});
  run_until_idle();
  EXPECT_TRUE(**posted);
}

TEST_F(LimitsTest, WaitingBytesAreBounded) {
  options_.pending_bytes = 10'000;
  turns_never_end();
  start();
  say("a", std::string(6'000, 'x'));
  expect_refused(message("b", std::string(6'000, 'x')), ErrorKind::kOverloaded);
  EXPECT_TRUE(say("c", "short").id);
}

TEST_F(LimitsTest, RoomComesBackWhenTurnsEnd) {
  options_.pending_per_person = 2;
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("a", "hello");
  say("b", "hello");
  EXPECT_EQ(refusal(message("c", "hello")).kind(), ErrorKind::kOverloaded);
  run_until_rest();
  EXPECT_TRUE(say("c", "hello").id);
}

TEST_F(LimitsTest, BoundsCountWhatIsOnDiskFromBeforeARestart) {
  options_.pending_per_person = 5;
  turns_never_end();
  start();
  for (int i = 0; i < 5; ++i) say(fmt::format("c{}", i), "hello", "ann");
  restart();
  EXPECT_EQ(refusal(message("d", "one more", "ann")).kind(), ErrorKind::kOverloaded);
}

TEST_F(LimitsTest, SenderIsSlowedWhileTheDiskCannotKeepUpAndThenToldToComeBack) {
  options_.inbox_capacity = 4;
  start();
  hold_store_ = true;
  std::vector<Posted> taken;
  for (int i = 0; i < 4; ++i) taken.push_back(post(message(fmt::format("c{}", i), "hello")));
  const Posted slowed = post(message("d", "hello"));
  run_until_idle();
  advance(milliseconds(4'999));
  EXPECT_FALSE(*slowed);
  advance(milliseconds(1));
  ASSERT_TRUE(*slowed);
  ASSERT_FALSE(**slowed);
  EXPECT_EQ((*slowed)->error().kind(), ErrorKind::kOverloaded);
  hold_store_ = false;
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(4)) << "nothing of the refused one was kept";
}

TEST_F(LimitsTest, BoundsHoldForThoseWhoWaitedForTheDiskToo) {
  options_.inbox_capacity = 1;
  options_.pending_per_conversation = 2;
  turns_never_end();
  start();
  hold_store_ = true;
  std::vector<Posted> posted;
  for (int i = 0; i < 6; ++i) posted.push_back(post(message("c", "hello")));
  run_until_idle();
  hold_store_ = false;
  advance(seconds(6));
  int taken = 0;
  for (const Posted& one : posted) {
    ASSERT_TRUE(*one);
    taken += **one ? 1 : 0;
  }
  EXPECT_EQ(taken, 3) << "one runs, two wait";
}

TEST_F(LimitsTest, SlowedSenderIsTakenOnceTheDiskHasCaughtUp) {
  options_.inbox_capacity = 4;
  start();
  hold_store_ = true;
  std::vector<Posted> posted;
  for (int i = 0; i < 6; ++i) posted.push_back(post(message(fmt::format("c{}", i), "hello")));
  run_until_idle();
  hold_store_ = false;
  run_until_idle();
  for (const Posted& one : posted) EXPECT_TRUE(*one && **one);
}

// The seed's gateway took 100 000 messages behind an inbox of "1024", each a task of 1 530 bytes.
TEST_F(LimitsTest, WaitingMessagesCostTheirIdsAndNoTask) {
  constexpr int kMessages = 20'000;
  options_.pending_per_person = 2 * kMessages;
  turns_never_end();
  start();
  say("warm", "up");
  const std::size_t tasks = gateway().core().tasks.size();
  for (int i = 0; i < kMessages; i += 100) {
    std::vector<InboundMessage> body;
    for (int k = 0; k < 100; ++k) {
      body.push_back(message(fmt::format("c{}", (i + k) % 100), std::string(100, 'x'), "ann"));
    }
    const Posted posted = post("bot", std::move(body));
    run_until_idle();
    ASSERT_TRUE(*posted && **posted);
  }
  EXPECT_EQ(gateway().status().pending, static_cast<std::uint64_t>(kMessages) + 1);
  EXPECT_LE(gateway().core().bodies.size(), options_.inbox_capacity);
  EXPECT_LE(gateway().core().tasks.size(), tasks + options_.max_turns_per_person);
  static_assert(sizeof(Waiting) <= 32);
}

TEST_F(LimitsTest, BodiesBeyondTheWindowComeFromDisk) {
  options_.inbox_capacity = 2;
  agent_does([](const TurnRequest&) { return Act::slow(milliseconds(10)); });
  start();
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    say("c", fmt::format("m{}", i));
    expected.push_back(fmt::format("m{}", i));
  }
  run_until_rest();
  EXPECT_EQ(agents_.texts(), expected);
}

TEST_F(LimitsTest, NearlyFullDiskClosesIntakeAndLetsRunningTurnsEnd) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(5)); });
  start();
  say("c", "hello");
  free_disk_bytes_ = 1 << 20;
  advance(seconds(1));
  expect_refused(message("d", "hello"), ErrorKind::kDiskFull);
  EXPECT_FALSE(gateway().status().accepting);
  run_until_rest();
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
  free_disk_bytes_ = 1ull << 40;
  advance(seconds(1));
  EXPECT_TRUE(say("d", "hello").id);
}

TEST_F(LimitsTest, FullDiskIsRolledBackAndPasses) {
  start();
  say("a", "hello");
  run_until_rest();
  disk_.set_capacity(1);
  EXPECT_EQ(refusal(message("b", "hello")).kind(), ErrorKind::kDiskFull);
  disk_.set_capacity(1ull << 30);
  EXPECT_TRUE(say("b", "hello").id);
  run_until_rest();
  EXPECT_THAT(agents_.calls, SizeIs(2));
}

TEST_F(LimitsTest, TurnThatEndsOnAFullDiskIsWrittenOnceThereIsRoom) {
  agent_does([](const TurnRequest&) { return Act::slow(seconds(1)); });
  start();
  say("c", "hello");
  disk_.set_capacity(1);
  advance(seconds(10));
  EXPECT_THAT(bot().tries, IsEmpty());
  disk_.set_capacity(1ull << 30);
  advance(seconds(2));
  EXPECT_THAT(bot().taken(), ElementsAre("re hello"));
  EXPECT_THAT(agents_.calls, SizeIs(1));
}

TEST_F(LimitsTest, FailedSyncEndsTheProcessAndAcknowledgesNothing) {
  start();
  disk_.fail(sim::DiskFault::kSyncError, 1);
  const Posted posted = post(message("c", "hello"));
  run_until_idle();
  ASSERT_TRUE(*posted);
  EXPECT_FALSE(**posted);
  EXPECT_TRUE(process_->storage_failed);
  EXPECT_EQ(refusal(message("d", "hello")).kind(), ErrorKind::kStorageFailed);
  EXPECT_THAT(bot().tries, IsEmpty());
}

TEST_F(LimitsTest, WhoIsNotAllowedIsKeptOutWithoutARow) {
  bot().account.allow = {"ann"};
  start();
  const Accepted kept_out = say("c", "hello", "mallory");
  EXPECT_TRUE(kept_out.refused_by_access);
  EXPECT_FALSE(kept_out.id);
  EXPECT_EQ(metric("sluice_refused_by_access_total"), 1);
  EXPECT_EQ(gateway().status().conversations, 0u);
  EXPECT_TRUE(say("c", "hello", "ann").id);
}

TEST_F(LimitsTest, EmptyAllowListLetsNobodyIn) {
  bot().account.allow = {};
  start();
  EXPECT_TRUE(say("c", "hello").refused_by_access);
}

TEST_F(LimitsTest, GroupNeedsAMentionWhereTheAccountSaysSo) {
  start();
  InboundMessage event = message("g", "hello");
  event.chat_kind = ChatKind::kGroup;
  event.mentions_us = false;
  EXPECT_TRUE(say(event).refused_by_access);
  event.mentions_us = true;
  EXPECT_TRUE(say(event).id);
}

TEST_F(LimitsTest, CursorIsKeptWithItsBodyAndOutlivesARestart) {
  start();
  const Posted posted = post("bot", {message("c", "hello")}, "update-17");
  run_until_idle();
  EXPECT_EQ(host("bot").cursor(), "update-17");
  restart();
  EXPECT_EQ(host("bot").cursor(), "update-17");
}

TEST_F(LimitsTest, RefusedBodyDoesNotMoveTheCursor) {
  start();
  const Posted posted = post("bot", {message("c", "")}, "update-17");
  run_until_idle();
  EXPECT_FALSE(**posted);
  EXPECT_EQ(host("bot").cursor(), "");
}

}  // namespace
}  // namespace sluice::test
