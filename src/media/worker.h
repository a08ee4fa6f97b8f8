#pragma once
// Worker: a thread that does what would block the shard, one job after the other, in the order of
// submission.
//
// Shard-confined but for the thread inside, which touches nothing but the job. The shard outlives
// it. Limits: kMostJobs wait, then kOverloaded. Destroying a waiting frame does not take back its
// job. The destructor waits for the job under way and drops those that wait: whoever waits for one
// must be gone by then.

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "net/asio_bridge.h"
#include "runtime/shard.h"
#include "runtime/task.h"

namespace sluice::media {

class Worker {
 public:
  static constexpr std::size_t kMostJobs = 1024;

  explicit Worker(Shard& shard);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// What job returns; kInternal if it throws. It owns what it captures.
  template <class T>
  Task<Result<T>> run(std::function<Result<T>()> job) {
    // Shared, because the job and the frame end independently.
    auto slot = std::make_shared<std::optional<Result<T>>>();
    std::function<void()> fill = [slot, job = std::move(job)] { slot->emplace(job()); };
    auto wait = net::await_callback<bool>(
        shard_, [this, &fill](std::function<void(bool)> done) { submit(std::move(fill), done); });
    const bool taken = co_await wait;
    if (!taken) {
      co_return Error(ErrorKind::kOverloaded, "too much waits for the disk", ErrorSource::kSelf,
                      Retry::with_backoff());
    }
    if (!*slot) co_return Error(ErrorKind::kInternal, "a job of the media thread threw");
    co_return std::move(**slot);
  }
  /// Drops it there: what it owns may block while it goes.
  void drop(std::shared_ptr<void> what);

 private:
  struct Job {
    std::function<void()> work;
    std::function<void(bool)> done;  // called on the shard; may be empty
  };
  void submit(std::function<void()> work, std::function<void(bool)> done);
  void loop();

  Shard& shard_;
  std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::jthread thread_;
};

}  // namespace sluice::media
