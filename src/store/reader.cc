#include "store/reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "store/erase.h"
#include "store/key_log.h"
#include "store/rows.h"

namespace sluice {
namespace {
// Instructions of SQLite's machine between two looks at the clock: some tens of microseconds.
constexpr int kStepsBetweenLooks = 2000;
constexpr int kTitleCharacters = 80;
}  // namespace

Result<std::unique_ptr<SqliteReader>> SqliteReader::open(const std::string& path, const char* vfs,
                                                         std::shared_ptr<const KeySet> keys,
                                                         Clock* clock) {
  auto db = sqlite::Database::open(path, sqlite::Database::Mode::kQuery, vfs);
  if (!db) return db.error();
  std::unique_ptr<SqliteReader> reader(new SqliteReader(std::move(*db), std::move(keys), clock));
  if (auto r = reader->prepare(); !r) return r.error();
  return reader;
}

SqliteReader::~SqliteReader() = default;

Result<void> SqliteReader::prepare() {
  using rows::kMessageColumns;
  using rows::kPartColumns;
  constexpr std::string_view kFilter =
      "(?2='' OR c.account=?2) AND (?3='' OR c.chat=?3) AND (?4='' OR m.sender=?4) AND (?5<0 OR "
      "{}=?5) "
      "ORDER BY m.id DESC LIMIT ?6";
  const std::string filter_ended = fmt::format(fmt::runtime(kFilter), "m.outcome");
  const std::string filter_pending = fmt::format(fmt::runtime(kFilter), "-1");
  const std::pair<sqlite::Statement*, std::string> wanted[] = {
      {&conversation_,
       fmt::format("SELECT {} FROM conversations WHERE id=?1", rows::kConversationColumns)},
      // The message that begins a conversation has the id behind its conversation's (intake.cc).
      {&of_owner_,
       fmt::format(
           "SELECT c.id, c.chat, c.created_at, substr(coalesce((SELECT text FROM messages WHERE "
           "id=c.id+1 AND lane=c.id), (SELECT h.text FROM message_log m JOIN history h ON "
           "h.id=m.history AND h.kind={} WHERE m.id=c.id+1 AND m.lane=c.id), ''), 1, {}) FROM "
           "conversations c INDEXED BY conversations_of_owner WHERE c.account=?1 AND "
           "substr(c.chat, 1, instr(c.chat, '/'))=?2 AND "
           "instr(c.chat, '/')>0 AND c.id<?3 ORDER BY c.id DESC LIMIT ?4",
           static_cast<int>(HistoryKind::kPerson), kTitleCharacters)},
      {&message_, fmt::format("SELECT {} FROM messages WHERE id=?1", kMessageColumns)},
      {&part_, fmt::format("SELECT {} FROM outbox WHERE id=?1", kPartColumns)},
      {&history_, fmt::format("SELECT {} FROM history WHERE id=?1", rows::kHistoryColumns)},
      {&key_, "SELECT key FROM key_log WHERE id=?1"},
      {&key_days_, "SELECT day FROM key_days ORDER BY day DESC"},
      {&ended_, fmt::format("SELECT {} FROM message_log WHERE id=?1", rows::kMessageLogColumns)},
      {&dead_message_,
       fmt::format("SELECT {}, ended_turn, reason, died_at FROM dead_messages WHERE id=?1",
                   kMessageColumns)},
      {&dead_part_,
       fmt::format("SELECT {}, reason, died_at FROM dead_parts WHERE id=?1", kPartColumns)},
      {&parts_log_, fmt::format("SELECT {} FROM part_log WHERE cause=?1 ORDER BY id LIMIT {}",
                                rows::kPartLogColumns, kMostRows)},
      // The outbox has no index but its ids; a part's id is greater than its cause's.
      {&parts_open_,
       fmt::format(
           "SELECT {} FROM outbox WHERE id>?1 AND iif(turn, turn, event)=?1 ORDER BY id LIMIT {}",
           kPartColumns, kMostRows)},
      {&find_ended_,
       "SELECT m.id, m.lane, m.outcome, m.turn, m.attempts, m.history, m.accepted_at, "
       "m.started_at, "
       "m.ended_at, m.reason, c.account, c.chat FROM message_log m LEFT JOIN conversations c ON "
       "c.id=m.lane WHERE m.id<?1 AND " +
           filter_ended},
      {&find_pending_,
       "SELECT m.id, m.lane, 0, 0, 0, 0, m.accepted_at, 0, 0, '', c.account, c.chat FROM messages "
       "m "
       "LEFT JOIN conversations c ON c.id=m.lane WHERE m.id<?1 AND " +
           filter_pending},
      {&dead_messages_,
       fmt::format(
           "SELECT {}, ended_turn, reason, died_at FROM dead_messages WHERE id<?1 ORDER BY id "
           "DESC LIMIT ?2",
           kMessageColumns)},
      {&dead_parts_,
       fmt::format(
           "SELECT {}, reason, died_at FROM dead_parts WHERE id<?1 ORDER BY id DESC LIMIT ?2",
           kPartColumns)},
  };
  for (const auto& [statement, sql] : wanted) {
    auto prepared = db_.prepare(sql);
    if (!prepared) return prepared.error();
    *statement = std::move(*prepared);
  }
  if (clock_ != nullptr) {
    sqlite3_progress_handler(db_.handle(), kStepsBetweenLooks, &SqliteReader::over_time, this);
  }
  return {};
}

int SqliteReader::over_time(void* self) {
  auto& reader = *static_cast<SqliteReader*>(self);
  return reader.clock_->now() > reader.deadline_ ? 1 : 0;
}

void SqliteReader::run(const std::function<void(StoreReader&)>& f) {
  if (clock_ != nullptr) deadline_ = clock_->now() + kLongestRead;
  // If BEGIN or COMMIT fail, so do the queries; they tell.
  (void)db_.exec("BEGIN");
  f(*this);
  deadline_ = MonoTime::max();
  if (db_.in_transaction()) (void)db_.exec("COMMIT");
}

Result<std::optional<ConversationRow>> SqliteReader::conversation(LaneId id) {
  const Result<bool> row = conversation_.start(id).step();
  if (!row) return row.error();
  if (!*row) return std::optional<ConversationRow>();
  std::optional<ConversationRow> found = rows::read_conversation(conversation_);
  conversation_.reset();
  return found;
}

Result<std::vector<ListedConversation>> SqliteReader::conversations_of(const std::string& account,
                                                                       const std::string& owner,
                                                                       LaneId before,
                                                                       std::size_t limit) {
  std::vector<ListedConversation> found;
  of_owner_.start(account, owner, before ? before.value : INT64_MAX, std::min(limit, kMostRows));
  for (;;) {
    const Result<bool> row = of_owner_.step();
    if (!row) return row.error();
    if (!*row) return found;
    found.push_back(
        {of_owner_.id<LaneId>(0), of_owner_.text(1), of_owner_.time(2), of_owner_.text(3)});
  }
}

Result<std::vector<std::shared_ptr<const MessageRow>>> SqliteReader::messages(
    std::span<const MessageId> ids) {
  std::vector<std::shared_ptr<const MessageRow>> found;
  for (const MessageId id : ids) {
    const Result<bool> row = message_.start(id).step();
    if (!row) return row.error();
    if (*row) found.push_back(std::make_shared<const MessageRow>(rows::read_message(message_)));
  }
  message_.reset();
  return found;
}

Result<std::vector<std::shared_ptr<const PartRow>>> SqliteReader::parts(
    std::span<const PartId> ids) {
  std::vector<std::shared_ptr<const PartRow>> found;
  for (const PartId id : ids) {
    const Result<bool> row = part_.start(id).step();
    if (!row) return row.error();
    if (*row) found.push_back(std::make_shared<const PartRow>(rows::read_part(part_)));
  }
  part_.reset();
  return found;
}

Result<std::vector<HistoryRow>> SqliteReader::history(HistoryId from, HistoryId after,
                                                      std::size_t max_rows, std::size_t max_bytes) {
  std::vector<HistoryRow> lines;
  std::size_t bytes = 0;
  // The chain ends where retention has cut it. It descends, so it ends in any case.
  for (HistoryId at = from; at > after && lines.size() < max_rows;) {
    const Result<bool> row = history_.start(at).step();
    if (!row) return row.error();
    if (!*row) break;
    HistoryRow line = rows::read_history(history_);
    history_.reset();
    bytes += line.text.size();
    if (bytes > max_bytes) break;
    if (line.prev >= at) return Error(ErrorKind::kCorrupt, "a history line points forward");
    at = line.prev;
    lines.push_back(std::move(line));
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

Result<std::optional<MessageId>> SqliteReader::find_event(Key128 key) {
  std::vector<MessageId> candidates;
  keys_->find(key.low, candidates);
  std::sort(candidates.rbegin(), candidates.rend());
  for (const MessageId id : candidates) {
    const Result<bool> row = key_.start(id).step();
    if (!row) return row.error();
    const bool same = *row && key_.key(0) == key;
    key_.reset();
    if (same) return std::optional(id);
  }
  key_days_.start();
  for (;;) {
    const Result<bool> day = key_days_.step();
    if (!day) return day.error();
    if (!*day) return std::optional<MessageId>();
    auto find = db_.prepare(
        fmt::format("SELECT max(id) FROM {} WHERE key=?1", key_table(key_days_.integer(0))));
    if (!find) return find.error();
    const Result<bool> row = find->start(key).step();
    if (!row) return row.error();
    if (!*row || find->is_null(0)) continue;
    key_days_.reset();
    return std::optional(find->id<MessageId>(0));
  }
}

Result<std::optional<MessageLife>> SqliteReader::life(MessageId id) {
  MessageLife life;
  Result<bool> row = message_.start(id).step();
  if (!row) return row.error();
  if (*row) {
    life.pending = true;
    life.row = rows::read_message(message_);
    life.lane = life.row->lane;
    life.end.id = id;
    life.end.accepted_at = life.row->accepted_at;
    message_.reset();
  } else {
    row = ended_.start(id).step();
    if (!row) return row.error();
    if (!*row) return std::optional<MessageLife>();
    life.end = rows::read_message_end(ended_);
    life.lane = ended_.id<LaneId>(1);
    ended_.reset();
    row = dead_message_.start(id).step();
    if (!row) return row.error();
    if (*row) life.row = rows::read_message(dead_message_);
    dead_message_.reset();
  }
  if (auto r = parts_of(life); !r) return r.error();
  return std::optional(std::move(life));
}

Result<void> SqliteReader::parts_of(MessageLife& life) {
  // Caused by the turn that ended it, or by the message itself.
  for (const std::int64_t cause : {life.end.turn.value, life.end.id.value}) {
    if (cause == 0) continue;
    for (sqlite::Statement* statement : {&parts_log_, &parts_open_}) {
      statement->start(cause);
      for (;;) {
        const Result<bool> row = statement->step();
        if (!row) return row.error();
        if (!*row) break;
        if (statement == &parts_log_) {
          life.parts.push_back(rows::read_part_end(*statement));
        } else {
          life.parts.push_back({rows::read_part(*statement), std::nullopt});
        }
      }
    }
  }
  // A redriven part is in both places: the open one counts.
  std::sort(life.parts.begin(), life.parts.end(),
            [](const MessageLife::Part& a, const MessageLife::Part& b) {
              if (a.row.id != b.row.id) return a.row.id < b.row.id;
              return !a.settled && b.settled;
            });
  const auto same = [](const MessageLife::Part& a, const MessageLife::Part& b) {
    return a.row.id == b.row.id;
  };
  life.parts.erase(std::unique(life.parts.begin(), life.parts.end(), same), life.parts.end());
  return {};
}

Result<std::vector<FoundMessage>> SqliteReader::find_messages(const MessageFilter& filter) {
  std::vector<FoundMessage> found;
  if (!filter.outcome) {
    auto pending = find_in(find_pending_, true, filter);
    if (!pending) return pending.error();
    found = std::move(*pending);
  }
  if (!filter.pending_only) {
    auto ended = find_in(find_ended_, false, filter);
    if (!ended) return ended.error();
    for (FoundMessage& message : *ended) {
      // A redriven message is in both places: it is pending.
      const auto same = [&](const FoundMessage& other) { return other.id == message.id; };
      if (std::none_of(found.begin(), found.end(), same)) found.push_back(std::move(message));
    }
  }
  std::sort(found.begin(), found.end(),
            [](const FoundMessage& a, const FoundMessage& b) { return a.id > b.id; });
  const std::size_t limit = std::min(filter.limit, kMostRows);
  if (found.size() > limit) found.resize(limit);
  return found;
}

Result<std::vector<FoundMessage>> SqliteReader::find_in(sqlite::Statement& statement, bool pending,
                                                        const MessageFilter& filter) {
  std::vector<FoundMessage> found;
  const std::int64_t before = filter.before ? filter.before.value : INT64_MAX;
  const std::int64_t outcome = filter.outcome ? static_cast<std::int64_t>(*filter.outcome) : -1;
  statement.start(before, filter.account, filter.chat, filter.sender, outcome,
                  std::min(filter.limit, kMostRows));
  for (;;) {
    const Result<bool> row = statement.step();
    if (!row) return row.error();
    if (!*row) return found;
    FoundMessage message;
    message.end = rows::read_message_end(statement);
    message.id = message.end.id;
    message.lane = statement.id<LaneId>(1);
    message.accepted_at = message.end.accepted_at;
    message.account = statement.text(10);
    message.chat = statement.text(11);
    message.pending = pending;
    found.push_back(std::move(message));
  }
}

namespace {
DeadLetter read_dead_message(const sqlite::Statement& s) {
  DeadLetter letter;
  letter.message = rows::read_message(s);
  letter.id = letter.message->id.value;
  letter.lane = letter.message->lane;
  letter.turn = s.id<TurnId>(rows::kMessageColumnCount);
  letter.reason = s.text(rows::kMessageColumnCount + 1);
  letter.at = s.time(rows::kMessageColumnCount + 2);
  return letter;
}

DeadLetter read_dead_part(const sqlite::Statement& s) {
  DeadLetter letter;
  letter.part = true;
  letter.outgoing = rows::read_part(s);
  letter.id = letter.outgoing->id.value;
  letter.lane = letter.outgoing->lane;
  letter.turn = letter.outgoing->turn;
  letter.reason = s.text(rows::kPartColumnCount);
  letter.at = s.time(rows::kPartColumnCount + 1);
  return letter;
}
}  // namespace

Result<void> SqliteReader::collect_dead(sqlite::Statement& statement, bool part, std::size_t limit,
                                        std::int64_t before, std::vector<DeadLetter>& out) {
  statement.start(before, limit);
  for (;;) {
    const Result<bool> row = statement.step();
    if (!row) return row.error();
    if (!*row) return {};
    out.push_back(part ? read_dead_part(statement) : read_dead_message(statement));
  }
}

Result<std::vector<DeadLetter>> SqliteReader::dead_letters(std::size_t limit, std::int64_t before) {
  limit = std::min(limit, kMostRows);
  if (before == 0) before = INT64_MAX;
  std::vector<DeadLetter> letters;
  if (auto r = collect_dead(dead_messages_, false, limit, before, letters); !r) return r.error();
  if (auto r = collect_dead(dead_parts_, true, limit, before, letters); !r) return r.error();
  std::sort(letters.begin(), letters.end(),
            [](const DeadLetter& a, const DeadLetter& b) { return a.id > b.id; });
  if (letters.size() > limit) letters.resize(limit);
  return letters;
}

Result<std::optional<DeadLetter>> SqliteReader::dead_letter(std::int64_t id) {
  Result<bool> row = dead_message_.start(id).step();
  if (!row) return row.error();
  std::optional<DeadLetter> letter;
  if (*row) letter = read_dead_message(dead_message_);
  dead_message_.reset();
  if (letter) return letter;
  row = dead_part_.start(id).step();
  if (!row) return row.error();
  if (*row) letter = read_dead_part(dead_part_);
  dead_part_.reset();
  return letter;
}

Result<std::int64_t> SqliteReader::export_person(
    const std::string& account, const std::string& sender,
    const std::function<bool(std::string_view)>& line) {
  return sluice::export_person(db_, account, sender, line);
}

}  // namespace sluice
