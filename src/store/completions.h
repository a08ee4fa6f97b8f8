#pragma once
// Completions: the way back from the store's threads to the shard. Results are kept in order and
// told on the shard, one post however many they are, in chunks, so that a batch of thousands does
// not hold the shard up.
//
// push() from any thread; everything else on the shard. Kept alive by the posts under way.

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "gateway/store.h"
#include "runtime/shard.h"

namespace sluice {

class Completions : public std::enable_shared_from_this<Completions> {
 public:
  /// At about a microsecond each the shard pauses for a quarter of a millisecond.
  static constexpr std::size_t kChunk = 256;

  struct Committed {
    std::shared_ptr<Store::CommitRequest> request;
    std::optional<Result<Receipt>> result;
  };
  using Told = std::variant<Committed, std::shared_ptr<Store::ReadRequest>, std::function<void()>>;

  explicit Completions(Shard& shard) : shard_(shard) {}
  void push(std::vector<Told> told);
  void push(Told told);

 private:
  void post_drain();
  void drain();

  Shard& shard_;
  std::mutex mutex_;
  std::deque<Told> queue_;  // bounded by what was submitted
  bool posted_ = false;
};

}  // namespace sluice
