// How the engine opens a store: one step after the other, each with an error that says what to do.

#include <fmt/format.h>

#include "base/mutant.h"
#include "store/engine.h"
#include "store/key_load.h"
#include "store/recovery.h"
#include "store/rewrite_log.h"

namespace sluice {
namespace {

// "SLUC", in the file's header since the first migration.
constexpr std::int64_t kApplicationId = 0x534c5543;
constexpr std::int64_t kPageSize = 4096;

std::int64_t check_value(const HashKey& key) {
  return static_cast<std::int64_t>(KeyedHash(key).add("sluice hash key").finish().low);
}

}  // namespace

Result<std::unique_ptr<SqliteEngine>> SqliteEngine::open(StoreOptions options) {
  std::unique_ptr<SqliteEngine> engine(new SqliteEngine(std::move(options)));
  engine->path_ = files::join(engine->options_.directory, files::kDatabase);
  if (engine->options_.vfs == nullptr) {
    if (auto r = engine->open_files(); !r) return r.error();
    if (auto r = engine->open_key(); !r) return r.error();
  } else {
    engine->hash_key_ = engine->options_.hash_key.value_or(HashKey{});
  }
  for (const auto step : {&SqliteEngine::open_database, &SqliteEngine::check_file}) {
    if (auto r = (*engine.*step)(); !r) return r.error();
  }
  auto migrated = migrate(engine->db_, engine->path_, engine->options_.vfs, migrations());
  if (!migrated) return migrated.error();
  engine->migration_ = std::move(*migrated);
  if (auto r = engine->check_hash_key(); !r) return r.error();
  // It goes on beside what follows.
  const std::shared_ptr<EarlyRead> early =
      engine->options_.log_is_synced ? std::exchange(engine->options_.early, {}) : nullptr;
  if (early != nullptr) {
    engine->keys_ = early->keys;
    engine->recovered_.conversations = std::move(early->conversations);
  }
  engine->read_upto_ = early == nullptr ? 0 : early->upto;
  auto keys = KeyLoad::begin(
      engine->db_, engine->options_.vfs == nullptr ? engine->path_ : std::string(), engine->keys_,
      early != nullptr && mutant(Mutant::kTrustEarlyKeys) ? INT64_MAX : engine->read_upto_);
  if (!keys) return keys.error();
  for (const auto step : {&SqliteEngine::load, &SqliteEngine::begin_generation}) {
    if (auto r = (*engine.*step)(); !r) return r.error();
  }
  if (auto r = (*keys)->finish(); !r) return r.error().within("loading keys");
  if (auto r = engine->prepare(); !r) return r.error();
  return engine;
}

Result<void> SqliteEngine::open_files() {
  if (auto r = files::prepare_directory(options_.directory); !r) return r;
  const files::FileSystem where = files::file_system(options_.directory);
  if (where.network && !options_.allow_network_file_system) {
    return Error(
        ErrorKind::kUnsupported,
        fmt::format("{} lies on a network file system ({}), where the store's locks do not hold: "
                    "use a local disk",
                    options_.directory, where.type));
  }
  auto lock = options_.lock >= 0
                  ? files::LockFile::adopt(options_.lock)
                  : files::LockFile::take(files::join(options_.directory, files::kLock));
  if (!lock) return lock.error();
  lock_ = std::move(*lock);
  return {};
}

Result<void> SqliteEngine::open_key() {
  const std::string path = files::join(options_.directory, files::kKey);
  const bool empty = files::size_of(path_) == 0;
  Result<HashKey> key =
      empty && !files::exists(path) ? files::create_key(path) : files::read_key(path);
  if (!key && key.error().kind() == ErrorKind::kNotFound) {
    return Error(
        ErrorKind::kNotFound,
        fmt::format("{} is gone: without it no event can be recognised. Restore it from a backup",
                    path));
  }
  if (!key) return key.error();
  hash_key_ = *key;
  return files::prepare_file(path_);
}

Result<void> SqliteEngine::open_database() {
  if (!options_.log_is_synced) {
    options_.early.reset();  // it has the log open that will be replaced
    if (auto r = rewrite_log(path_, options_.vfs, options_.rename); !r) return r;
  }
  auto db = sqlite::Database::open(path_, sqlite::Database::Mode::kCreate, options_.vfs);
  if (!db) return db.error();
  db_ = std::move(*db);
  // auto_vacuum and page_size work only before the first table, page_size only before the log.
  auto r = db_.exec(fmt::format(
      "PRAGMA page_size={}; PRAGMA cache_size=-{}; PRAGMA temp_store=MEMORY; "
      "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous={}; PRAGMA secure_delete=FAST",
      kPageSize, options_.cache_bytes / 1024, mutant(Mutant::kSynchronousOff) ? "OFF" : "FULL"));
  if (!r) return r.error().within(path_);
  // Told what it is already, it would write that, and every start would sync it.
  constexpr std::int64_t kIncremental = 2;
  const auto vacuum = db_.query_integer("PRAGMA auto_vacuum");
  if (!vacuum) return vacuum.error().within(path_);
  if (vacuum->value_or(0) != kIncremental) r = db_.exec("PRAGMA auto_vacuum=INCREMENTAL");
  if (!r) return r.error().within(path_);
  const auto mode = db_.query_text("PRAGMA journal_mode=WAL");
  if (!mode) return mode.error().within(path_);
  if (mode->value_or("") != "wal") {
    return Error(ErrorKind::kUnsupported, path_ + ": the file system can't hold a write-ahead log");
  }
  // The log is kept and written over: growing it anew costs far more at each fsync.
  if (r = db_.exec("PRAGMA journal_size_limit=-1"); !r) return r.error().within(path_);
  sqlite3_wal_hook(
      db_.handle(),
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<SqliteEngine*>(self)->log_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  checkpoint_at_ = options_.checkpoint_pages;
  return {};
}

Result<void> SqliteEngine::check_file() {
  const auto version = db_.query_integer("PRAGMA user_version");
  if (!version) return version.error().within(path_);
  const auto application = db_.query_integer("PRAGMA application_id");
  if (!application) return application.error().within(path_);
  if (version->value_or(0) == 0) {
    const auto tables = db_.query_integer("SELECT count(*) FROM sqlite_schema");
    if (!tables) return tables.error().within(path_);
    if (tables->value_or(0) == 0) return {};
  }
  if (application->value_or(0) != kApplicationId) {
    return Error(ErrorKind::kCorrupt, path_ + " is a database, but not a store of sluice");
  }
  const auto pages = db_.query_integer("PRAGMA page_count");
  if (!pages) return pages.error().within(path_);
  const auto bytes = static_cast<std::uint64_t>(pages->value_or(0) * kPageSize);
  if (bytes > options_.quick_check_bytes || options_.log_is_synced) return {};
  const auto sound = db_.query_text("PRAGMA quick_check(1)");
  if (!sound) return sound.error().within(path_);
  if (sound->value_or("") == "ok") return {};
  return Error(ErrorKind::kCorrupt, fmt::format("{} is damaged ({}): restore it from a backup",
                                                path_, sound->value_or("")));
}

Result<void> SqliteEngine::check_hash_key() {
  const auto known = meta_integer(db_, "hash_key_check");
  if (!known) return known.error();
  // Missing only while the first opening is not complete; begin_generation() writes it.
  if (!known->has_value() || **known == check_value(hash_key_)) return {};
  return Error(ErrorKind::kNotFound,
               fmt::format("{} holds the key of another store: restore the right one from a backup",
                           files::join(options_.directory, files::kKey)));
}

Result<void> SqliteEngine::load() {
  if (auto r = recover(db_, hash_key_, recovered_, read_upto_); !r)
    return r.error().within("reading the store");
  const auto reserved = meta_integer(db_, "next_id");
  if (!reserved) return reserved.error();
  const auto greatest = greatest_id(db_);
  if (!greatest) return greatest.error();
  reserved_to_ = std::max(reserved->value_or(1), *greatest + 1);
  next_id_ = reserved_to_;
  recovered_.next_id = next_id_;
  const auto upto = meta_integer(db_, "heads_upto");
  if (!upto) return upto.error();
  heads_upto_ = flush_to_ = HistoryId{upto->value_or(0)};
  newest_history_ = heads_upto_;
  // What was completed from the log is written at the next flush.
  auto lines = db_.prepare("SELECT id, lane FROM history WHERE id>?1 ORDER BY id");
  if (!lines) return lines.error();
  lines->start(heads_upto_);
  for (;;) {
    const Result<bool> row = lines->step();
    if (!row) return row.error();
    if (!*row) return {};
    newest_history_ = lines->id<HistoryId>(0);
    heads_[lines->id<LaneId>(1)] = newest_history_;
    ++lines_since_flush_;
  }
}

Result<std::string> SqliteEngine::reason_to_think_restored() {
  const auto mark = db_.query_integer("SELECT 1 FROM sqlite_schema WHERE name='backup_mark'");
  if (!mark) return mark.error();
  if (mark->has_value()) return std::string("it was restored from a backup");
  const std::string machine =
      options_.identity ? *options_.identity
                        : (options_.vfs == nullptr ? files::machine_identity() : std::string());
  const std::string file = options_.vfs == nullptr ? files::file_identity(path_) : std::string();
  std::string reason;
  const std::pair<std::string_view, const std::string*> identities[] = {{"machine", &machine},
                                                                        {"file", &file}};
  for (const auto& [name, now] : identities) {
    const auto before = meta_text(db_, name);
    if (!before) return before.error();
    if (now->empty()) continue;
    if (!before->value_or("").empty() && **before != *now) {
      reason = name == "machine" ? "it was written on another machine" : "the file is a copy";
    }
    if (auto r = set_meta(db_, name, std::string_view(*now)); !r) return r.error();
    if (!reason.empty()) break;
  }
  return reason;
}

Result<void> SqliteEngine::begin_generation() {
  auto scope = sqlite::WriteScope::begin(db_);
  if (!scope) return scope.error();
  const auto before = meta_integer(db_, "generation");
  if (!before) return before.error();
  generation_ = before->value_or(0) + 1;
  if (auto r = set_meta(db_, "generation", generation_); !r) return r;
  if (auto r = set_meta(db_, "hash_key_check", check_value(hash_key_)); !r) return r;

  const Result<std::string> reason = reason_to_think_restored();
  if (!reason) return reason.error();
  if (!reason->empty()) {
    if (auto r = set_meta(db_, "restored_pending", std::string_view(*reason)); !r) return r;
    if (auto r = db_.exec("DROP TABLE IF EXISTS backup_mark"); !r) return r;
  }
  const auto pending = meta_text(db_, "restored_pending");
  if (!pending) return pending.error();
  recovered_.restored = pending->has_value();
  recovered_.restored_reason = pending->value_or("");
  recovered_.generation = generation_;
  // Kept, because retention may one day remove the rows that carry it.
  if (auto r = set_meta(db_, "newest_stamp", recovered_.newest_stamp.ms); !r) return r;
  return scope->commit();
}

Result<void> SqliteEngine::prepare() {
  const std::pair<sqlite::Statement*, std::string_view> wanted[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&rollback_, "ROLLBACK"},
      {&savepoint_, "SAVEPOINT one"},
      {&release_, "RELEASE one"},
      {&rollback_to_, "ROLLBACK TO one"},
      {&put_meta_, "INSERT OR REPLACE INTO meta(name, value) VALUES(?1, ?2)"},
  };
  for (const auto& [statement, sql] : wanted) {
    auto prepared = db_.prepare(sql);
    if (!prepared) return prepared.error();
    *statement = std::move(*prepared);
  }
  auto rows = RowWriter::open(db_);
  if (!rows) return rows.error();
  rows_ = std::move(*rows);
  auto keys = KeyLog::open(db_, keys_, {.in_memory = options_.keys_in_memory});
  if (!keys) return keys.error();
  key_log_ = std::move(*keys);
  retention_ = std::make_unique<Retention>(
      db_, *key_log_,
      Retention::Limits{.text = options_.text_retention, .keys = options_.key_retention},
      options_.now);
  quiet_since_ = options_.now;
  return {};
}

}  // namespace sluice
