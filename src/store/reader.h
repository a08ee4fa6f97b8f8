#pragma once
// SqliteReader: answers questions from a connection of its own, which only queries and never
// checkpoints.
//
// Each run() is one read transaction, so that all its answers agree, and short: an old state that
// stays open keeps the log from being reused. A query that takes longer than kLongestRead ends with
// kTimeout.
//
// Thread: one at a time. The engine that made it must outlive it.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/store.h"
#include "runtime/loop.h"
#include "store/dedupe.h"
#include "store/sqlite.h"

namespace sluice {

class SqliteReader : public StoreReader {
 public:
  static constexpr Duration kLongestRead = std::chrono::seconds(1);
  static constexpr std::size_t kMostRows = 1000;  // of one answer that is a list

  /// clock: nullptr for no bound on time (the simulation, whose clock stands still meanwhile).
  static Result<std::unique_ptr<SqliteReader>> open(const std::string& path, const char* vfs,
                                                    std::shared_ptr<const KeySet> keys,
                                                    Clock* clock);
  ~SqliteReader() override;

  /// Calls f inside one read transaction.
  void run(const std::function<void(StoreReader&)>& f);

  Result<std::optional<ConversationRow>> conversation(LaneId id) override;
  Result<std::vector<ListedConversation>> conversations_of(const std::string& account,
                                                           const std::string& owner, LaneId before,
                                                           std::size_t limit) override;
  Result<std::vector<std::shared_ptr<const MessageRow>>> messages(
      std::span<const MessageId> ids) override;
  Result<std::vector<std::shared_ptr<const PartRow>>> parts(std::span<const PartId> ids) override;
  Result<std::vector<HistoryRow>> history(HistoryId from, HistoryId after, std::size_t max_rows,
                                          std::size_t max_bytes) override;
  Result<std::optional<MessageId>> find_event(Key128 key) override;
  Result<std::optional<MessageLife>> life(MessageId id) override;
  Result<std::vector<FoundMessage>> find_messages(const MessageFilter& filter) override;
  Result<std::vector<DeadLetter>> dead_letters(std::size_t limit, std::int64_t before) override;
  Result<std::optional<DeadLetter>> dead_letter(std::int64_t id) override;

  /// The person's stored lines as JSON (erase.h). Not bounded by kLongestRead.
  Result<std::int64_t> export_person(const std::string& account, const std::string& sender,
                                     const std::function<bool(std::string_view)>& line);
  sqlite::Database& database() { return db_; }

 private:
  SqliteReader(sqlite::Database db, std::shared_ptr<const KeySet> keys, Clock* clock)
      : db_(std::move(db)), keys_(std::move(keys)), clock_(clock) {}
  Result<void> prepare();
  static int over_time(void* self);
  Result<void> parts_of(MessageLife& life);
  Result<std::vector<FoundMessage>> find_in(sqlite::Statement& statement, bool pending,
                                            const MessageFilter& filter);
  Result<void> collect_dead(sqlite::Statement& statement, bool part, std::size_t limit,
                            std::int64_t before, std::vector<DeadLetter>& out);

  sqlite::Database db_;
  std::shared_ptr<const KeySet> keys_;
  Clock* clock_;
  MonoTime deadline_ = MonoTime::max();
  sqlite::Statement conversation_, of_owner_, message_, part_, history_, key_, key_days_;
  sqlite::Statement ended_, dead_message_, dead_part_, parts_log_, parts_open_;
  sqlite::Statement find_ended_, find_pending_, dead_messages_, dead_parts_;
};

}  // namespace sluice
