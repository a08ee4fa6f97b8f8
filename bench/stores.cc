#include "stores.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "base/assert.h"
#include "null_store.h"

namespace sluice::bench {
namespace {

// Written over again and again, as a write-ahead log is.
constexpr std::int64_t kFileBytes = 16 << 20;
constexpr std::size_t kPage = 4096;

std::size_t bytes_of(const Changes& changes) {
  std::size_t bytes = 60 * (changes.turns.size() + changes.ended.size() + changes.settled.size());
  for (const HistoryRow& row : changes.history) bytes += 60 + row.text.size();
  for (const PartRow& row : changes.parts) bytes += 100 + row.text.size();
  return bytes;
}

std::size_t bytes_of(const Transaction& transaction) {
  std::size_t bytes = bytes_of(transaction.changes);
  for (const KeyedEvent& event : transaction.events) {
    bytes += 200 + bytes_of(event.then) + (event.message ? event.message->text.size() : 0);
  }
  return bytes;
}

}  // namespace

std::unique_ptr<Store> open_real_store(World& world, const std::string& directory) {
  StoreOptions options;
  options.directory = directory;
  options.now = world.clock().wall();
  auto engine = SqliteEngine::open(std::move(options));
  if (!engine) fmt::print(stderr, "{}\n", engine.error().to_string());
  SLUICE_ASSERT(engine.has_value());
  world.recovered = std::move((*engine)->recovered());
  world.recovered.restored = false;
  world.hash_key = (*engine)->hash_key();
  auto store = ThreadedStore::start(world.shard(), std::move(*engine),
                                    {.clock = &world.clock(),
                                     .log = &world.log(),
                                     .metrics = &world.metrics(),
                                     .on_failure = nullptr});
  SLUICE_ASSERT(store.has_value());
  return std::move(*store);
}

void make_empty_store(const std::string& directory) {
  StoreOptions options;
  options.directory = directory;
  options.now = SystemClock().wall();
  auto engine = SqliteEngine::open(std::move(options));
  SLUICE_ASSERT(engine.has_value());
  const Result<void> closed = (*engine)->close();
  SLUICE_ASSERT(closed.has_value());
}

FileStore::FileStore(Shard& shard, const std::string& path)
    : Store(shard), completions_(std::make_shared<Completions>(shard)) {
  fd_ = ::open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
  SLUICE_ASSERT(fd_ >= 0);
  page_.assign(1 << 20, 'x');
  for (std::int64_t at = 0; at < kFileBytes; at += static_cast<std::int64_t>(page_.size())) {
    SLUICE_ASSERT(::pwrite(fd_, page_.data(), page_.size(), at) > 0);
  }
  SLUICE_ASSERT(::fsync(fd_) == 0);
  writer_ = std::jthread([this] { writer_loop(); });
}

FileStore::~FileStore() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  writer_.join();
  ::close(fd_);
}

void FileStore::submit(std::shared_ptr<CommitRequest> request) {
  bool was_empty = false;
  {
    const std::scoped_lock lock(mutex_);
    was_empty = inbox_.empty();
    inbox_.push_back(std::move(request));
  }
  if (was_empty) wake_.notify_one();
}

void FileStore::submit(std::shared_ptr<ReadRequest> request) {
  const std::unique_ptr<StoreReader> nothing = make_null_reader();
  request->run(*nothing);
  completions_->push(std::move(request));
}

void FileStore::writer_loop() {
  std::vector<std::shared_ptr<CommitRequest>> batch;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !inbox_.empty() || stopping_; });
      if (inbox_.empty()) return;
      batch.swap(inbox_);
    }
    write(batch);
    std::vector<Completions::Told> told;
    told.reserve(batch.size());
    for (auto& request : batch) {
      Receipt receipt;
      receipt.events.resize(request->transaction.events.size());
      told.emplace_back(Completions::Committed{std::move(request), std::move(receipt)});
    }
    completions_->push(std::move(told));
    batch.clear();
  }
}

void FileStore::write(const std::vector<std::shared_ptr<CommitRequest>>& batch) {
  std::size_t bytes = 0;
  for (const auto& request : batch) bytes += bytes_of(request->transaction);
  bytes = std::min((bytes + kPage - 1) / kPage * kPage, page_.size());
  if (at_ + static_cast<std::int64_t>(bytes) > kFileBytes) at_ = 0;
  SLUICE_ASSERT(::pwrite(fd_, page_.data(), bytes, at_) == static_cast<ssize_t>(bytes));
  SLUICE_ASSERT(::fdatasync(fd_) == 0);
  at_ += static_cast<std::int64_t>(bytes);
}

}  // namespace sluice::bench
