#include "store/backup.h"

#include <fmt/format.h>
#include <unistd.h>

#include "store/files.h"
#include "store/schema.h"

namespace sluice {
namespace {

// A step holds up the writer: 256 pages of 4 KiB take about a millisecond.
constexpr int kStepPages = 256;

/// Moves a store in the directory out of the way. A log without its file goes too: SQLite would
/// take it for the new file's own.
Result<void> set_store_aside(const std::string& directory) {
  const std::string db = files::join(directory, files::kDatabase);
  const std::string key = files::join(directory, files::kKey);
  int number = 1;
  while (files::exists(fmt::format("{}.replaced-{}", db, number))) ++number;
  const std::string aside = fmt::format("{}.replaced-{}", db, number);
  const std::pair<std::string, std::string> moves[] = {
      {db, aside},
      {db + "-wal", aside + "-wal"},
      {key, fmt::format("{}.replaced-{}", key, number)}};
  for (const auto& [from, to] : moves) {
    if (!files::exists(from)) continue;
    if (auto r = files::rename_durably(from, to); !r) return r;
  }
  ::unlink((db + "-shm").c_str());
  return {};
}

/// Checks that the file is a whole backup that this version can read, and gives its key.
Result<HashKey> inspect(sqlite::Database& backup, const std::string& path) {
  const auto sound = backup.query_text("PRAGMA quick_check(1)");
  if (!sound) return sound.error().within(path);
  if (sound->value_or("") != "ok") {
    return Error(ErrorKind::kCorrupt, fmt::format("{} is damaged: {}", path, sound->value_or("")));
  }
  const auto version = backup.query_integer("PRAGMA user_version");
  if (!version) return version.error().within(path);
  if (version->value_or(0) > static_cast<std::int64_t>(migrations().size())) {
    return Error(ErrorKind::kUnsupported, path + " was made by a newer version of sluice");
  }
  const auto hex = backup.query_text("SELECT hash_key FROM backup_mark");
  const std::optional<HashKey> key =
      hex && hex->has_value() ? files::key_from_hex(**hex) : std::nullopt;
  if (!key) return Error(ErrorKind::kInvalidArgument, path + " is not a backup of sluice");
  return *key;
}

}  // namespace

BackupJob::BackupJob(HashKey key, UnixMillis now, std::string path)
    : key_(key), now_(now), path_(std::move(path)), partial_(path_ + ".partial") {}

Result<std::unique_ptr<BackupJob>> BackupJob::begin(sqlite::Database& source, const HashKey& key,
                                                    UnixMillis now, std::string path) {
  if (files::exists(path)) return Error(ErrorKind::kConflict, path + " exists");
  std::unique_ptr<BackupJob> job(new BackupJob(key, now, std::move(path)));
  ::unlink(job->partial_.c_str());
  if (auto r = files::prepare_file(job->partial_); !r) return r.error();
  auto target = sqlite::Database::open(job->partial_, sqlite::Database::Mode::kExisting);
  if (!target) return target.error();
  job->target_ = std::move(*target);
  // Synced once at the end, under a name that nobody reads.
  if (auto r = job->target_.exec("PRAGMA synchronous=OFF"); !r) return r.error();
  job->backup_ = sqlite3_backup_init(job->target_.handle(), "main", source.handle(), "main");
  if (job->backup_ == nullptr) {
    return job->target_.error(sqlite3_errcode(job->target_.handle()), "begin a backup");
  }
  return job;
}

BackupJob::~BackupJob() {
  if (backup_ != nullptr) sqlite3_backup_finish(backup_);
  target_.close();
  ::unlink(partial_.c_str());
}

Result<bool> BackupJob::step() {
  const int code = sqlite3_backup_step(backup_, kStepPages);
  if (code == SQLITE_DONE) return false;
  if (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED) return true;
  return target_.error(code, "copy to " + partial_);
}

Result<BackupReport> BackupJob::finish() {
  const int code = sqlite3_backup_finish(std::exchange(backup_, nullptr));
  if (code != SQLITE_OK) return target_.error(code, "copy to " + partial_);
  auto r =
      target_.exec(fmt::format("PRAGMA journal_mode=DELETE; BEGIN; CREATE TABLE "
                               "backup_mark(hash_key TEXT, made_at INTEGER); "
                               "INSERT INTO backup_mark VALUES('{}', {}); COMMIT",
                               files::to_hex(key_), now_.ms));
  if (!r) return r.error();
  target_.close();
  if (r = files::sync_path(partial_); !r) return r.error();
  if (files::exists(path_)) return Error(ErrorKind::kConflict, path_ + " exists");
  if (r = files::rename_durably(partial_, path_); !r) return r.error();
  return BackupReport{path_, files::size_of(path_)};
}

Result<void> restore_backup(const RestoreOptions& options) {
  if (!files::exists(options.backup)) {
    return Error(ErrorKind::kNotFound, options.backup + " does not exist");
  }
  if (auto r = files::prepare_directory(options.directory); !r) return r;
  const auto lock = files::LockFile::take(files::join(options.directory, files::kLock));
  if (!lock) return lock.error();
  const std::string db = files::join(options.directory, files::kDatabase);
  const bool occupied = files::size_of(db) > 0;
  if (occupied && !options.replace) {
    return Error(ErrorKind::kConflict, options.directory + " holds a store already");
  }

  auto backup = sqlite::Database::open(options.backup, sqlite::Database::Mode::kQuery);
  if (!backup) return backup.error();
  const Result<HashKey> key = inspect(*backup, options.backup);
  if (!key) return key.error();
  const std::string fresh = db + ".restoring";
  ::unlink(fresh.c_str());
  if (auto r = files::prepare_file(fresh); !r) return r;
  if (auto r = copy_database(*backup, fresh, nullptr); !r) return r;
  if (auto r = files::sync_path(fresh); !r) return r;

  // Everything is ready; what follows are renames.
  if (auto r = set_store_aside(options.directory); !r) return r;
  if (auto r = files::write_key(files::join(options.directory, files::kKey), *key); !r) return r;
  return files::rename_durably(fresh, db);
}

}  // namespace sluice
