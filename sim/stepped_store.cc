#include "sim/stepped_store.h"

#include <algorithm>

#include "base/assert.h"

namespace sluice::sim {

SteppedStore::SteppedStore(Loop& loop, std::unique_ptr<SqliteEngine> engine)
    : Store(loop), engine_(std::move(engine)) {
  auto reader = engine_->make_reader(nullptr);
  if (reader) reader_ = std::move(*reader);
}

void SteppedStore::write(std::size_t n) {
  n = std::min(n, queue_.size());
  std::vector<const Transaction*> batch;
  std::vector<SqliteEngine::ResultSlot> results(n);
  for (std::size_t i = 0; i < n; ++i) batch.push_back(&queue_[i]->transaction);
  engine_->apply(batch, results);
  for (std::size_t i = 0; i < n; ++i) {
    written_.push_back(Written{std::move(queue_.front()), std::move(results[i])});
    queue_.pop_front();
  }
}

void SteppedStore::tell_one() {
  SLUICE_ASSERT(!written_.empty());
  Written told = std::move(written_.front());
  written_.pop_front();
  told.request->result = std::move(told.result);
  told.request->complete();
}

void SteppedStore::read_one(std::size_t which) {
  SLUICE_ASSERT(which < reads_.size());
  const std::shared_ptr<ReadRequest> request = std::move(reads_[which]);
  reads_.erase(reads_.begin() + static_cast<std::ptrdiff_t>(which));
  request->run(*reader_);
  request->complete();
}

}  // namespace sluice::sim
