// What stops a store from being opened, and what is noticed when it is.

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/fault_vfs.h"
#include "store/store_fixture.h"

namespace sluice {
namespace {

class OpenTest : public StoreFixture {
 protected:
  void fill() {
    std::vector<Transaction> batch;
    for (std::int64_t id = 10; id < 400; ++id) batch.push_back(accept(id, std::string(300, 'x')));
    apply_all(batch);
  }
};

TEST_F(OpenTest, EachOpeningIsANewGeneration) {
  open();
  EXPECT_EQ(engine_->generation(), 1);
  reopen();
  EXPECT_EQ(engine_->generation(), 2);
  EXPECT_EQ(engine_->recovered().generation, 2);
}

TEST_F(OpenTest, FilesAreForTheirOwnerOnly) {
  ::chmod(directory_.c_str(), 0755);
  open();
  apply(accept(10));
  struct stat st{};
  ASSERT_EQ(::stat(directory_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  for (const char* name :
       {"sluice.db", "sluice.db-wal", "sluice.db-shm", "hash.key", "store.lock"}) {
    ASSERT_EQ(::stat(path(name).c_str(), &st), 0) << name;
    EXPECT_EQ(st.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(OpenTest, ASecondDaemonIsRefusedAndToldWhoIsThere) {
  open();
  const auto second = SqliteEngine::open(options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
  EXPECT_NE(second.error().context().find(std::to_string(::getpid())), std::string::npos);
}

TEST_F(OpenTest, AMissingHashKeyIsRefused) {
  open();
  close();
  std::filesystem::remove(path("hash.key"));
  const Error error = open_error();
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_NE(error.context().find("hash.key"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path("hash.key")));
}

TEST_F(OpenTest, TheHashKeyOfAnotherStoreIsRefused) {
  open();
  close();
  std::ofstream(path("hash.key")) << std::string(32, 'a') << "\n";
  EXPECT_EQ(open_error().kind(), ErrorKind::kNotFound);
}

TEST_F(OpenTest, AHashKeyThatIsNoKeyIsRefused) {
  open();
  close();
  std::ofstream(path("hash.key")) << "not hex\n";
  EXPECT_EQ(open_error().kind(), ErrorKind::kCorrupt);
}

TEST_F(OpenTest, AStoreOfANewerVersionIsRefused) {
  open();
  close();
  execute("PRAGMA user_version=999");
  const Error error = open_error();
  EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  EXPECT_NE(error.context().find("newer"), std::string::npos);
}

TEST_F(OpenTest, AFileThatIsNoDatabaseIsRefused) {
  open();
  close();
  std::ofstream(path("sluice.db")) << std::string(8192, 'x');
  EXPECT_EQ(open_error().kind(), ErrorKind::kCorrupt);
}

TEST_F(OpenTest, ADatabaseOfAnotherProgramIsRefused) {
  open();
  close();
  execute("PRAGMA application_id=7");
  EXPECT_EQ(open_error().kind(), ErrorKind::kCorrupt);
}

TEST_F(OpenTest, ADatabaseThatWasNeverOursIsLeftAlone) {
  std::ofstream(path("hash.key")) << std::string(32, 'a') << "\n";
  {
    auto db = sqlite::Database::open(path("sluice.db"), sqlite::Database::Mode::kCreate);
    ASSERT_TRUE(db->exec("CREATE TABLE theirs(x)"));
  }
  EXPECT_EQ(open_error().kind(), ErrorKind::kCorrupt);
}

TEST_F(OpenTest, ADamagedStoreIsRefused) {
  open();
  fill();
  close();
  {
    std::fstream file(path("sluice.db"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(20 * 4096);
    file << std::string(20 * 4096, '\x5a');
  }
  const Error error = open_error();
  EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
  EXPECT_NE(error.context().find("sluice.db"), std::string::npos);
}

TEST_F(OpenTest, ATruncatedStoreIsRefused) {
  open();
  fill();
  close();
  std::filesystem::resize_file(path("sluice.db"), 5 * 4096);
  EXPECT_EQ(open_error().kind(), ErrorKind::kCorrupt);
}

TEST_F(OpenTest, NetworkFileSystemsAreKnownByTheirType) {
  for (const char* type : {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs", "ceph"}) {
    EXPECT_TRUE(files::is_network_type(type)) << type;
  }
  for (const char* type :
       {"ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuse.fuse-overlayfs"}) {
    EXPECT_FALSE(files::is_network_type(type)) << type;
  }
  EXPECT_FALSE(files::file_system(directory_).type.empty());
}

// ---- migrations

constexpr Migration kTwoSteps[] = {{"CREATE TABLE a(x)"},
                                   {"ALTER TABLE a ADD COLUMN y; CREATE TABLE b(x)"}};

TEST_F(OpenTest, AMigrationKeepsACopyOfTheFileBefore) {
  const std::string file = path("m.db");
  auto db = sqlite::Database::open(file, sqlite::Database::Mode::kCreate);
  ASSERT_TRUE(db);
  ASSERT_TRUE(migrate(*db, file, nullptr, std::span(kTwoSteps).first(1)));
  ASSERT_TRUE(db->exec("INSERT INTO a VALUES(7)"));
  const auto report = migrate(*db, file, nullptr, kTwoSteps);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->from, 1);
  EXPECT_EQ(report->to, 2);
  EXPECT_EQ(report->backup, file + ".before-v2");
  EXPECT_EQ(**db->query_integer("PRAGMA user_version"), 2);
  auto copy = sqlite::Database::open(report->backup, sqlite::Database::Mode::kQuery);
  ASSERT_TRUE(copy);
  EXPECT_EQ(**copy->query_integer("SELECT x FROM a"), 7);
  EXPECT_EQ(**copy->query_integer("PRAGMA user_version"), 1);
}

TEST_F(OpenTest, AMigrationThatFailsChangesNothing) {
  constexpr Migration bad[] = {{"CREATE TABLE a(x)"}, {"CREATE TABLE b(x); NONSENSE"}};
  const std::string file = path("m.db");
  auto db = sqlite::Database::open(file, sqlite::Database::Mode::kCreate);
  ASSERT_TRUE(migrate(*db, file, nullptr, std::span(bad).first(1)));
  EXPECT_FALSE(migrate(*db, file, nullptr, bad));
  EXPECT_EQ(**db->query_integer("PRAGMA user_version"), 1);
  EXPECT_FALSE(db->query_integer("SELECT count(*) FROM b"));
}

// ---- copies (C30)

TEST_F(OpenTest, TheSameFileOnTheSameMachineIsNotRestored) {
  open();
  reopen();
  EXPECT_FALSE(engine_->recovered().restored);
}

TEST_F(OpenTest, AnotherMachineIsNoticedUntilTheCoreAcceptsIt) {
  options_.identity = "machine a";
  open();
  options_.identity = "machine b";
  reopen();
  EXPECT_TRUE(engine_->recovered().restored);
  EXPECT_NE(engine_->recovered().restored_reason.find("machine"), std::string::npos);
  reopen();
  EXPECT_TRUE(engine_->recovered().restored);
  change({.marks = {{std::string(RowWriter::kRestoredAccepted), "1"}}});
  reopen();
  EXPECT_FALSE(engine_->recovered().restored);
}

TEST_F(OpenTest, ACopyOfTheFileIsNoticed) {
  open();
  close();
  std::filesystem::copy_file(path("sluice.db"), path("copy"));
  std::filesystem::rename(path("copy"), path("sluice.db"));
  open();
  EXPECT_TRUE(engine_->recovered().restored);
}

TEST_F(OpenTest, TheNewestStampOutlivesItsRow) {
  open();
  apply(accept(10));
  reopen();
  EXPECT_EQ(engine_->recovered().newest_stamp, (UnixMillis{100 * kDay + 10}));
  close();
  execute("DELETE FROM messages; DELETE FROM key_log");
  open();
  EXPECT_EQ(engine_->recovered().newest_stamp, (UnixMillis{100 * kDay + 10}));
}

// ---- failing disks

TEST_F(OpenTest, AFailedSyncPoisonsTheEngine) {
  FaultVfs vfs;
  options_.vfs = FaultVfs::kName;
  open();
  apply(accept(10));
  FaultVfs::fail_syncs = true;
  EXPECT_EQ(try_apply(accept(11)).error().kind(), ErrorKind::kStorageFailed);
  FaultVfs::fail_syncs = false;
  Transaction later = accept(12);
  later.epoch = 99;
  EXPECT_EQ(try_apply(later).error().kind(), ErrorKind::kStorageFailed);
  EXPECT_FALSE(engine_->maintain(options_.now, SqliteEngine::Effort::kIdle, true));
  EXPECT_FALSE(engine_->close());
  reader_.reset();
  engine_.reset();
}

TEST_F(OpenTest, AFullDiskAtTheCommitUndoesTheKeys) {
  FaultVfs vfs;
  options_.vfs = FaultVfs::kName;
  open();
  FaultVfs::fail_writes = true;
  EXPECT_EQ(try_apply(accept(10)).error().kind(), ErrorKind::kDiskFull);
  FaultVfs::fail_writes = false;
  Transaction again = accept(10);
  again.epoch = 1;
  EXPECT_EQ(apply(again).events[0].verdict, EventVerdict::kNew);
  EXPECT_EQ(count("messages"), 1);
  reader_.reset();
  engine_.reset();
}

}  // namespace
}  // namespace sluice
