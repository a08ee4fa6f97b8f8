#include "store/schema.h"

#include <fmt/format.h>

namespace sluice {
namespace {

constexpr Migration kMigrations[] = {
    // 1
    {R"sql(
PRAGMA application_id=0x534c5543;
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE accounts(name TEXT PRIMARY KEY, state INTEGER, reason TEXT, since INTEGER, held_ms INTEGER,
  not_before INTEGER) WITHOUT ROWID;
CREATE TABLE cursors(account TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE marks(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;

CREATE TABLE conversations(id INTEGER PRIMARY KEY, key BLOB, kind INTEGER, created_at INTEGER, account TEXT,
  chat TEXT, thread TEXT);
CREATE TABLE heads(lane INTEGER PRIMARY KEY, head INTEGER, session INTEGER);

CREATE TABLE messages(id INTEGER PRIMARY KEY, lane INTEGER, kind INTEGER, place INTEGER, late INTEGER,
  sent_at INTEGER, accepted_at INTEGER, held_before_ms INTEGER, sender TEXT, sender_name TEXT, event TEXT,
  reply_to TEXT, extra TEXT, text TEXT);
CREATE TABLE dead_messages(id INTEGER PRIMARY KEY, lane INTEGER, kind INTEGER, place INTEGER, late INTEGER,
  sent_at INTEGER, accepted_at INTEGER, held_before_ms INTEGER, sender TEXT, sender_name TEXT, event TEXT,
  reply_to TEXT, extra TEXT, text TEXT, ended_turn INTEGER, reason TEXT, died_at INTEGER);
CREATE TABLE message_log(id INTEGER PRIMARY KEY, lane INTEGER, outcome INTEGER, turn INTEGER,
  attempts INTEGER, history INTEGER, accepted_at INTEGER, started_at INTEGER, ended_at INTEGER, sender TEXT,
  reason TEXT);

CREATE TABLE turns(id INTEGER PRIMARY KEY, lane INTEGER, state INTEGER, attempt INTEGER, started_at INTEGER,
  not_before INTEGER, history_from INTEGER, history_after INTEGER, agent TEXT, messages BLOB);

CREATE TABLE outbox(id INTEGER PRIMARY KEY, lane INTEGER, turn INTEGER, event INTEGER, n INTEGER,
  kind INTEGER, committed_at INTEGER, held_before_ms INTEGER, claimed_by INTEGER, claimed_at INTEGER,
  tries INTEGER, plain INTEGER, duplicate INTEGER, not_before INTEGER, reply_to TEXT, meta TEXT, text TEXT);
CREATE TABLE dead_parts(id INTEGER PRIMARY KEY, lane INTEGER, turn INTEGER, event INTEGER, n INTEGER,
  kind INTEGER, committed_at INTEGER, held_before_ms INTEGER, claimed_by INTEGER, claimed_at INTEGER,
  tries INTEGER, plain INTEGER, duplicate INTEGER, not_before INTEGER, reply_to TEXT, meta TEXT, text TEXT,
  reason TEXT, died_at INTEGER);
CREATE TABLE part_log(id INTEGER PRIMARY KEY, cause INTEGER, lane INTEGER, turn INTEGER, event INTEGER,
  n INTEGER, kind INTEGER, committed_at INTEGER, claimed_by INTEGER, claimed_at INTEGER, tries INTEGER,
  plain INTEGER, duplicate INTEGER, outcome INTEGER, settled_at INTEGER, reason TEXT, platform_id TEXT);
CREATE INDEX part_log_cause ON part_log(cause);

CREATE TABLE history(id INTEGER PRIMARY KEY, lane INTEGER, prev INTEGER, kind INTEGER, message INTEGER,
  turn INTEGER, n INTEGER, cut INTEGER, at INTEGER, author TEXT, meta TEXT, text TEXT);

CREATE TABLE key_log(id INTEGER PRIMARY KEY, key BLOB, content BLOB, at INTEGER);
CREATE TABLE key_days(day INTEGER PRIMARY KEY);
)sql"},
    // 2: whose a conversation is, where chats are named OWNER/NAME
    {R"sql(
CREATE INDEX conversations_of_owner ON conversations(account, substr(chat, 1, instr(chat, '/')), id)
  WHERE instr(chat, '/') > 0;
)sql"},
};

Result<void> put_meta(sqlite::Database& db, std::string_view name, const auto& value) {
  Result<sqlite::Statement> put =
      db.prepare("INSERT OR REPLACE INTO meta(name, value) VALUES(?1, ?2)");
  if (!put) return put.error();
  return put->run(name, value);
}

}  // namespace

std::span<const Migration> migrations() { return kMigrations; }

Result<MigrationReport> migrate(sqlite::Database& db, const std::string& path, const char* vfs,
                                std::span<const Migration> steps) {
  MigrationReport report;
  const auto version = db.query_integer("PRAGMA user_version");
  if (!version) return version.error();
  report.from = static_cast<int>(version->value_or(0));
  report.to = static_cast<int>(steps.size());
  if (report.from > report.to) {
    return Error(
        ErrorKind::kUnsupported,
        fmt::format("{} was written by a newer version of sluice (schema {}, this one knows {})",
                    path, report.from, report.to));
  }
  if (report.from == report.to) return report;
  if (report.from > 0) {
    report.backup = fmt::format("{}.before-v{}", path, report.to);
    if (auto r = copy_database(db, report.backup, vfs); !r) {
      return r.error().within("the copy before the migration");
    }
  }
  auto scope = sqlite::WriteScope::begin(db);
  if (!scope) return scope.error();
  for (int step = report.from; step < report.to; ++step) {
    const std::string sql(steps[static_cast<std::size_t>(step)].sql);
    if (auto r = db.exec(sql); !r) return r.error().within(fmt::format("migration {}", step + 1));
  }
  if (auto r = db.exec(fmt::format("PRAGMA user_version={}", report.to)); !r) return r.error();
  if (auto r = scope->commit(); !r) return r.error();
  return report;
}

Result<std::optional<std::int64_t>> meta_integer(sqlite::Database& db, std::string_view name) {
  return db.query_integer(fmt::format("SELECT value FROM meta WHERE name='{}'", name));
}

Result<std::optional<std::string>> meta_text(sqlite::Database& db, std::string_view name) {
  return db.query_text(fmt::format("SELECT value FROM meta WHERE name='{}'", name));
}

Result<void> set_meta(sqlite::Database& db, std::string_view name, std::int64_t value) {
  return put_meta(db, name, value);
}

Result<void> set_meta(sqlite::Database& db, std::string_view name, std::string_view value) {
  return put_meta(db, name, value);
}

Result<void> copy_database(sqlite::Database& db, const std::string& to, const char* vfs) {
  Result<sqlite::Database> target =
      sqlite::Database::open(to, sqlite::Database::Mode::kCreate, vfs);
  if (!target) return target.error();
  sqlite3_backup* backup = sqlite3_backup_init(target->handle(), "main", db.handle(), "main");
  if (backup == nullptr) return target->error(sqlite3_errcode(target->handle()), "copy to " + to);
  const int stepped = sqlite3_backup_step(backup, -1);
  const int finished = sqlite3_backup_finish(backup);
  if (stepped != SQLITE_DONE) return target->error(stepped, "copy to " + to);
  if (finished != SQLITE_OK) return target->error(finished, "copy to " + to);
  return {};
}

}  // namespace sluice
