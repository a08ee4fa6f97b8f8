#pragma once
// A thin RAII layer over SQLite's C interface (https://www.sqlite.org/c3ref/intro.html):
// connections, prepared statements, and errors as values.
//
// Thread: a Database and its Statements belong to one thread at a time (SQLITE_OPEN_NOMUTEX).
// Errors: kDiskFull for SQLITE_FULL, kStorageFailed for every SQLITE_IOERR (what is on disk is then
// unknown), kCorrupt for SQLITE_CORRUPT and SQLITE_NOTADB, kConflict for a violated constraint,
// kUnavailable for SQLITE_BUSY, kTimeout for an interrupted query. The text names the operation and
// the code, never a value.

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <sqlite3.h>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace sluice::sqlite {

/// An error of the connection's last call, told with what was being done.
Error error_of(sqlite3* db, int code, std::string_view doing);

/// A prepared statement. Must be destroyed before its Database. What start() and run() bind is not
/// copied: it must live until the statement is reset.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Statement(Statement&& other) noexcept { swap(other); }
  Statement& operator=(Statement&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Statement() { sqlite3_finalize(statement_); }

  /// Binds the arguments to ?1, ?2 … and makes the statement ready to step.
  template <class... Args>
  Statement& start(const Args&... args) {
    reset();
    int index = 0;
    (bind(++index, args), ...);
    return *this;
  }
  /// start(), then steps to the end.
  template <class... Args>
  Result<void> run(const Args&... args) {
    start(args...);
    return finish();
  }
  /// True: there is a row to read. False: the statement is done and has been reset.
  Result<bool> step();
  /// Steps to the end and resets.
  Result<void> finish();
  void reset() { sqlite3_reset(statement_); }

  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  bool boolean(int column) const { return integer(column) != 0; }
  template <class E>
    requires std::is_enum_v<E>
  E enumeration(int column) const {
    return static_cast<E>(integer(column));
  }
  template <class I>
  I id(int column) const {
    return I{integer(column)};
  }
  UnixMillis time(int column) const { return UnixMillis{integer(column)}; }
  /// Valid until the next step or reset.
  std::string_view view(int column) const;
  std::string text(int column) const { return std::string(view(column)); }
  /// Of a column that was bound from a Key128; zero if the blob has another size.
  Key128 key(int column) const;
  bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

 private:
  void swap(Statement& other) noexcept {
    std::swap(statement_, other.statement_);
    std::swap(bind_code_, other.bind_code_);
  }
  void note(int code) {
    if (code != SQLITE_OK) bind_code_ = code;
  }
  template <std::integral T>
  void bind(int i, T v) {
    note(sqlite3_bind_int64(statement_, i, static_cast<std::int64_t>(v)));
  }
  template <class E>
    requires std::is_enum_v<E>
  void bind(int i, E v) {
    bind(i, static_cast<std::int64_t>(v));
  }
  template <class Tag>
  void bind(int i, Id<Tag> v) {
    bind(i, v.value);
  }
  void bind(int i, UnixMillis v) { bind(i, v.ms); }
  void bind(int i, std::string_view v) {
    const char* data = v.data() == nullptr ? "" : v.data();
    note(sqlite3_bind_text64(statement_, i, data, v.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  void bind(int i, const std::string& v) { bind(i, std::string_view(v)); }
  void bind(int i, const char* v) { bind(i, std::string_view(v)); }
  void bind(int i, const Key128& v) {
    note(sqlite3_bind_blob(statement_, i, &v, sizeof v, SQLITE_STATIC));
  }

 public:
  /// Bytes to bind as they are.
  struct Bytes {
    const void* data;
    std::size_t size;
  };

 private:
  void bind(int i, Bytes v) {
    const void* data = v.data == nullptr ? "" : v.data;
    note(sqlite3_bind_blob64(statement_, i, data, v.size, SQLITE_STATIC));
  }

  sqlite3_stmt* statement_ = nullptr;
  int bind_code_ = SQLITE_OK;
};

/// One connection.
class Database {
 public:
  enum class Mode : std::uint8_t {
    kCreate,    // reads and writes; made if it is not there
    kExisting,  // reads and writes
    kQuery,     // query_only
  };
  /// Never checkpoints by itself, not even when it closes. vfs: nullptr for the host's file system.
  static Result<Database> open(const std::string& path, Mode mode, const char* vfs = nullptr);

  Database() = default;
  Database(Database&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Database& operator=(Database&& other) noexcept {
    std::swap(db_, other.db_);
    return *this;
  }
  ~Database() { close(); }
  /// All statements must be gone.
  void close();

  Result<Statement> prepare(std::string_view sql);
  /// One or more statements without results, or whose results do not matter.
  Result<void> exec(const std::string& sql);
  /// The first column of the first row; nullopt if there is no row.
  Result<std::optional<std::int64_t>> query_integer(std::string_view sql);
  Result<std::optional<std::string>> query_text(std::string_view sql);

  /// Rows changed by the last statement that has finished.
  std::int64_t changes() const { return sqlite3_changes64(db_); }
  /// Whether a transaction is open.
  bool in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }
  sqlite3* handle() const { return db_; }
  bool is_open() const { return db_ != nullptr; }
  Error error(int code, std::string_view doing) const { return error_of(db_, code, doing); }

 private:
  sqlite3* db_ = nullptr;
};

/// BEGIN IMMEDIATE for work that is not on the hot path. Rolled back unless commit() succeeded.
class WriteScope {
 public:
  static Result<WriteScope> begin(Database& db);
  WriteScope(WriteScope&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  ~WriteScope();
  Result<void> commit();

 private:
  explicit WriteScope(Database& db) : db_(&db) {}
  Database* db_;
};

}  // namespace sluice::sqlite
