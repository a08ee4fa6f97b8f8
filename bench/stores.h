#pragma once
// The two durable stores that worlds run on: the real one, and one that puts a plain file in
// SQLite's place and is otherwise the same writer.

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/completions.h"
#include "store/threaded_store.h"
#include "world.h"

namespace sluice::bench {

/// Opens the store in the directory for the world, and hands over what it found. A copied store
/// counts as the original.
std::unique_ptr<Store> open_real_store(World& world, const std::string& directory);

/// Makes an empty store and closes it.
void make_empty_store(const std::string& directory);

/// FileStore: a writer thread takes all that waits, writes as many bytes with one pwrite, syncs
/// them with fdatasync, and answers in order. Keeps nothing that could be read. The reference of
/// the rows about latency. Shard-confined but for its thread.
class FileStore : public Store {
 public:
  FileStore(Shard& shard, const std::string& path);
  ~FileStore() override;

 protected:
  void submit(std::shared_ptr<CommitRequest> request) override;
  void submit(std::shared_ptr<ReadRequest> request) override;

 private:
  void writer_loop();
  void write(const std::vector<std::shared_ptr<CommitRequest>>& batch);

  std::shared_ptr<Completions> completions_;
  int fd_ = -1;
  std::int64_t at_ = 0;
  std::string page_;

  std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  std::vector<std::shared_ptr<CommitRequest>> inbox_;  // bounded by the people of the world
  bool stopping_ = false;

  std::jthread writer_;
};

}  // namespace sluice::bench
