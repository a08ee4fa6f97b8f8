#include "preload.h"

#include <filesystem>

#include <fmt/core.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"
#include "measure.h"
#include "store/files.h"
#include "store/sqlite.h"
#include "stores.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kRowsPerCommit = 200'000;
constexpr std::string_view kText = "Something that was said, about as long as people write it.";
constexpr std::string_view kNone;

void must(const Result<void>& result) {
  if (!result) fmt::print(stderr, "preload: {}\n", result.error().to_string());
  SLUICE_ASSERT(result.has_value());
}

/// Fast and not durable: whoever dies here begins again.
class BulkWriter {
 public:
  explicit BulkWriter(const std::string& directory) {
    auto db = sqlite::Database::open(directory + "/sluice.db", sqlite::Database::Mode::kExisting);
    SLUICE_ASSERT(db.has_value());
    db_ = std::move(*db);
    must(
        db_.exec("PRAGMA journal_mode=DELETE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; "
                 "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-262144; BEGIN"));
  }
  sqlite::Statement prepare(const std::string& sql) {
    auto statement = db_.prepare(sql);
    SLUICE_ASSERT(statement.has_value());
    return std::move(*statement);
  }
  std::int64_t number(std::string_view sql) {
    const auto found = db_.query_integer(sql);
    SLUICE_ASSERT(found.has_value());
    return found->value_or(0);
  }
  void exec(const std::string& sql) { must(db_.exec(sql)); }
  void wrote_one() {
    if (++rows_ % kRowsPerCommit == 0) must(db_.exec("COMMIT; BEGIN"));
  }
  /// All statements must be gone.
  void finish() {
    must(db_.exec("COMMIT; PRAGMA locking_mode=NORMAL; PRAGMA journal_mode=WAL"));
    db_.close();
  }

 private:
  sqlite::Database db_;
  std::size_t rows_ = 0;
};

void write_conversations(BulkWriter& bulk, const HashKey& key, std::size_t count,
                         std::int64_t& last_id, std::int64_t now) {
  sqlite::Statement add =
      bulk.prepare("INSERT INTO conversations VALUES(?1, ?2, 0, ?3, ?4, ?5, ?6)");
  for (std::size_t i = 0; i < count; ++i) {
    const std::string chat = old_chat(i);
    const Key128 lane = KeyedHash(key).add("http").add(chat).add("").finish();
    must(add.run(last_id + 1, lane, now, "http", chat, kNone));
    last_id += 2;  // and its first message's
    bulk.wrote_one();
  }
}

struct AnsweredRows {
  explicit AnsweredRows(BulkWriter& bulk)
      : key(bulk.prepare("INSERT INTO key_log VALUES(?1, ?2, ?3, ?4)")),
        log(bulk.prepare(
            "INSERT INTO message_log VALUES(?1, ?2, 0, ?3, 1, ?4, ?5, ?5, ?5, ?6, ?7)")),
        line(bulk.prepare(
            "INSERT INTO history VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8, ?9, ?10)")),
        part(bulk.prepare("INSERT INTO part_log VALUES(?1, ?2, ?3, ?2, ?4, 0, 0, ?5, 1, ?5, 1, 0, "
                          "0, 0, ?5, ?6, ?7)")) {}
  sqlite::Statement key, log, line, part;
};

void write_answered(BulkWriter& bulk, const Amounts& amounts, std::int64_t first_lane,
                    std::int64_t& last_id, std::int64_t now) {
  AnsweredRows rows(bulk);
  Random random(11);
  std::vector<std::int64_t> heads(amounts.conversations);
  for (std::size_t i = 0; i < amounts.messages; ++i) {
    const std::size_t place = i % amounts.conversations;
    const std::int64_t lane = first_lane + 2 * static_cast<std::int64_t>(place);
    const std::int64_t message = i < amounts.conversations ? lane + 1 : last_id + 1;
    const std::int64_t turn = last_id + 2;
    last_id += 5;
    must(rows.key.run(message, Key128{random.next(), random.next()},
                      Key128{random.next(), random.next()}, now));
    must(rows.log.run(message, lane, turn, turn + 1, now, "person", kNone));
    must(
        rows.line.run(turn + 1, lane, heads[place], 0, message, turn, now, "person", kNone, kText));
    must(rows.line.run(turn + 2, lane, turn + 1, 1, message, turn, now, kNone, kNone, kText));
    must(rows.part.run(turn + 3, turn, lane, message, now, kNone, "p"));
    heads[place] = turn + 2;
    bulk.wrote_one();
  }
  sqlite::Statement head = bulk.prepare("INSERT OR REPLACE INTO heads VALUES(?1, ?2, 0)");
  for (std::size_t i = 0; i < heads.size(); ++i) {
    must(head.run(first_lane + 2 * static_cast<std::int64_t>(i), heads[i]));
  }
}

void put_meta(BulkWriter& bulk, std::int64_t last_id) {
  bulk.exec(
      fmt::format("INSERT OR REPLACE INTO meta VALUES('next_id', {0}); INSERT OR REPLACE "
                  "INTO meta VALUES('heads_upto', (SELECT max(id) FROM history))",
                  last_id + 1));
}

KeyedEvent pending_event(std::int64_t id, LaneId lane, std::size_t place, Random& random,
                         UnixMillis now) {
  auto row = std::make_shared<MessageRow>();
  row->id = MessageId{id};
  row->lane = lane;
  row->sender = fmt::format("person-{}", place);
  row->event = fmt::format("{:016x}", random.next());
  row->text = kText;
  row->accepted_at = now;
  KeyedEvent event;
  event.id = row->id;
  event.key = {random.next(), random.next()};
  event.content = {random.next(), random.next()};
  event.at = now;
  event.message = std::move(row);
  return event;
}

}  // namespace

void preload(const std::string& directory, const Amounts& amounts) {
  const auto key = files::read_key(directory + "/" + std::string(files::kKey));
  SLUICE_ASSERT(key.has_value());
  const std::int64_t now = SystemClock().wall().ms;
  BulkWriter bulk(directory);
  std::int64_t last_id = bulk.number("SELECT value FROM meta WHERE name='next_id'");
  const std::int64_t first_lane = last_id + 1;
  write_conversations(bulk, *key, amounts.conversations, last_id, now);
  write_answered(bulk, amounts, first_lane, last_id, now);
  put_meta(bulk, last_id);
  bulk.finish();
}

std::string old_chat(std::size_t n) { return fmt::format("owner/old-{}", n); }

void leave_pending(const std::string& directory, std::size_t pending) {
  StoreOptions options;
  options.directory = directory;
  options.now = SystemClock().wall();
  auto opened = SqliteEngine::open(std::move(options));
  SLUICE_ASSERT(opened.has_value());
  SqliteEngine& engine = **opened;
  const std::vector<ConversationHead>& lanes = engine.recovered().conversations.all();
  std::int64_t id = engine.recovered().next_id;
  Random random(13);
  const UnixMillis now = SystemClock().wall();
  for (std::size_t done = 0; done < pending;) {
    std::vector<Transaction> batch(std::min<std::size_t>(4096, pending - done));
    std::vector<const Transaction*> pointers;
    for (Transaction& transaction : batch) {
      const std::size_t place = done++ % lanes.size();
      transaction.events.push_back(pending_event(id++, lanes[place].lane, place, random, now));
      pointers.push_back(&transaction);
    }
    std::vector<SqliteEngine::ResultSlot> results(batch.size());
    engine.apply(pointers, results);
    for (const auto& result : results) SLUICE_ASSERT(result->has_value());
    (void)engine.maintain(now, SqliteEngine::Effort::kBusy, false);
  }
}

std::string aged_store(const Scale& scale) {
  const std::string path = scale.directory + "/aged";
  const std::string done = path + "/complete";
  if (std::filesystem::exists(done)) return path;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  make_empty_store(path);
  preload(path, Amounts::of(scale));
  SLUICE_ASSERT(files::sync_path(path + "/sluice.db").has_value());
  std::filesystem::create_directory(done);
  return path;
}

}  // namespace sluice::bench
