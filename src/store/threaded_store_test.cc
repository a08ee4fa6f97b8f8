#include "store/threaded_store.h"

#include <thread>

#include "runtime/task_group.h"
#include "store/fault_vfs.h"
#include "store/store_fixture.h"

namespace sluice {
namespace {

class ThreadedStoreTest : public StoreFixture {
 protected:
  ~ThreadedStoreTest() override {
    group_.cancel();
    store_.reset();
  }

  void start() {
    open();
    reader_.reset();
    ThreadedStoreOptions options;
    options.clock = &clock_;
    options.log = &log_;
    options.metrics = &metrics_;
    options.on_failure = [this](const Error& error) {
      ++failures_;
      EXPECT_EQ(std::this_thread::get_id(), main_);
      EXPECT_EQ(error.kind(), ErrorKind::kStorageFailed);
    };
    auto store = ThreadedStore::start(shard_, std::move(engine_), std::move(options));
    ASSERT_TRUE(store);
    store_ = std::move(*store);
  }
  /// Runs the shard until every spawned task has ended.
  void run() {
    group_.spawn("stop", stop_when_alone());
    shard_.run();
    ASSERT_EQ(group_.size(), 0u);
  }
  Task<void> stop_when_alone() {
    while (group_.size() > 1) co_await sleep_for(shard_, std::chrono::milliseconds(1));
    shard_.stop();
  }

  Task<void> commit_one(std::int64_t id) {
    const Result<Receipt> result = co_await store_->commit(accept(id));
    EXPECT_EQ(std::this_thread::get_id(), main_);
    if (result) {
      order_.push_back(id);
    } else {
      errors_.push_back(result.error().kind());
    }
  }
  Task<void> commit_many(std::int64_t from, std::int64_t count) {
    for (std::int64_t id = from; id < from + count; ++id) co_await commit_one(id);
  }

  const std::thread::id main_ = std::this_thread::get_id();
  SystemClock clock_;
  Shard shard_{clock_, 1};
  NullLogger log_;
  Metrics metrics_;
  TaskGroup group_{shard_};
  std::unique_ptr<ThreadedStore> store_;
  std::vector<std::int64_t> order_;
  std::vector<ErrorKind> errors_;
  int failures_ = 0;
};

TEST_F(ThreadedStoreTest, CommitsCompleteOnTheShardUnderLoad) {
  start();
  for (std::int64_t producer = 0; producer < 32; ++producer) {
    group_.spawn("producer", commit_many(1 + producer * 1000, 20));
  }
  run();
  EXPECT_EQ(order_.size(), 640u);
  EXPECT_LT(metrics_.value("sluice_store_commits_total"), 640);
  EXPECT_EQ(metrics_.value("sluice_store_transactions_total"), 640);
}

TEST_F(ThreadedStoreTest, ResultsComeInTheOrderOfSubmission) {
  start();
  std::vector<std::int64_t> expected;
  for (std::int64_t id = 1; id <= 3000; ++id) {
    group_.spawn("one", commit_one(id));
    expected.push_back(id);
  }
  run();
  EXPECT_EQ(order_, expected);
}

Task<void> read_text(ThreadedStore* store, std::int64_t id, std::string* text) {
  const std::function<Result<std::string>(StoreReader&)> query =
      [id](StoreReader& reader) -> Result<std::string> {
    const auto rows = reader.messages(std::vector{MessageId{id}});
    if (!rows) return rows.error();
    return rows->empty() ? std::string() : (*rows)[0]->text;
  };
  const Result<std::string> result = co_await store->read<std::string>(query);
  EXPECT_TRUE(result);
  if (result) *text = *result;
}

Task<void> commit_then_read(ThreadedStore* store, Transaction transaction, std::string* text) {
  const auto result = co_await store->commit(std::move(transaction));
  EXPECT_TRUE(result);
  co_await read_text(store, 10, text);
}

TEST_F(ThreadedStoreTest, AReadSeesWhatWasCommittedBefore) {
  start();
  std::string text;
  group_.spawn("t", commit_then_read(store_.get(), accept(10, "there"), &text));
  run();
  EXPECT_EQ(text, "there");
}

TEST_F(ThreadedStoreTest, StoppingWritesWhatWasSubmitted) {
  start();
  for (std::int64_t id = 1; id <= 500; ++id) group_.spawn("one", commit_one(id));
  EXPECT_TRUE(store_->stop());
  run();
  EXPECT_EQ(order_.size(), 500u);
  store_.reset();
  EXPECT_EQ(files::size_of(path("sluice.db-wal")), 0u);
  open();
  EXPECT_EQ(engine_->recovered().messages.size(), 500u);
}

TEST_F(ThreadedStoreTest, AfterStoppingEverythingFails) {
  start();
  EXPECT_TRUE(store_->stop());
  group_.spawn("one", commit_one(1));
  run();
  EXPECT_EQ(errors_, std::vector{ErrorKind::kUnavailable});
}

TEST_F(ThreadedStoreTest, DestroyingTheWaitingFrameDoesNotUndoTheCommit) {
  start();
  group_.spawn("one", commit_one(10));
  group_.cancel();
  std::string text;
  group_.spawn("t", commit_then_read(store_.get(), accept(11), &text));
  run();
  EXPECT_EQ(text, "hello");
  EXPECT_TRUE(order_.empty());
}

Task<void> back_up(ThreadedStore* store, std::string path, Result<BackupReport>* out) {
  *out = co_await store->backup(std::move(path));
}

TEST_F(ThreadedStoreTest, ABackupRunsWhileMessagesComeIn) {
  start();
  Result<BackupReport> report = Error();
  group_.spawn("load", commit_many(1, 200));
  group_.spawn("backup", back_up(store_.get(), path("copy"), &report));
  run();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_GT(report->bytes, 4096u);
  EXPECT_EQ(order_.size(), 200u);
}

Task<void> ask_writer(ThreadedStore* store, Result<std::int64_t>* out) {
  const std::function<Result<std::int64_t>(SqliteEngine&)> job = [](SqliteEngine& engine) {
    return Result<std::int64_t>(engine.generation());
  };
  *out = co_await store->on_writer<std::int64_t>(job);
}

TEST_F(ThreadedStoreTest, AJobHasTheEngineToItself) {
  start();
  Result<std::int64_t> generation = Error();
  group_.spawn("job", ask_writer(store_.get(), &generation));
  run();
  EXPECT_EQ(*generation, 1);
}

TEST_F(ThreadedStoreTest, AFailedSyncIsToldOnceAndNothingIsAcknowledgedAfterwards) {
  FaultVfs vfs;
  options_.vfs = FaultVfs::kName;
  start();
  group_.spawn("one", commit_one(1));
  run();
  EXPECT_EQ(order_.size(), 1u);
  FaultVfs::fail_syncs = true;
  group_.spawn("many", commit_many(2, 5));
  shard_.io().restart();
  run();
  EXPECT_EQ(order_.size(), 1u);
  EXPECT_EQ(errors_, std::vector(5, ErrorKind::kStorageFailed));
  EXPECT_EQ(failures_, 1);
  EXPECT_FALSE(store_->stop());
  FaultVfs::fail_syncs = false;
  store_.reset();
}

}  // namespace
}  // namespace sluice
