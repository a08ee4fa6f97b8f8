#include "media/worker.h"

#include <exception>
#include <utility>

namespace sluice::media {

Worker::Worker(Shard& shard) : shard_(shard), thread_([this] { loop(); }) {}

Worker::~Worker() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Worker::submit(std::function<void()> work, std::function<void(bool)> done) {
  bool full = false;
  {
    const std::scoped_lock lock(mutex_);
    full = done && jobs_.size() >= kMostJobs;
    if (!full) jobs_.push_back({std::move(work), done});
  }
  if (full) {
    done(false);
  } else {
    wake_.notify_one();
  }
}

void Worker::drop(std::shared_ptr<void> what) {
  if (what == nullptr) return;
  submit([owned = std::move(what)]() mutable { owned.reset(); }, {});
}

void Worker::loop() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    try {
      job.work();
    } catch (const std::exception&) {
      // The slot stays empty, which is what its owner looks at.
    }
    job.work = nullptr;
    if (job.done) {
      shard_.post_from_any_thread([done = std::move(job.done)] { done(true); });
    }
  }
}

}  // namespace sluice::media
