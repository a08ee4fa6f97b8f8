#include "store/sqlite.h"

#include <cstring>

#include <fmt/format.h>

namespace sluice::sqlite {
namespace {

ErrorKind kind_of(int code) {
  if (code == SQLITE_IOERR_NOMEM) return ErrorKind::kInternal;
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ErrorKind::kDiskFull;
    case SQLITE_IOERR:
      return ErrorKind::kStorageFailed;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorKind::kCorrupt;
    case SQLITE_CONSTRAINT:
      return ErrorKind::kConflict;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
      return ErrorKind::kUnavailable;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return ErrorKind::kPermissionDenied;
    case SQLITE_INTERRUPT:
      return ErrorKind::kTimeout;
    case SQLITE_TOOBIG:
      return ErrorKind::kTooLarge;
    default:
      return ErrorKind::kInternal;
  }
}

}  // namespace

Error error_of(sqlite3* db, int code, std::string_view doing) {
  const char* text = db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  return Error(kind_of(code), fmt::format("{}: {} (SQLite {})", doing, text, code));
}

Result<bool> Statement::step() {
  const int code =
      bind_code_ != SQLITE_OK ? std::exchange(bind_code_, SQLITE_OK) : sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  Error error = error_of(sqlite3_db_handle(statement_), code, sqlite3_sql(statement_));
  reset();
  return error;
}

Result<void> Statement::finish() {
  for (;;) {
    const Result<bool> row = step();
    if (!row) return row.error();
    if (!*row) return {};
  }
}

std::string_view Statement::view(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr
             ? std::string_view()
             : std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

Key128 Statement::key(int column) const {
  Key128 key;
  const std::string_view bytes = view(column);
  if (bytes.size() == sizeof key) std::memcpy(&key, bytes.data(), sizeof key);
  return key;
}

Result<Database> Database::open(const std::string& path, Mode mode, const char* vfs) {
  // Counting its memory costs SQLite a lock at every allocation. Refused, and then without harm, if
  // SQLite is in use already.
  static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)uncounted;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (mode == Mode::kCreate) flags |= SQLITE_OPEN_CREATE;
  Database db;
  const int code = sqlite3_open_v2(path.c_str(), &db.db_, flags, vfs);
  if (code != SQLITE_OK) return db.error(code, "open " + path);
  sqlite3_db_config(db.db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db.db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  // Checkpoints happen where this code says so; a connection that closes after a failure must not
  // write.
  sqlite3_db_config(db.db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  if (mode == Mode::kQuery) {
    if (auto r = db.exec("PRAGMA query_only=1; PRAGMA wal_autocheckpoint=0;"); !r) return r.error();
  }
  return db;
}

void Database::close() {
  if (db_ != nullptr) sqlite3_close_v2(std::exchange(db_, nullptr));
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return error(code, sql);
  return Statement(statement);
}

Result<void> Database::exec(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code, std::string_view(sql).substr(0, 200));
  return {};
}

Result<std::optional<std::int64_t>> Database::query_integer(std::string_view sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return statement.error();
  const Result<bool> row = statement->step();
  if (!row) return row.error();
  if (!*row || statement->is_null(0)) return std::optional<std::int64_t>();
  return std::optional(statement->integer(0));
}

Result<std::optional<std::string>> Database::query_text(std::string_view sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return statement.error();
  const Result<bool> row = statement->step();
  if (!row) return row.error();
  if (!*row || statement->is_null(0)) return std::optional<std::string>();
  return std::optional(statement->text(0));
}

Result<WriteScope> WriteScope::begin(Database& db) {
  if (auto r = db.exec("BEGIN IMMEDIATE"); !r) return r.error();
  return WriteScope(db);
}

WriteScope::~WriteScope() {
  // SQLite has rolled back by itself after some errors; a failure here shows in the next
  // transaction.
  if (db_ != nullptr && db_->in_transaction()) (void)db_->exec("ROLLBACK");
}

Result<void> WriteScope::commit() { return db_->exec("COMMIT"); }

}  // namespace sluice::sqlite
