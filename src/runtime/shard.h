#pragma once
// Shard: a Loop driven by one Asio io_context on one thread. It carries sockets and everything of
// the domain that belongs together; the only way in from another thread is post().

#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "runtime/loop.h"

namespace sluice {

/// The operating system's clocks (CLOCK_MONOTONIC, CLOCK_REALTIME).
class SystemClock : public Clock {
 public:
  MonoTime now() override;
  UnixMillis wall() override;
};

class Shard : public Loop {
 public:
  explicit Shard(Clock& clock, std::uint64_t seed);
  ~Shard() override;

  /// For sockets only (net/). Shard thread.
  boost::asio::io_context& io();

  /// Any thread. Runs f on the shard, in order of posting. Dropped if the shard is destroyed first.
  void post_from_any_thread(std::function<void()> f);

  /// Runs until stop() is called; on the calling thread.
  void run();
  /// Any thread.
  void stop();

 private:
  void wake() override;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
