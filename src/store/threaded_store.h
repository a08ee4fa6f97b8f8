#pragma once
// ThreadedStore: the Store of production. A writer thread owns the SqliteEngine and commits in
// groups: it takes all that is pending, without any artificial delay, because the fsync under way
// is the batching window. A reader thread answers queries. Results come back through the shard, in
// the order of submission.
//
// Shard-confined but for the two threads inside. The shard must outlive it.
//
// Limits: kMostRequests and kMostBytes wait for the writer; beyond that a transaction is refused
// with kOverloaded, and with it, as after any failed commit, all that were submitted before its
// failure was known. kMostReads wait for the reader; beyond that a read ends with kStorageFailed.
// Errors: see Store. After a failed write or fsync, on_failure is called once, on the shard, and
// nothing more is acknowledged: the process must end (C28).

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gateway/store.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "runtime/shard.h"
#include "store/completions.h"
#include "store/engine.h"
#include "store/reader.h"

namespace sluice {

struct ThreadedStoreOptions {
  Clock* clock = nullptr;  // of the operating system: used on both threads
  Logger* log = nullptr;
  Metrics* metrics = nullptr;
  std::function<void(const Error&)> on_failure;
};

class ThreadedStore : public Store {
 public:
  static constexpr std::size_t kMostRequests = 65536;
  static constexpr std::size_t kMostBytes = 256 << 20;
  static constexpr std::size_t kMostReads = 4096;
  /// Of one commit.
  static constexpr std::size_t kBatchRequests = 4096;
  static constexpr std::size_t kBatchBytes = 4 << 20;

  /// Takes the engine, whose `recovered()` should have been read by now. Fails if no reader can be
  /// opened.
  static Result<std::unique_ptr<ThreadedStore>> start(Shard& shard,
                                                      std::unique_ptr<SqliteEngine> engine,
                                                      ThreadedStoreOptions options);
  /// Stops, if that was not done.
  ~ThreadedStore() override;

  /// Does what makes the next opening quick, between commits, until that is done or this time has
  /// come. For a process that is about to hand over.
  Task<void> tidy(MonoTime until);

  /// Writes all that was submitted, and closes the file. Blocks for that long. Results still come
  /// through the shard. What is submitted afterwards fails. The error is that of the last write.
  Result<void> stop(SqliteEngine::Closing how = SqliteEngine::Closing::kForGood);

  /// Runs job between two commits, with the engine to itself.
  template <class T>
  Task<Result<T>> on_writer(std::function<Result<T>(SqliteEngine&)> job) {
    auto slot = std::make_shared<std::optional<Result<T>>>();
    auto token = std::make_shared<Token>(loop_);
    submit_job([slot, job = std::move(job)](SqliteEngine& engine) { slot->emplace(job(engine)); },
               token);
    co_await Wait(token);
    if (!*slot) co_return Error(ErrorKind::kUnavailable, "the store is closed");
    co_return std::move(**slot);
  }
  /// Runs job on the reader's thread, outside any transaction and without its bound on time: for
  /// exports.
  template <class T>
  Task<Result<T>> on_reader(std::function<Result<T>(SqliteReader&)> job) {
    auto slot = std::make_shared<std::optional<Result<T>>>();
    auto token = std::make_shared<Token>(loop_);
    submit_read_job(
        [slot, job = std::move(job)](SqliteReader& reader) { slot->emplace(job(reader)); }, token);
    co_await Wait(token);
    if (!*slot) co_return Error(ErrorKind::kUnavailable, "the store is closed");
    co_return std::move(**slot);
  }
  /// Copies the store to a file while work goes on. One at a time: kConflict. kCancelled by stop().
  Task<Result<BackupReport>> backup(std::string path);

  /// False while the clock is suspect (C29): nothing is pruned. Any thread.
  void allow_pruning(bool allowed) { may_prune_.store(allowed, std::memory_order_relaxed); }

 protected:
  void submit(std::shared_ptr<CommitRequest> request) override;
  void submit(std::shared_ptr<ReadRequest> request) override;

 private:
  /// What a waiting frame and a thread share, so that either may go first.
  struct Token {
    explicit Token(Loop& l) : loop(l) {}
    Loop& loop;
    Ready* waiter = nullptr;
    bool done = false;
    void complete() {
      done = true;
      if (waiter != nullptr) loop.post(*waiter);
    }
  };
  class Wait : Ready {
   public:
    explicit Wait(std::shared_ptr<Token> token) : token_(std::move(token)) {}
    ~Wait() { token_->waiter = nullptr; }
    bool await_ready() const { return token_->done; }
    void await_suspend(std::coroutine_handle<> h) {
      handle = h;
      token_->waiter = this;
    }
    void await_resume() {}

   private:
    std::shared_ptr<Token> token_;
  };
  struct Pending {
    std::shared_ptr<CommitRequest> request;
    std::size_t bytes = 0;
    bool refused = false;
  };
  struct Job {
    std::function<void(SqliteEngine&)> run;
    std::shared_ptr<Token> token;
  };
  struct ReadJob {
    std::shared_ptr<ReadRequest> request;    // either this
    std::function<void(SqliteReader&)> run;  // or this and its token
    std::shared_ptr<Token> token;
  };
  struct Backup {
    std::string path;
    std::shared_ptr<std::optional<Result<BackupReport>>> slot;
    std::shared_ptr<Token> token;
    std::unique_ptr<BackupJob> job;
  };

  ThreadedStore(Shard& shard, std::unique_ptr<SqliteEngine> engine,
                std::unique_ptr<SqliteReader> reader, ThreadedStoreOptions options);
  void submit_job(std::function<void(SqliteEngine&)> run, std::shared_ptr<Token> token);
  void submit_read_job(std::function<void(SqliteReader&)> run, std::shared_ptr<Token> token);
  void tell(const std::shared_ptr<Token>& token);

  // Writer thread.
  void writer_loop();
  bool wait_for_work(Duration patience, std::vector<Pending>& batch, std::vector<Job>& jobs);
  void write(std::vector<Pending> batch);
  void write_some(std::span<Pending> batch);
  void refuse(Pending pending);
  bool step_backup();
  void end_backup(Result<BackupReport> result);
  bool maintain(SqliteEngine::Effort effort);
  void report_failure();

  // Reader thread.
  void reader_loop();

  std::shared_ptr<Completions> completions_;
  ThreadedStoreOptions options_;
  std::unique_ptr<SqliteEngine> engine_;
  std::unique_ptr<SqliteReader> reader_;
  std::atomic<bool> may_prune_{true};

  std::mutex mutex_;  // of what follows
  std::condition_variable writer_wake_;
  std::deque<Pending> inbox_;
  std::size_t inbox_bytes_ = 0;
  std::vector<Job> jobs_;
  bool writer_waits_ = false;
  bool stopping_ = false;
  bool stopped_ = false;

  std::mutex read_mutex_;  // of what follows
  std::condition_variable reader_wake_;
  std::deque<ReadJob> reads_;
  bool reader_stopping_ = false;

  // Writer thread only.
  std::optional<Backup> backup_;
  bool failure_told_ = false;
  MonoTime last_slice_;
  SqliteEngine::Closing closing_ = SqliteEngine::Closing::kForGood;
  Result<void> closed_;

  Counter* commits_ = nullptr;
  Counter* transactions_ = nullptr;
  Counter* refused_ = nullptr;
  Histogram* commit_seconds_ = nullptr;
  Gauge* queued_ = nullptr;

  std::jthread writer_;
  std::jthread reader_thread_;
};

}  // namespace sluice
