#include "store/reader.h"

#include "store/store_fixture.h"

namespace sluice {
namespace {

class ReaderTest : public StoreFixture {
 protected:
  ReaderTest() { open(); }
  std::vector<std::string> walk(std::int64_t from, std::int64_t after, std::size_t rows = 100,
                                std::size_t bytes = 10'000) {
    std::vector<std::string> texts;
    const auto lines = reader_->history(HistoryId{from}, HistoryId{after}, rows, bytes);
    EXPECT_TRUE(lines);
    for (const HistoryRow& line : *lines) texts.push_back(line.text);
    return texts;
  }
  std::vector<std::int64_t> find(const MessageFilter& filter) {
    std::vector<std::int64_t> ids;
    const auto found = reader_->find_messages(filter);
    EXPECT_TRUE(found);
    for (const FoundMessage& message : *found) ids.push_back(message.id.value);
    return ids;
  }
};

// ---- history

TEST_F(ReaderTest, HistoryIsOneConversationsOldestFirst) {
  change({.history = {line(10, 0, 1, "a", "ann"), line(11, 0, 2, "other", "bob"),
                      line(12, 10, 1, "b"), line(13, 12, 1, "c", "ann")}});
  EXPECT_EQ(walk(13, 0), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(walk(13, 10), (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(walk(0, 0), std::vector<std::string>());
}

TEST_F(ReaderTest, HistoryKeepsTheNewestWithinItsBounds) {
  change({.history = {line(10, 0, 1, "aaaa"), line(12, 10, 1, "bbbb"), line(13, 12, 1, "cccc")}});
  EXPECT_EQ(walk(13, 0, 2), (std::vector<std::string>{"bbbb", "cccc"}));
  EXPECT_EQ(walk(13, 0, 9, 7), (std::vector<std::string>{"cccc"}));
}

TEST_F(ReaderTest, HistoryEndsWhereRetentionHasCutIt) {
  change({.history = {line(12, 10, 1, "b"), line(13, 12, 1, "c")}});
  EXPECT_EQ(walk(13, 0), (std::vector<std::string>{"b", "c"}));
}

// ---- lists of conversations

TEST_F(ReaderTest, ConversationsAreListedOfOneOwnerTheNewestFirst) {
  Transaction t;
  for (const auto& [lane, chat] : {std::pair<std::int64_t, std::string>{10, "ann/a"},
                                   {20, "ann/b/c"},
                                   {30, "anna/a"},
                                   {40, "ann"},
                                   {50, "ann/d"},
                                   {60, "/ann/e"}}) {
    t.conversations.push_back(conversation(lane));
    t.conversations.back().chat = chat;
  }
  t.conversations.push_back(conversation(70, "other"));
  t.conversations.back().chat = "ann/f";
  apply(t);
  const auto list = [this](std::int64_t before, std::size_t limit) {
    std::vector<std::string> chats;
    const auto found = reader_->conversations_of("acct", "ann/", LaneId{before}, limit);
    EXPECT_TRUE(found);
    for (const ListedConversation& row : *found) chats.push_back(row.chat);
    return chats;
  };
  EXPECT_EQ(list(0, 9), (std::vector<std::string>{"ann/d", "ann/b/c", "ann/a"}));
  EXPECT_EQ(list(0, 2), (std::vector<std::string>{"ann/d", "ann/b/c"}));
  EXPECT_EQ(list(20, 9), (std::vector<std::string>{"ann/a"}));
}

TEST_F(ReaderTest, AListedConversationIsNamedAfterWhatWasSaidFirst) {
  Transaction t;
  t.conversations.push_back(conversation(10));
  t.conversations.back().chat = "ann/a";
  t.events = {event(message(11, 10, "The first"), 11), event(message(12, 10, "The second"), 12)};
  apply(t);
  const auto title = [this] {
    const auto found = reader_->conversations_of("acct", "ann/", LaneId{}, 1);
    return found && found->size() == 1 ? found->front().title : "(none)";
  };
  EXPECT_EQ(title(), "The first");
  MessageEnd end = ended(11);
  end.history = HistoryId{21};
  change({.ended = {end}, .history = {line(21, 0, 10, "The first, answered", "ann")}});
  EXPECT_EQ(title(), "The first, answered");
  ASSERT_TRUE(engine_->erase_person("acct", "ann"));
  EXPECT_EQ(title(), "");
}

// ---- searching

TEST_F(ReaderTest, MessagesAreFoundByEachFilter) {
  Transaction t;
  t.conversations = {conversation(1), conversation(2, "other")};
  t.events = {event(message(10, 1, "x", "ann"), 10), event(message(11, 1, "x", "bob"), 11),
              event(message(12, 2, "x", "ann"), 12), event(message(13, 1, "x", "ann"), 13)};
  t.changes.ended = {ended(10), ended(11, MessageOutcome::kFailed)};
  apply(t);
  EXPECT_EQ(find({}), (std::vector<std::int64_t>{13, 12, 11, 10}));
  EXPECT_EQ(find({.account = "acct"}), (std::vector<std::int64_t>{13, 11, 10}));
  EXPECT_EQ(find({.chat = "chat2"}), (std::vector<std::int64_t>{12}));
  EXPECT_EQ(find({.sender = "ann"}), (std::vector<std::int64_t>{13, 12, 10}));
  EXPECT_EQ(find({.outcome = MessageOutcome::kFailed}), (std::vector<std::int64_t>{11}));
  EXPECT_EQ(find({.pending_only = true}), (std::vector<std::int64_t>{13, 12}));
  EXPECT_EQ(find({.before = MessageId{12}}), (std::vector<std::int64_t>{11, 10}));
  EXPECT_EQ(find({.limit = 2}), (std::vector<std::int64_t>{13, 12}));
}

TEST_F(ReaderTest, ALifeTellsEveryPartAndHowItEnded) {
  Transaction t = accept(10);
  MessageEnd end = ended(10);
  end.turn = TurnId{11};
  t.changes.ended = {end};
  t.changes.parts = {part(14, 1, 11, "one"), part(15, 1, 11, "two"), part(16, 1, 99, "another's")};
  t.changes.settled = {settled(14)};
  apply(t);
  const auto life = reader_->life(MessageId{10});
  ASSERT_TRUE(life && life->has_value());
  ASSERT_EQ((*life)->parts.size(), 2u);
  ASSERT_TRUE((*life)->parts[0].settled);
  EXPECT_EQ((*life)->parts[0].settled->platform_id, "p14");
  EXPECT_TRUE((*life)->parts[0].row.text.empty());
  EXPECT_EQ((*life)->parts[1].row.text, "two");
  EXPECT_FALSE(reader_->life(MessageId{404})->has_value());
}

TEST_F(ReaderTest, DeadLettersComeNewestFirstInPages) {
  Transaction t = accept(10);
  t.events.push_back(event(message(11, 1), 11));
  t.changes.ended = {ended(10, MessageOutcome::kDead), ended(11, MessageOutcome::kDead)};
  t.changes.parts = {part(14, 1, 12, "p")};
  t.changes.settled = {settled(14, PartOutcome::kDead)};
  apply(t);
  auto letters = reader_->dead_letters(2, 0);
  ASSERT_EQ(letters->size(), 2u);
  EXPECT_EQ((*letters)[0].id, 14);
  EXPECT_TRUE((*letters)[0].part);
  EXPECT_EQ((*letters)[1].id, 11);
  letters = reader_->dead_letters(2, 11);
  ASSERT_EQ(letters->size(), 1u);
  EXPECT_EQ((*letters)[0].id, 10);
}

TEST_F(ReaderTest, AnswersOfOneRunAgree) {
  apply(accept(10));
  std::size_t before = 0;
  std::size_t after = 0;
  reader_->run([&](StoreReader& reader) {
    before = reader.find_messages({})->size();
    apply(accept(11));
    after = reader.find_messages({})->size();
  });
  EXPECT_EQ(before, 1u);
  EXPECT_EQ(after, 1u);
  EXPECT_EQ(find({}).size(), 2u);
}

class JumpingClock : public Clock {
 public:
  MonoTime now() override { return MonoTime{now_ += 400'000'000}; }
  UnixMillis wall() override { return {}; }

 private:
  std::int64_t now_ = 0;
};

TEST_F(ReaderTest, AQueryThatTakesTooLongIsEnded) {
  Changes c;
  for (std::int64_t id = 10; id < 5010; ++id) {
    c.parts.push_back(part(id, 1, 9, "x"));
    c.settled.push_back(settled(id));
  }
  c.ended = {};
  change(c);
  Transaction t;
  for (std::int64_t id = 10'000; id < 13'000; ++id)
    t.events.push_back(event(message(id, 1), static_cast<std::uint64_t>(id)));
  apply(t);
  JumpingClock clock;
  auto slow = engine_->make_reader(&clock);
  ASSERT_TRUE(slow);
  (*slow)->run([](StoreReader& reader) {
    const auto found = reader.find_messages({.sender = "nobody"});
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind(), ErrorKind::kTimeout);
  });
}

TEST_F(ReaderTest, AReaderCannotWrite) {
  EXPECT_FALSE(reader_->database().exec("DELETE FROM meta"));
}

}  // namespace
}  // namespace sluice
