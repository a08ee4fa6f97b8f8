#include "store/threaded_store.h"

#include <utility>

namespace sluice {
namespace {

// How long nothing must have come before the writer does what can wait.
constexpr Duration kIdleAfter = std::chrono::milliseconds(20);
// Under a load that never pauses, one slice of that work in this time.
constexpr Duration kSliceEvery = std::chrono::milliseconds(250);
// With nothing to do at all: look again, because retention may be due.
constexpr Duration kLongWait = std::chrono::seconds(10);

std::size_t bytes_of(const Changes& changes) {
  std::size_t bytes = 0;
  for (const HistoryRow& row : changes.history) bytes += row.text.size() + row.meta.size();
  for (const PartRow& row : changes.parts) bytes += row.text.size() + row.meta.size();
  for (const auto& [id, text] : changes.rewrites) bytes += text.size();
  return bytes;
}

/// Roughly what a transaction takes in memory and in the log.
std::size_t bytes_of(const Transaction& transaction) {
  std::size_t bytes = 512 + bytes_of(transaction.changes);
  for (const KeyedEvent& event : transaction.events) {
    bytes += 256 + bytes_of(event.then);
    if (event.message) bytes += event.message->text.size() + event.message->extra.size();
  }
  return bytes;
}

}  // namespace

Result<std::unique_ptr<ThreadedStore>> ThreadedStore::start(Shard& shard,
                                                            std::unique_ptr<SqliteEngine> engine,
                                                            ThreadedStoreOptions options) {
  auto reader = engine->make_reader(options.clock);
  if (!reader) return reader.error();
  return std::unique_ptr<ThreadedStore>(
      new ThreadedStore(shard, std::move(engine), std::move(*reader), std::move(options)));
}

ThreadedStore::ThreadedStore(Shard& shard, std::unique_ptr<SqliteEngine> engine,
                             std::unique_ptr<SqliteReader> reader, ThreadedStoreOptions options)
    : Store(shard),
      completions_(std::make_shared<Completions>(shard)),
      options_(std::move(options)),
      engine_(std::move(engine)),
      reader_(std::move(reader)) {
  Metrics& metrics = *options_.metrics;
  commits_ = &metrics.counter("sluice_store_commits_total", "Commits, each with one fsync.");
  transactions_ = &metrics.counter("sluice_store_transactions_total", "Transactions on disk.");
  refused_ =
      &metrics.counter("sluice_store_refused_total", "Transactions refused: too many waited.");
  commit_seconds_ = &metrics.histogram("sluice_store_commit_seconds", "Time of one commit.");
  queued_ = &metrics.gauge("sluice_store_queued", "Transactions that wait for the writer.");
  writer_ = std::jthread([this] { writer_loop(); });
  reader_thread_ = std::jthread([this] { reader_loop(); });
}

ThreadedStore::~ThreadedStore() { (void)stop(); }

Task<void> ThreadedStore::tidy(MonoTime until) {
  for (bool more = true; more && loop_.now() < until;) {
    const Result<bool> done =
        co_await on_writer<bool>([](SqliteEngine& engine) { return engine.tidy(); });
    more = done && *done;
  }
}

Result<void> ThreadedStore::stop(SqliteEngine::Closing how) {
  if (std::exchange(stopped_, true)) return closed_;
  closing_ = how;
  // Readers first: one that is open would keep the log from being emptied.
  {
    const std::scoped_lock lock(read_mutex_);
    reader_stopping_ = true;
  }
  reader_wake_.notify_one();
  reader_thread_.join();
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  writer_wake_.notify_one();
  writer_.join();
  return closed_;
}

void ThreadedStore::submit(std::shared_ptr<CommitRequest> request) {
  Pending pending{std::move(request)};
  pending.bytes = bytes_of(pending.request->transaction);
  bool wake = false;
  {
    const std::scoped_lock lock(mutex_);
    pending.refused =
        stopping_ || inbox_.size() >= kMostRequests || inbox_bytes_ + pending.bytes > kMostBytes;
    if (pending.refused) {
      // Its place in the order is kept, its content is not.
      const std::uint64_t epoch = pending.request->transaction.epoch;
      pending.request->transaction = Transaction{};
      pending.request->transaction.epoch = epoch;
      pending.bytes = 0;
    }
    inbox_bytes_ += pending.bytes;
    if (!stopping_) {
      inbox_.push_back(std::move(pending));
      wake = std::exchange(writer_waits_, false);
    }
  }
  if (pending.request != nullptr) {  // stopped: there is no writer to tell it
    completions_->push(Completions::Committed{
        std::move(pending.request), Error(ErrorKind::kUnavailable, "the store is closed")});
  }
  if (wake) writer_wake_.notify_one();
}

void ThreadedStore::submit(std::shared_ptr<ReadRequest> request) {
  bool refused = false;
  {
    const std::scoped_lock lock(read_mutex_);
    refused = reader_stopping_ || reads_.size() >= kMostReads;
    if (!refused) reads_.push_back({.request = request, .run = nullptr, .token = nullptr});
  }
  if (refused) {
    completions_->push(std::move(request));
  } else {
    reader_wake_.notify_one();
  }
}

void ThreadedStore::submit_job(std::function<void(SqliteEngine&)> run,
                               std::shared_ptr<Token> token) {
  {
    const std::scoped_lock lock(mutex_);
    if (!stopping_) jobs_.push_back({std::move(run), std::move(token)});
  }
  if (token != nullptr) tell(token);
  writer_wake_.notify_one();
}

void ThreadedStore::submit_read_job(std::function<void(SqliteReader&)> run,
                                    std::shared_ptr<Token> token) {
  {
    const std::scoped_lock lock(read_mutex_);
    if (!reader_stopping_) reads_.push_back({nullptr, std::move(run), std::move(token)});
  }
  if (token != nullptr) tell(token);
  reader_wake_.notify_one();
}

void ThreadedStore::tell(const std::shared_ptr<Token>& token) {
  completions_->push(std::function<void()>([token] { token->complete(); }));
}

Task<Result<BackupReport>> ThreadedStore::backup(std::string path) {
  auto slot = std::make_shared<std::optional<Result<BackupReport>>>();
  auto done = std::make_shared<Token>(loop_);
  const std::function<Result<void>(SqliteEngine&)> begin =
      [this, path, slot, done](SqliteEngine& engine) -> Result<void> {
    if (backup_) return Error(ErrorKind::kConflict, "another backup is under way");
    auto job = engine.begin_backup(path, options_.clock->wall());
    if (!job) return job.error();
    backup_.emplace(Backup{path, slot, done, std::move(*job)});
    return {};
  };
  const Result<void> begun = co_await on_writer<void>(begin);
  if (!begun) co_return begun.error();
  co_await Wait(done);
  co_return std::move(**slot);
}

// ---- the writer's thread

void ThreadedStore::writer_loop() {
  std::vector<Pending> batch;
  std::vector<Job> jobs;
  bool idle_work = true;  // there may be some
  while (wait_for_work(backup_ ? Duration(0) : idle_work ? kIdleAfter : kLongWait, batch, jobs)) {
    const bool idle = batch.empty() && jobs.empty();
    if (!batch.empty()) write(std::exchange(batch, {}));
    for (Job& job : jobs) {
      job.run(*engine_);
      tell(job.token);
    }
    jobs.clear();
    const bool copying = step_backup();
    const MonoTime now = options_.clock->now();
    const bool slice = (idle && !copying) || now - last_slice_ >= kSliceEvery;
    if (slice) last_slice_ = now;
    const bool more = maintain(slice ? SqliteEngine::Effort::kIdle : SqliteEngine::Effort::kBusy);
    idle_work = more || !idle;
    report_failure();
  }
  end_backup(Error(ErrorKind::kCancelled, "the store was stopped"));
  closed_ = engine_->close(closing_);
  report_failure();
  engine_.reset();
}

bool ThreadedStore::wait_for_work(Duration patience, std::vector<Pending>& batch,
                                  std::vector<Job>& jobs) {
  std::unique_lock lock(mutex_);
  if (inbox_.empty() && jobs_.empty() && !stopping_ && patience > Duration(0)) {
    writer_waits_ = true;
    writer_wake_.wait_for(lock, patience,
                          [this] { return !inbox_.empty() || !jobs_.empty() || stopping_; });
    writer_waits_ = false;
  }
  if (stopping_ && inbox_.empty() && jobs_.empty()) return false;
  jobs.swap(jobs_);
  std::size_t bytes = 0;
  while (!inbox_.empty() && batch.size() < kBatchRequests && bytes < kBatchBytes) {
    bytes += inbox_.front().bytes;
    batch.push_back(std::move(inbox_.front()));
    inbox_.pop_front();
  }
  inbox_bytes_ -= bytes;
  queued_->set(static_cast<std::int64_t>(inbox_.size()));
  return true;
}

void ThreadedStore::write(std::vector<Pending> batch) {
  // A refused one fails in its place, between those before it and those after it.
  std::size_t from = 0;
  for (std::size_t i = 0; i <= batch.size(); ++i) {
    if (i < batch.size() && !batch[i].refused) continue;
    write_some(std::span(batch).subspan(from, i - from));
    if (i < batch.size()) refuse(std::move(batch[i]));
    from = i + 1;
  }
}

void ThreadedStore::write_some(std::span<Pending> batch) {
  if (batch.empty()) return;
  std::vector<const Transaction*> transactions;
  transactions.reserve(batch.size());
  for (const Pending& pending : batch) transactions.push_back(&pending.request->transaction);
  std::vector<SqliteEngine::ResultSlot> results(batch.size());
  const MonoTime before = options_.clock->now();
  engine_->apply(transactions, results);
  commit_seconds_->observe(std::chrono::duration<double>(options_.clock->now() - before).count());
  commits_->add();
  std::vector<Completions::Told> told;
  told.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (*results[i]) transactions_->add();
    told.emplace_back(Completions::Committed{std::move(batch[i].request), std::move(results[i])});
  }
  completions_->push(std::move(told));
}

void ThreadedStore::refuse(Pending pending) {
  refused_->add();
  const Error error(ErrorKind::kOverloaded, "too many transactions wait for the disk",
                    ErrorSource::kSelf, Retry::with_backoff());
  engine_->refuse_upto(pending.request->transaction.epoch, error);
  completions_->push(Completions::Committed{std::move(pending.request), error});
}

bool ThreadedStore::step_backup() {
  if (!backup_) return false;
  const Result<bool> more = backup_->job->step();
  if (!more) {
    end_backup(more.error());
  } else if (!*more) {
    end_backup(backup_->job->finish());
  }
  return backup_.has_value();
}

void ThreadedStore::end_backup(Result<BackupReport> result) {
  if (!backup_) return;
  Backup ended = std::move(*backup_);
  backup_.reset();
  ended.job.reset();
  ended.slot->emplace(std::move(result));
  tell(ended.token);
}

bool ThreadedStore::maintain(SqliteEngine::Effort effort) {
  const bool may_prune = may_prune_.load(std::memory_order_relaxed);
  const Result<bool> more = engine_->maintain(options_.clock->wall(), effort, may_prune);
  return more && *more;
}

void ThreadedStore::report_failure() {
  if (failure_told_ || !engine_->failure() || engine_->closed()) return;
  failure_told_ = true;
  const Error error = *engine_->failure();
  options_.log->error("store_failed", {{"error", error.to_string()}});
  if (!options_.on_failure) return;
  completions_->push(std::function<void()>([call = options_.on_failure, error] { call(error); }));
}

// ---- the reader's thread

void ThreadedStore::reader_loop() {
  for (;;) {
    ReadJob job;
    bool stopping = false;
    {
      std::unique_lock lock(read_mutex_);
      reader_wake_.wait(lock, [this] { return !reads_.empty() || reader_stopping_; });
      if (reads_.empty()) break;
      stopping = reader_stopping_;
      job = std::move(reads_.front());
      reads_.pop_front();
    }
    // When it stops, what still waits is told without an answer.
    if (job.request != nullptr) {
      if (!stopping) reader_->run(job.request->run);
      completions_->push(std::move(job.request));
    } else {
      if (!stopping) job.run(*reader_);
      tell(job.token);
    }
  }
  reader_.reset();
}

}  // namespace sluice
