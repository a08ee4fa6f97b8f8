#pragma once
// SteppedStore: the real SQLite engine behind the Store interface, one step at a time. The world
// decides when a batch is written, how large it is, and which of its results are told before the
// power fails. One process's; destroyed with it.

#include <deque>
#include <memory>
#include <vector>

#include "gateway/store.h"
#include "store/engine.h"
#include "store/reader.h"

namespace sluice::sim {

class SteppedStore : public Store {
 public:
  SteppedStore(Loop& loop, std::unique_ptr<SqliteEngine> engine);

  SqliteEngine& engine() { return *engine_; }
  /// A view of what is committed, for checkers.
  StoreReader& reader() { return *reader_; }

  std::size_t queued() const { return queue_.size(); }
  std::size_t untold() const { return written_.size(); }
  std::size_t reads() const { return reads_.size(); }

  /// Writes the first n queued transactions in one commit. Their results are not told yet.
  void write(std::size_t n);
  /// Tells the oldest untold result.
  void tell_one();
  /// Runs one queued read; which one is the caller's choice.
  void read_one(std::size_t which);

 private:
  void submit(std::shared_ptr<CommitRequest> request) override {
    queue_.push_back(std::move(request));
  }
  void submit(std::shared_ptr<ReadRequest> request) override {
    reads_.push_back(std::move(request));
  }

  struct Written {
    std::shared_ptr<CommitRequest> request;
    std::optional<Result<Receipt>> result;
  };
  std::unique_ptr<SqliteEngine> engine_;
  std::unique_ptr<StoreReader> reader_;
  std::deque<std::shared_ptr<CommitRequest>> queue_;
  std::deque<Written> written_;
  std::vector<std::shared_ptr<ReadRequest>> reads_;
};

}  // namespace sluice::sim
