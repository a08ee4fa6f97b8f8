#include "runtime/shard.h"

#include <ctime>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace sluice {
namespace {

// Ready coroutines resumed in one handler before sockets get their turn: at about 1 µs each this
// keeps the pause under a quarter of a millisecond.
constexpr std::size_t kReadyBatch = 256;
// They may be longer, or wake one another without end: the clock is looked at after so many, and
// when this much time has passed the sockets and deadlines come first.
constexpr std::size_t kReadySlice = 16;
constexpr Duration kRoundMax = std::chrono::milliseconds(1);

}  // namespace

MonoTime SystemClock::now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return MonoTime{t.tv_sec * 1'000'000'000 + t.tv_nsec};
}

UnixMillis SystemClock::wall() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return UnixMillis{t.tv_sec * 1000 + t.tv_nsec / 1'000'000};
}

struct Shard::Impl {
  explicit Impl(Shard& s) : shard(s), io(1), work(io.get_executor()), timer(io) {}

  /// One handler drains the ready list and fires what is due; it re-posts itself while there is
  /// more.
  void schedule_drain() {
    if (scheduled) return;
    scheduled = true;
    boost::asio::post(io, [this] { drain(); });
  }
  void drain() {
    scheduled = false;
    draining = true;
    shard.hold_time();
    const MonoTime began = shard.now();
    shard.timers().advance(began);
    for (std::size_t ran = 0; ran < kReadyBatch && shard.has_ready(); ran += kReadySlice) {
      shard.run_ready(kReadySlice);
      shard.hold_time();
      if (shard.now() - began >= kRoundMax) break;
    }
    shard.release_time();
    draining = false;
    if (shard.has_ready()) {
      schedule_drain();
    } else {
      set_timer();
    }
  }
  void set_timer() {
    const MonoTime next = shard.timers().next();
    if (next == timer_set_for) return;
    timer_set_for = next;
    if (next == MonoTime::max()) {
      timer.cancel();
      return;
    }
    timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(next.ns)));
    timer.async_wait([this](const boost::system::error_code& ec) {
      if (ec) return;
      timer_set_for = MonoTime::max();
      schedule_drain();
    });
  }

  Shard& shard;
  boost::asio::io_context io;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work;
  boost::asio::steady_timer timer;
  MonoTime timer_set_for = MonoTime::max();
  bool scheduled = false;
  bool draining = false;
};

Shard::Shard(Clock& clock, std::uint64_t seed)
    : Loop(clock, seed), impl_(std::make_unique<Impl>(*this)) {}
Shard::~Shard() = default;

boost::asio::io_context& Shard::io() { return impl_->io; }

void Shard::post_from_any_thread(std::function<void()> f) {
  boost::asio::post(impl_->io, std::move(f));
}

void Shard::run() { impl_->io.run(); }
void Shard::stop() { impl_->io.stop(); }

void Shard::wake() {
  if (impl_ != nullptr && !impl_->draining) impl_->schedule_drain();
}

}  // namespace sluice
