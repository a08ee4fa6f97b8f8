#include "sim/lossy_vfs.h"

#include <algorithm>
#include <set>
#include <utility>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "base/random.h"

namespace sluice::sim {
namespace {

constexpr const char* kWalFull = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL";

/// One SQLite connection on a disk; closes itself.
class Db {
 public:
  explicit Db(LossyDisk& disk, const std::string& setup = "") {
    rc_ = sqlite3_open_v2("db", &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                          disk.vfs_name().c_str());
    sqlite3_extended_result_codes(db_, 1);
    if (rc_ == SQLITE_OK && !setup.empty()) rc_ = run(setup);
  }
  ~Db() { sqlite3_close(db_); }
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  int opened() const { return rc_; }
  int run(const std::string& sql) {
    return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  }
  /// First column of the first row, or the error's code.
  std::string get(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    int rc = sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr);
    if (rc == SQLITE_OK) rc = sqlite3_step(statement);
    std::string result = "error " + std::to_string(rc);
    if (rc == SQLITE_ROW) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
      result = text == nullptr ? "null" : text;
    }
    sqlite3_finalize(statement);
    return result;
  }

 private:
  sqlite3* db_ = nullptr;
  int rc_ = SQLITE_OK;
};

/// A file below SQLite, for what SQLite would not do.
class RawFile {
 public:
  RawFile(LossyDisk& disk, const char* name) {
    sqlite3_vfs* vfs = sqlite3_vfs_find(disk.vfs_name().c_str());
    memory_.resize(static_cast<std::size_t>(vfs->szOsFile));
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB;
    rc_ = vfs->xOpen(vfs, name, file(), flags, nullptr);
  }
  ~RawFile() {
    if (file()->pMethods != nullptr) file()->pMethods->xClose(file());
  }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  int opened() const { return rc_; }
  int write(const std::string& data, std::int64_t offset) {
    return io().xWrite(file(), data.data(), static_cast<int>(data.size()), offset);
  }
  int read(std::string& out, std::int64_t offset) {
    return io().xRead(file(), out.data(), static_cast<int>(out.size()), offset);
  }
  int sync() { return io().xSync(file(), SQLITE_SYNC_NORMAL); }
  int truncate(std::int64_t size) { return io().xTruncate(file(), size); }
  int lock(int level) { return io().xLock(file(), level); }
  int unlock(int level) { return io().xUnlock(file(), level); }

 private:
  sqlite3_file* file() { return reinterpret_cast<sqlite3_file*>(memory_.data()); }
  const sqlite3_io_methods& io() { return *file()->pMethods; }

  std::vector<char> memory_;
  int rc_ = SQLITE_OK;
};

std::string sector_of(char c) { return std::string(512, c); }

int remove_file(LossyDisk& disk, const char* name, bool sync_directory) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(disk.vfs_name().c_str());
  return vfs->xDelete(vfs, name, sync_directory ? 1 : 0);
}

TEST(LossyDiskTest, TwoConnectionsShareAWalDatabase) {
  LossyDisk disk("disk", 1);
  Db writer(disk, kWalFull);
  ASSERT_EQ(writer.run("CREATE TABLE t(a); INSERT INTO t VALUES (1)"), SQLITE_OK);
  Db reader(disk, "PRAGMA query_only=1");
  EXPECT_EQ(reader.get("SELECT count(*) FROM t"), "1");
  ASSERT_EQ(reader.run("BEGIN; SELECT * FROM t"), SQLITE_OK);
  ASSERT_EQ(writer.run("INSERT INTO t VALUES (2)"), SQLITE_OK);
  EXPECT_EQ(reader.get("SELECT count(*) FROM t"), "1") << "a reader keeps its snapshot";
  ASSERT_EQ(reader.run("COMMIT"), SQLITE_OK);
  EXPECT_EQ(reader.get("SELECT count(*) FROM t"), "2");
  EXPECT_EQ(disk.files(), (std::vector<std::string>{"db", "db-wal"}));
}

TEST(LossyDiskTest, TheLastCloseCheckpointsAndDeletesTheWal) {
  LossyDisk disk("disk", 1);
  {
    Db(disk, kWalFull).run("CREATE TABLE t(a); INSERT INTO t VALUES (7)");
  }
  EXPECT_EQ(disk.files(), std::vector<std::string>{"db"});
  EXPECT_EQ(Db(disk).get("SELECT a FROM t"), "7");
}

TEST(LossyDiskTest, TwoWritersAreBusyToEachOther) {
  for (const char* mode : {"PRAGMA journal_mode=WAL", "PRAGMA journal_mode=DELETE"}) {
    LossyDisk disk("disk", 1);
    Db one(disk, mode);
    ASSERT_EQ(one.run("CREATE TABLE t(a)"), SQLITE_OK);
    Db two(disk);
    ASSERT_EQ(one.run("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)"), SQLITE_OK);
    EXPECT_EQ(two.run("BEGIN IMMEDIATE"), SQLITE_BUSY) << mode;
    EXPECT_EQ(one.run("COMMIT"), SQLITE_OK);
    EXPECT_EQ(two.run("BEGIN IMMEDIATE; INSERT INTO t VALUES (2); COMMIT"), SQLITE_OK) << mode;
    EXPECT_EQ(one.get("SELECT count(*) FROM t"), "2") << mode;
  }
}

TEST(LossyDiskTest, AReaderKeepsARollbackWriterFromCommitting) {
  LossyDisk disk("disk", 1);
  Db writer(disk, "PRAGMA journal_mode=DELETE");
  ASSERT_EQ(writer.run("CREATE TABLE t(a)"), SQLITE_OK);
  Db reader(disk);
  ASSERT_EQ(reader.run("BEGIN; SELECT * FROM t"), SQLITE_OK);
  EXPECT_EQ(writer.run("BEGIN; INSERT INTO t VALUES (1)"), SQLITE_OK);
  EXPECT_EQ(writer.run("COMMIT"), SQLITE_BUSY);
  EXPECT_EQ(reader.run("COMMIT"), SQLITE_OK);
  EXPECT_EQ(writer.run("COMMIT"), SQLITE_OK);
}

TEST(LossyDiskTest, APendingLockLetsReadersLeaveButNotEnter) {
  LossyDisk disk("disk", 1);
  RawFile writer(disk, "f");
  RawFile reader(disk, "f");
  RawFile late(disk, "f");
  ASSERT_EQ(reader.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
  ASSERT_EQ(writer.lock(SQLITE_LOCK_SHARED), SQLITE_OK);
  ASSERT_EQ(writer.lock(SQLITE_LOCK_RESERVED), SQLITE_OK);
  EXPECT_EQ(reader.lock(SQLITE_LOCK_RESERVED), SQLITE_BUSY);
  EXPECT_EQ(writer.lock(SQLITE_LOCK_EXCLUSIVE), SQLITE_BUSY);
  EXPECT_EQ(late.lock(SQLITE_LOCK_SHARED), SQLITE_BUSY);
  ASSERT_EQ(reader.unlock(SQLITE_LOCK_NONE), SQLITE_OK);
  EXPECT_EQ(writer.lock(SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
}

/// What some rounds of transactions and crashes came to. A transaction is a row in `txn` that tells
/// how many rows of it are in `part`.
struct CrashRun {
  std::vector<std::string> problems;
  int acked = 0;
  int lost = 0;
  int unacked_kept = 0;
  std::uint64_t hash = 0;
  DiskStats stats;
};

class CrashRunner {
 public:
  CrashRunner(std::uint64_t seed, std::string setup)
      : disk_("crash", seed), random_(seed * 7919 + 1), setup_(std::move(setup)) {
    wal_ = setup_.find("=WAL") != std::string::npos;
  }

  CrashRun go(int crashes) {
    for (int i = 0; i < crashes; ++i) {
      disk_.set_call_budget(1 + random_.below(i == 0 ? 500 : 300));
      work_until_crashed();
      disk_.crash();
      check();
    }
    run_.hash = disk_.hash();
    run_.stats = disk_.stats();
    return std::move(run_);
  }

 private:
  void work_until_crashed() {
    Db db(disk_, setup_);
    db.run("PRAGMA wal_autocheckpoint=12; PRAGMA cache_size=8");
    db.run("CREATE TABLE IF NOT EXISTS txn(id INTEGER PRIMARY KEY, parts INT)");
    db.run("CREATE TABLE IF NOT EXISTS part(key INTEGER PRIMARY KEY, txn INT, body BLOB)");
    db.run("CREATE INDEX IF NOT EXISTS part_txn ON part(txn)");
    Db reader(disk_, "PRAGMA query_only=1");
    reader.run("BEGIN");
    while (!disk_.crashed()) {
      if (random_.percent(20)) reader.run("ROLLBACK; BEGIN");
      if (wal_ && random_.percent(30)) reader.run("SELECT count(*) FROM txn");
      const std::string id = std::to_string(++last_id_);
      const std::uint64_t parts = random_.below(6);
      bool ok = db.run("BEGIN") == SQLITE_OK;
      ok = ok && db.run("INSERT INTO txn VALUES (" + id + "," + std::to_string(parts) + ")") == 0;
      for (std::uint64_t i = 0; ok && i < parts; ++i) {
        const auto key = std::to_string(random_.next() >> 2);
        const auto size = std::to_string(random_.below(3000));
        ok = db.run("INSERT INTO part VALUES (" + key + "," + id + ",zeroblob(" + size + "))") == 0;
      }
      ok = ok && db.run("COMMIT") == SQLITE_OK;
      if (ok) acked_.insert(last_id_);
      if (!ok && !disk_.crashed()) {
        run_.problems.push_back("failed before the crash");
        return;
      }
    }
  }

  void check() {
    Db db(disk_, setup_);
    if (const auto answer = db.get("PRAGMA integrity_check"); answer != "ok") {
      run_.problems.push_back("integrity: " + answer);
    }
    if (db.get("SELECT count(*) FROM sqlite_master WHERE name='part_txn'") == "1") {
      const auto half = db.get(
          "SELECT count(*) FROM txn WHERE parts <> (SELECT count(*) FROM part WHERE txn = id)");
      if (half != "0") run_.problems.push_back("half transactions: " + half);
    }
    run_.acked += static_cast<int>(acked_.size());
    for (const std::uint64_t id : acked_) {
      if (db.get("SELECT 1 FROM txn WHERE id=" + std::to_string(id)) != "1") ++run_.lost;
    }
    const auto last = db.get("SELECT max(id) FROM txn");
    if (!acked_.contains(last_id_) && last == std::to_string(last_id_)) ++run_.unacked_kept;
    acked_.clear();
    // What was readable once must stay, whether it was acknowledged or not.
    if (last.find_first_not_of("0123456789") == std::string::npos) acked_.insert(std::stoull(last));
  }

  LossyDisk disk_;
  Random random_;
  std::string setup_;
  bool wal_ = false;  // readers may stand beside the writer
  std::set<std::uint64_t> acked_;
  std::uint64_t last_id_ = 0;
  CrashRun run_;
};

/// Expects 300 crashes to lose nothing, and to fall where it matters.
void expect_nothing_lost(const std::string& setup) {
  int acked = 0;
  int unacked_kept = 0;
  DiskStats stats;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const CrashRun run = CrashRunner(seed, setup).go(3);
    EXPECT_EQ(run.lost, 0) << "seed " << seed;
    for (const auto& problem : run.problems) ADD_FAILURE() << "seed " << seed << ": " << problem;
    acked += run.acked;
    unacked_kept += run.unacked_kept;
    stats.sectors_lost += run.stats.sectors_lost;
    stats.sectors_torn += run.stats.sectors_torn;
  }
  EXPECT_GT(acked, 500);
  EXPECT_GT(unacked_kept, 0) << "no crash fell between the write and the answer";
  EXPECT_GT(stats.sectors_lost, 100u);
  EXPECT_GT(stats.sectors_torn, 10u);
}

TEST(LossyDiskTest, ACommitInWalModeSurvivesACrashAtAnyCall) { expect_nothing_lost(kWalFull); }

TEST(LossyDiskTest, ACommitInRollbackModeSurvivesACrashAtAnyCall) {
  // EXTRA: only it syncs the directory when the journal is deleted, which is the commit.
  expect_nothing_lost("PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA");
}

TEST(LossyDiskTest, SynchronousOffLosesAcknowledgedCommits) {
  int lost = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    lost += CrashRunner(seed, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF").go(2).lost;
  }
  EXPECT_GT(lost, 0);
}

TEST(LossyDiskTest, SynchronousNormalLosesCommitsButStaysWhole) {
  int lost = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const CrashRun run =
        CrashRunner(seed, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL").go(2);
    lost += run.lost;
    for (const auto& problem : run.problems) ADD_FAILURE() << "seed " << seed << ": " << problem;
  }
  EXPECT_GT(lost, 0);
}

TEST(LossyDiskTest, TheSameSeedGivesTheSameBytes) {
  const CrashRun one = CrashRunner(42, kWalFull).go(3);
  const CrashRun two = CrashRunner(42, kWalFull).go(3);
  const CrashRun other = CrashRunner(43, kWalFull).go(3);
  EXPECT_EQ(one.hash, two.hash);
  EXPECT_EQ(one.stats.calls, two.stats.calls);
  EXPECT_EQ(one.stats.sectors_torn, two.stats.sectors_torn);
  EXPECT_NE(one.hash, other.hash);
}

TEST(LossyDiskTest, AKillKeepsWhatWasWrittenAndNotSynced) {
  LossyDisk disk("disk", 1);
  {
    Db db(disk, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF");
    ASSERT_EQ(db.run("CREATE TABLE t(a); INSERT INTO t VALUES (1)"), SQLITE_OK);
    disk.kill();
    EXPECT_EQ(db.run("INSERT INTO t VALUES (2)") & 0xff, SQLITE_IOERR);
  }
  EXPECT_EQ(Db(disk).get("SELECT group_concat(a) FROM t"), "1");
}

TEST(LossyDiskTest, WhatAKillKeptCanStillBeLostByACrash) {
  bool lost = false;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    LossyDisk disk("disk", seed);
    ASSERT_EQ(RawFile(disk, "f").write("x", 0), SQLITE_OK);
    disk.kill();
    ASSERT_EQ(disk.content("f"), "x");
    disk.crash();
    lost = lost || disk.content("f") != "x";
  }
  EXPECT_TRUE(lost);
}

TEST(LossyDiskTest, HandlesDieInACrashWhileNewOnesWork) {
  LossyDisk disk("disk", 1);
  Db old(disk, kWalFull);
  ASSERT_EQ(old.run("CREATE TABLE t(a)"), SQLITE_OK);
  ASSERT_EQ(old.run("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)"), SQLITE_OK);
  disk.crash();
  EXPECT_EQ(old.run("COMMIT") & 0xff, SQLITE_IOERR);
  EXPECT_EQ(old.get("SELECT * FROM t"), "error " + std::to_string(SQLITE_IOERR));
  Db young(disk);
  EXPECT_EQ(young.run("INSERT INTO t VALUES (2)"), SQLITE_OK) << "locks died too";
  EXPECT_EQ(young.get("SELECT group_concat(a) FROM t"), "2");
}

TEST(LossyDiskTest, TheLastCallOfABudgetCompletesAndNoLaterOne) {
  LossyDisk disk("disk", 1);
  RawFile file(disk, "f");
  disk.set_call_budget(2);
  EXPECT_EQ(file.write("a", 0), SQLITE_OK);
  EXPECT_FALSE(disk.crashed());
  EXPECT_EQ(file.sync(), SQLITE_OK);
  EXPECT_TRUE(disk.crashed());
  EXPECT_EQ(file.write("b", 0), SQLITE_IOERR);
  EXPECT_EQ(RawFile(disk, "g").opened(), SQLITE_IOERR);
  disk.crash();
  EXPECT_FALSE(disk.crashed());
  EXPECT_EQ(disk.content("f"), "a");
}

TEST(LossyDiskTest, SectorsSurviveOutOfOrderInAnyVersionAndTorn) {
  bool later_without_earlier = false;
  bool middle_version = false;
  bool torn = false;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    LossyDisk disk("disk", seed);
    RawFile file(disk, "f");
    for (int i = 0; i < 16; ++i) ASSERT_EQ(file.write(sector_of('a'), i * 512), SQLITE_OK);
    ASSERT_EQ(file.sync(), SQLITE_OK);
    for (int i = 0; i < 16; ++i) ASSERT_EQ(file.write(sector_of('b'), i * 512), SQLITE_OK);
    for (int i = 0; i < 16; ++i) ASSERT_EQ(file.write(sector_of('c'), i * 512), SQLITE_OK);
    disk.crash();
    const std::string bytes = *disk.content("f");
    ASSERT_EQ(bytes.size(), 16u * 512);
    for (std::size_t i = 0; i < 16; ++i) {
      const std::string sector = bytes.substr(i * 512, 512);
      torn = torn || sector.find_first_not_of(sector[0]) != std::string::npos;
      middle_version = middle_version || sector == sector_of('b');
      later_without_earlier = later_without_earlier || (i > 0 && sector == sector_of('c') &&
                                                        bytes.substr(0, 512) == sector_of('a'));
    }
  }
  EXPECT_TRUE(later_without_earlier);
  EXPECT_TRUE(middle_version);
  EXPECT_TRUE(torn);
}

TEST(LossyDiskTest, SyncedBytesSurviveEveryCrashWhole) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    LossyDisk disk("disk", seed);
    RawFile file(disk, "f");
    ASSERT_EQ(file.write(sector_of('a') + sector_of('b'), 100), SQLITE_OK);
    ASSERT_EQ(file.truncate(700), SQLITE_OK);
    ASSERT_EQ(file.sync(), SQLITE_OK);
    const std::string synced = *disk.content("f");
    ASSERT_EQ(file.write("later", 4096), SQLITE_OK);
    disk.crash();
    EXPECT_EQ(disk.content("f")->substr(0, 512), synced.substr(0, 512)) << seed;
    EXPECT_EQ(disk.content("f")->substr(512, 188), synced.substr(512)) << seed;
  }
}

TEST(LossyDiskTest, AnUnsyncedTruncationSurvivesOrNot) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    LossyDisk disk("disk", seed);
    RawFile file(disk, "f");
    ASSERT_EQ(file.write("content", 0), SQLITE_OK);
    ASSERT_EQ(file.sync(), SQLITE_OK);
    ASSERT_EQ(file.truncate(0), SQLITE_OK);
    disk.crash();
    seen.insert(*disk.content("f"));
  }
  EXPECT_TRUE(seen.contains(""));
  EXPECT_TRUE(seen.contains("content"));
}

TEST(LossyDiskTest, ANewFileIsSureOfItsNameAfterItsFirstSync) {
  bool lost = false;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    LossyDisk disk("disk", seed);
    RawFile synced(disk, "synced");
    RawFile unsynced(disk, "unsynced");
    ASSERT_EQ(synced.sync(), SQLITE_OK);
    disk.crash();
    EXPECT_TRUE(disk.content("synced").has_value());
    lost = lost || !disk.content("unsynced").has_value();
  }
  EXPECT_TRUE(lost);
}

TEST(LossyDiskTest, ADeletionIsSureWhenTheDirectoryIsSynced) {
  bool came_back = false;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    LossyDisk disk("disk", seed);
    disk.install("sure", "1");
    disk.install("unsure", "2");
    ASSERT_EQ(remove_file(disk, "sure", true), SQLITE_OK);
    ASSERT_EQ(remove_file(disk, "unsure", false), SQLITE_OK);
    disk.crash();
    EXPECT_FALSE(disk.content("sure").has_value());
    came_back = came_back || disk.content("unsure") == "2";
  }
  EXPECT_TRUE(came_back);
}

TEST(LossyDiskTest, ARenameIsAllOrNothingUntilTheDirectoryIsSynced) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    LossyDisk disk("disk", seed);
    disk.install("new", "new");
    disk.install("db", "old");
    ASSERT_TRUE(disk.rename("new", "db"));
    if (seed % 2 == 0) disk.sync_directory();
    disk.crash();
    const std::string now = *disk.content("db");
    EXPECT_EQ(now == "old", disk.content("new").has_value());
    if (seed % 2 == 0) {
      EXPECT_EQ(now, "new");
    } else {
      seen.insert(now);
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"old", "new"}));
}

TEST(LossyDiskTest, CommitReportsAFailedSyncAndTheNextOneWorks) {
  LossyDisk disk("disk", 1);
  Db db(disk, kWalFull);
  ASSERT_EQ(db.run("CREATE TABLE t(a); INSERT INTO t VALUES (1)"), SQLITE_OK);
  ASSERT_EQ(db.run("BEGIN; INSERT INTO t VALUES (2)"), SQLITE_OK);
  disk.fail(DiskFault::kSyncError, 1);
  EXPECT_EQ(db.run("COMMIT"), SQLITE_IOERR_FSYNC);
  db.run("ROLLBACK");
  EXPECT_EQ(db.get("SELECT group_concat(a) FROM t"), "1");
  EXPECT_EQ(db.run("INSERT INTO t VALUES (3)"), SQLITE_OK);
  disk.crash();
  EXPECT_EQ(Db(disk).get("SELECT group_concat(a) FROM t"), "1,3");
}

TEST(LossyDiskTest, WhatAFailedSyncGaveUpIsNotSavedByTheNextOne) {
  bool lost = false;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    LossyDisk disk("disk", seed);
    disk.install("f", sector_of('a') + sector_of('a'));
    RawFile file(disk, "f");
    ASSERT_EQ(file.write(sector_of('b') + sector_of('b'), 0), SQLITE_OK);
    disk.fail(DiskFault::kSyncError, 1);
    ASSERT_EQ(file.sync(), SQLITE_IOERR_FSYNC);
    EXPECT_EQ(disk.content("f"), sector_of('b') + sector_of('b')) << "the cache still has it";
    ASSERT_EQ(file.write(sector_of('c'), 0), SQLITE_OK);
    ASSERT_EQ(file.sync(), SQLITE_OK);
    disk.crash();
    EXPECT_EQ(disk.content("f")->substr(0, 512), sector_of('c')) << "written again, synced";
    lost = lost || disk.content("f")->substr(512) == sector_of('a');
  }
  EXPECT_TRUE(lost);
}

TEST(LossyDiskTest, AFailedWriteIsReported) {
  LossyDisk disk("disk", 1);
  Db db(disk, kWalFull);
  ASSERT_EQ(db.run("CREATE TABLE t(a)"), SQLITE_OK);
  disk.fail(DiskFault::kWriteError, 2);
  EXPECT_EQ(db.run("INSERT INTO t VALUES (1)"), SQLITE_IOERR_WRITE);
  EXPECT_EQ(db.run("INSERT INTO t VALUES (2)"), SQLITE_OK);
  EXPECT_EQ(db.get("SELECT group_concat(a) FROM t"), "2");
  EXPECT_EQ(disk.stats().faults, 1u);
}

TEST(LossyDiskTest, ReadsFailOrFallShortWhenTold) {
  LossyDisk disk("disk", 1);
  disk.install("f", "0123456789");
  RawFile file(disk, "f");
  std::string out(10, '?');
  disk.fail(DiskFault::kReadError, 2);
  EXPECT_EQ(file.read(out, 0), SQLITE_OK);
  EXPECT_EQ(file.read(out, 0), SQLITE_IOERR_READ);
  disk.fail(DiskFault::kShortRead, 1);
  EXPECT_EQ(file.read(out, 0), SQLITE_IOERR_SHORT_READ);
  EXPECT_EQ(out.back(), '\0');
  EXPECT_EQ(file.read(out, 0), SQLITE_OK);
  EXPECT_EQ(out, "0123456789");
}

TEST(LossyDiskTest, FaultRatesAreSeeded) {
  std::set<std::vector<int>> histories;
  for (const std::uint64_t seed : {1, 1, 2}) {
    LossyDisk disk("disk", seed);
    RawFile file(disk, "f");
    disk.set_fault_rate(DiskFault::kSyncError, 300000);
    std::vector<int> history;
    for (int i = 0; i < 100; ++i) history.push_back(file.sync());
    EXPECT_NEAR(static_cast<double>(disk.stats().faults), 30, 20);
    histories.insert(history);
  }
  EXPECT_EQ(histories.size(), 2u);
}

TEST(LossyDiskTest, AFullDiskRollsBackAndWorksAgainWhenItHasRoom) {
  LossyDisk disk("disk", 1);
  Db db(disk, kWalFull);
  ASSERT_EQ(db.run("CREATE TABLE t(a); INSERT INTO t VALUES (1)"), SQLITE_OK);
  disk.set_capacity(64 << 10);
  EXPECT_EQ(db.run("INSERT INTO t VALUES (zeroblob(100000))"), SQLITE_FULL);
  EXPECT_EQ(db.get("SELECT count(*) FROM t"), "1");
  disk.set_capacity(1 << 20);
  EXPECT_EQ(db.run("INSERT INTO t VALUES (zeroblob(100000))"), SQLITE_OK);
  EXPECT_EQ(db.get("PRAGMA integrity_check"), "ok");
}

TEST(LossyDiskTest, CorruptionIsSeenByTheIntegrityCheck) {
  LossyDisk disk("disk", 1);
  {
    Db(disk, kWalFull).run("CREATE TABLE t(a); INSERT INTO t VALUES (randomblob(9000))");
  }
  EXPECT_TRUE(disk.corrupt("db", 4096, sector_of('!')));
  EXPECT_NE(Db(disk).get("PRAGMA integrity_check"), "ok");
  EXPECT_FALSE(disk.corrupt("db", disk.content("db")->size(), "!"));
  EXPECT_FALSE(disk.corrupt("nothing", 0, "!"));
}

TEST(LossyDiskTest, AnInstalledFileIsThereAfterACrash) {
  LossyDisk disk("disk", 1);
  {
    Db(disk, kWalFull).run("CREATE TABLE t(a); INSERT INTO t VALUES (5)");
  }
  const std::string copy = *disk.content("db");
  LossyDisk second("second", 2);
  second.install("db", copy);
  second.crash();
  EXPECT_EQ(Db(second).get("SELECT a FROM t"), "5");
}

TEST(LossyDiskTest, SqliteSeesTheVirtualClockAndNeverSleeps) {
  LossyDisk disk("disk", 1);
  disk.set_wall_clock(UnixMillis{1700000000123});
  Db one(disk, "CREATE TABLE t(a)");
  EXPECT_EQ(one.get("SELECT strftime('%s', 'now')"), "1700000000");
  ASSERT_EQ(one.run("BEGIN IMMEDIATE"), SQLITE_OK);
  Db two(disk, "PRAGMA busy_timeout=60000");
  EXPECT_EQ(two.run("BEGIN IMMEDIATE"), SQLITE_BUSY);
  EXPECT_GE(disk.slept(), std::chrono::seconds(59));
}

TEST(LossyDiskTest, TheOldestOfTooMuchHistoryBecomesDurable) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    LossyDisk disk("disk", seed);
    disk.install("f", std::string(65536, 'a'));
    RawFile file(disk, "f");
    for (int i = 0; i < 200; ++i) {
      ASSERT_EQ(file.write(std::string(65536, i == 199 ? 'c' : 'b'), 0), SQLITE_OK);
    }
    disk.crash();
    const std::string bytes = *disk.content("f");
    EXPECT_EQ(bytes.size(), 65536u);
    // Garbage at a tear may hold a few.
    EXPECT_LT(std::count(bytes.begin(), bytes.end(), 'a'), 32);
  }
}

}  // namespace
}  // namespace sluice::sim
