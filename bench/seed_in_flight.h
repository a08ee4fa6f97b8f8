#pragma once
// SeedInFlight: how the seed of the shutdown counts what is under way and waits for it: atomics
// that any thread may touch, and a look every 100 ms. Written anew from its description, as the
// reference of the rows about guards.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>

namespace sluice::bench {

class SeedInFlight {
 public:
  static constexpr std::chrono::milliseconds kLook{100};

  class Guard {
   public:
    explicit Guard(SeedInFlight& owner) : owner_(&owner) {}
    Guard(Guard&& other) noexcept : owner_(other.owner_) { other.owner_ = nullptr; }
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (owner_ != nullptr) owner_->count_.fetch_sub(1);
    }

   private:
    SeedInFlight* owner_;
  };

  std::optional<Guard> acquire() {
    if (!accepting_.load()) return std::nullopt;
    count_.fetch_add(1);
    // A stop may have begun in between.
    if (!accepting_.load()) {
      count_.fetch_sub(1);
      return std::nullopt;
    }
    return std::optional<Guard>(std::in_place, *this);
  }
  /// Until nothing is under way.
  void drain() {
    accepting_.store(false);
    while (count_.load() > 0) std::this_thread::sleep_for(kLook);
  }

 private:
  std::atomic<std::uint32_t> count_ = 0;
  std::atomic<bool> accepting_ = true;
};

}  // namespace sluice::bench
