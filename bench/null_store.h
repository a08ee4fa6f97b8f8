#pragma once
// NullStore: a store that keeps nothing and answers at once, through the shard's ready list as the
// real one does, so that what remains to be measured is the core.
//
// Shard-confined. Every event is new, every read finds nothing.

#include <memory>
#include <vector>

#include "gateway/store.h"
#include "runtime/task_group.h"

namespace sluice::bench {

/// Finds nothing.
std::unique_ptr<StoreReader> make_null_reader();

class NullStore : public Store {
 public:
  explicit NullStore(Loop& loop) : Store(loop), arrived_(loop), tasks_(loop) {
    tasks_.spawn("null_store", answer());
  }
  std::uint64_t transactions() const { return transactions_; }

 protected:
  void submit(std::shared_ptr<CommitRequest> request) override;
  void submit(std::shared_ptr<ReadRequest> request) override;

 private:
  Task<void> answer();

  std::vector<std::shared_ptr<CommitRequest>> commits_;
  std::vector<std::shared_ptr<ReadRequest>> reads_;
  std::uint64_t transactions_ = 0;
  Event arrived_;
  TaskGroup tasks_;
};

}  // namespace sluice::bench
