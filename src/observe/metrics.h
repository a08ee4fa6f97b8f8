#pragma once
// Metrics: counters, gauges and histograms with fixed label sets, resolved once and then only added
// to.
//   Counter& accepted = metrics.counter("sluice_messages_accepted_total", "Messages on disk.",
//                                       {{"account", name}});
//   accepted.add();
// A handle stays valid as long as the Metrics object. Resolving the same name and labels again
// gives the same handle. Label values must come from a bounded set (configured names, enum values):
// never a person, a chat or an id. At most kMaxSeries series a name; beyond it the series with
// every label "other".
//
// Thread: any. Adding is a relaxed atomic. serialise() sees each value at some moment during the
// call.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

class Counter {
 public:
  // Written by one thread nearly always; the plain load and store pair costs no bus lock, but would
  // lose counts under contention, so counters shared by threads must use add_shared().
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void add_shared(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void set(std::int64_t v) { value_.store(v, std::memory_order_relaxed); }
  void add(std::int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

/// Upper bounds in seconds, ascending; +Inf is implied.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);
  void observe(double seconds);
  const std::vector<double>& bounds() const { return bounds_; }
  std::uint64_t bucket(std::size_t i) const { return counts_[i].load(std::memory_order_relaxed); }
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

class Metrics {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;
  static constexpr std::size_t kMaxSeries = 1000;

  Metrics();
  ~Metrics();

  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  /// From 1 ms to 10 minutes, in steps a person would choose.
  Histogram& histogram(std::string_view name, std::string_view help, const Labels& labels = {});
  /// A gauge that is asked when somebody looks. Called on the thread of serialise().
  void gauge_from(std::string_view name, std::string_view help, const Labels& labels,
                  std::function<double()> read);

  /// Prometheus text format 0.0.4.
  std::string serialise() const;

  /// For tests and status pages: the value of one counter or gauge, 0 if it was never resolved.
  std::int64_t value(std::string_view name, const Labels& labels = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
