#pragma once
// A store in a directory of its own for the store's tests, and short ways to write rows.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "store/engine.h"
#include "store/reader.h"

namespace sluice {

class StoreFixture : public ::testing::Test {
 protected:
  static constexpr std::int64_t kDay = 24 * 60 * 60 * 1000;

  StoreFixture() {
    char name[] = "/tmp/sluice-store-XXXXXX";
    directory_ = ::mkdtemp(name);
    options_.directory = directory_;
    options_.now = UnixMillis{100 * kDay};
  }
  ~StoreFixture() override {
    reader_.reset();
    engine_.reset();
    std::filesystem::remove_all(directory_);
  }

  void open() {
    auto engine = SqliteEngine::open(options_);
    ASSERT_TRUE(engine) << engine.error().to_string();
    engine_ = std::move(*engine);
    auto reader = engine_->make_reader(nullptr);
    ASSERT_TRUE(reader) << reader.error().to_string();
    reader_ = std::move(*reader);
  }
  /// As after SIGKILL: nothing is written at the end.
  void reopen() {
    reader_.reset();
    engine_.reset();
    open();
  }
  void close() {
    reader_.reset();
    const auto closed = engine_->close();
    ASSERT_TRUE(closed) << closed.error().to_string();
    engine_.reset();
  }
  /// Why the store can't be opened.
  Error open_error() {
    reader_.reset();
    engine_.reset();
    const auto engine = SqliteEngine::open(options_);
    EXPECT_FALSE(engine);
    return engine ? Error() : engine.error();
  }

  std::vector<SqliteEngine::ResultSlot> apply_all(const std::vector<Transaction>& batch) {
    std::vector<const Transaction*> pointers;
    for (const Transaction& t : batch) pointers.push_back(&t);
    std::vector<SqliteEngine::ResultSlot> results(batch.size());
    engine_->apply(pointers, results);
    return results;
  }
  Result<Receipt> try_apply(const Transaction& transaction) {
    return std::move(*apply_all({transaction})[0]);
  }
  Receipt apply(const Transaction& transaction) {
    Result<Receipt> result = try_apply(transaction);
    EXPECT_TRUE(result) << result.error().to_string();
    return result ? *result : Receipt{};
  }
  /// Applies one set of changes.
  void change(Changes changes) {
    Transaction transaction;
    transaction.changes = std::move(changes);
    apply(transaction);
  }

  static ConversationRow conversation(std::int64_t lane, const std::string& account = "acct",
                                      ChatKind kind = ChatKind::kDirect) {
    ConversationRow row;
    row.id = LaneId{lane};
    row.key = {static_cast<std::uint64_t>(lane), 77};
    row.account = account;
    row.chat = "chat" + std::to_string(lane);
    row.kind = kind;
    row.created_at = UnixMillis{5};
    return row;
  }
  static MessageRow message(std::int64_t id, std::int64_t lane, const std::string& text = "hello",
                            const std::string& sender = "ann") {
    MessageRow row;
    row.id = MessageId{id};
    row.lane = LaneId{lane};
    row.sender = sender;
    row.sender_name = "Name of " + sender;
    row.event = "e" + std::to_string(id);
    row.text = text;
    row.reply_to = "r";
    row.accepted_at = UnixMillis{100 * kDay + id};
    return row;
  }
  static KeyedEvent event(const MessageRow& row, std::uint64_t key, std::uint64_t content = 1) {
    KeyedEvent e;
    e.id = row.id;
    e.key = {key, key * 0x9e3779b97f4a7c15u};
    e.content = {content, content};
    e.at = row.accepted_at;
    e.message = std::make_shared<const MessageRow>(row);
    return e;
  }
  /// A message in lane 1, with its id as its key.
  static Transaction accept(std::int64_t id, const std::string& text = "hello") {
    Transaction transaction;
    transaction.conversations.push_back(conversation(1));
    transaction.events.push_back(event(message(id, 1, text), static_cast<std::uint64_t>(id)));
    return transaction;
  }
  static MessageEnd ended(std::int64_t id, MessageOutcome outcome = MessageOutcome::kAnswered) {
    MessageEnd end;
    end.id = MessageId{id};
    end.outcome = outcome;
    end.ended_at = UnixMillis{100 * kDay + id + 1};
    return end;
  }
  static HistoryRow line(std::int64_t id, std::int64_t prev, std::int64_t lane,
                         const std::string& text, const std::string& author = "") {
    HistoryRow row;
    row.id = HistoryId{id};
    row.prev = HistoryId{prev};
    row.lane = LaneId{lane};
    row.kind = author.empty() ? HistoryKind::kAgent : HistoryKind::kPerson;
    row.author = author;
    row.text = text;
    row.at = UnixMillis{100 * kDay + id};
    return row;
  }
  static PartRow part(std::int64_t id, std::int64_t lane, std::int64_t turn,
                      const std::string& text) {
    PartRow row;
    row.id = PartId{id};
    row.lane = LaneId{lane};
    row.turn = TurnId{turn};
    row.text = text;
    row.committed_at = UnixMillis{100 * kDay + id};
    return row;
  }
  static TurnRow turn(std::int64_t id, std::int64_t lane, std::vector<MessageId> messages) {
    TurnRow row;
    row.id = TurnId{id};
    row.lane = LaneId{lane};
    row.messages = std::move(messages);
    row.agent = "echo";
    row.started_at = UnixMillis{100 * kDay + id};
    return row;
  }
  static PartSettlement settled(std::int64_t id, PartOutcome outcome = PartOutcome::kSent) {
    PartSettlement settlement;
    settlement.id = PartId{id};
    settlement.outcome = outcome;
    settlement.platform_id = "p" + std::to_string(id);
    settlement.at = UnixMillis{100 * kDay + id + 1};
    return settlement;
  }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  static std::string slurp(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// Whether the text is anywhere in the database or its log.
  bool on_disk(const std::string& text) const {
    return slurp(path("sluice.db")).find(text) != std::string::npos ||
           slurp(path("sluice.db-wal")).find(text) != std::string::npos;
  }
  /// Runs idle work until there is none left.
  void settle(UnixMillis now, bool may_prune = true) {
    for (int i = 0; i < 100'000; ++i) {
      const auto more = engine_->maintain(now, SqliteEngine::Effort::kIdle, may_prune);
      ASSERT_TRUE(more) << more.error().to_string();
      if (!*more) return;
    }
    FAIL() << "idle work does not end";
  }
  /// Changes the store's file behind the engine's back; it must be closed.
  void execute(const std::string& sql) {
    auto db = sqlite::Database::open(path("sluice.db"), sqlite::Database::Mode::kExisting);
    ASSERT_TRUE(db);
    const auto r = db->exec(sql);
    ASSERT_TRUE(r) << r.error().to_string();
  }
  std::int64_t count(const std::string& table) {
    const auto n = reader_->database().query_integer("SELECT count(*) FROM " + table);
    EXPECT_TRUE(n);
    return n ? n->value_or(-1) : -1;
  }

  std::string directory_;
  StoreOptions options_;
  std::unique_ptr<SqliteEngine> engine_;
  std::unique_ptr<SqliteReader> reader_;
};

}  // namespace sluice
