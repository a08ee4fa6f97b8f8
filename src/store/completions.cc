#include "store/completions.h"

#include <algorithm>
#include <iterator>

namespace sluice {
namespace {

void tell(Completions::Committed& committed) {
  committed.request->result = std::move(committed.result);
  committed.request->complete();
}
void tell(std::shared_ptr<Store::ReadRequest>& read) { read->complete(); }
void tell(std::function<void()>& call) { call(); }

}  // namespace

void Completions::push(std::vector<Told> told) {
  const std::scoped_lock lock(mutex_);
  std::move(told.begin(), told.end(), std::back_inserter(queue_));
  post_drain();
}

void Completions::push(Told told) {
  const std::scoped_lock lock(mutex_);
  queue_.push_back(std::move(told));
  post_drain();
}

void Completions::post_drain() {
  if (posted_ || queue_.empty()) return;
  posted_ = true;
  shard_.post_from_any_thread([self = shared_from_this()] { self->drain(); });
}

void Completions::drain() {
  std::vector<Told> chunk;
  {
    const std::scoped_lock lock(mutex_);
    const std::size_t n = std::min(queue_.size(), kChunk);
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(n);
    chunk.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
    queue_.erase(queue_.begin(), end);
    posted_ = false;
    post_drain();
  }
  for (Told& told : chunk) {
    std::visit([](auto& what) { tell(what); }, told);
  }
}

}  // namespace sluice
