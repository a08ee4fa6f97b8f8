#include "observe/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <variant>

#include <prometheus/check_names.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "base/assert.h"
#include "observe/log_format.h"

namespace sluice {
namespace {

constexpr double kHistogramBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                       1,     2.5,    5,     10,   30,    60,   120, 300,  600};

using Reader = std::function<double()>;
// unique_ptr: a handle must stay where it is while other series come and go around it.
using Series = std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>,
                            std::unique_ptr<Histogram>, std::shared_ptr<const Reader>>;

prometheus::MetricType type_of(const Series& series) {
  if (std::holds_alternative<std::unique_ptr<Counter>>(series))
    return prometheus::MetricType::Counter;
  if (std::holds_alternative<std::unique_ptr<Histogram>>(series)) {
    return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Gauge;
}

/// One order for the same labels, and only what the text format can carry.
Metrics::Labels normalised(const Metrics::Labels& labels) {
  Metrics::Labels out;
  out.reserve(labels.size());
  for (const auto& [name, value] : labels) {
    SLUICE_ASSERT(prometheus::CheckLabelName(name));
    out.emplace_back(name, valid_utf8(value));
  }
  std::sort(out.begin(), out.end());
  return out;
}

prometheus::ClientMetric::Histogram snapshot(const Histogram& histogram) {
  prometheus::ClientMetric::Histogram out;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) {
    total += histogram.bucket(i);
    const bool last = i == histogram.bounds().size();
    out.bucket.push_back(
        {total, last ? std::numeric_limits<double>::infinity() : histogram.bounds()[i]});
  }
  // Count is what the buckets hold, not an atomic of its own: the two must agree in every scrape.
  out.sample_count = total;
  out.sample_sum = histogram.sum();
  return out;
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()),
      counts_(std::make_unique<std::atomic<std::uint64_t>[]>(bounds.size() + 1)) {
  SLUICE_ASSERT(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double seconds) {
  if (std::isnan(seconds)) return;
  const auto place = std::lower_bound(bounds_.begin(), bounds_.end(), seconds) - bounds_.begin();
  counts_[static_cast<std::size_t>(place)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(seconds, std::memory_order_relaxed);
}

struct Metrics::Impl {
  struct Family {
    std::string help;
    prometheus::MetricType type;
    std::map<Labels, Series> series;
  };

  /// The series' place, made by make() if it is new. mutex is held.
  template <class Make>
  Series& resolve(std::string_view name, std::string_view help, const Labels& labels, Make make) {
    auto family = families.find(name);
    if (family == families.end()) {
      SLUICE_ASSERT(prometheus::CheckMetricName(std::string(name)));
      const auto type = type_of(Series(make()));
      family = families.emplace(std::string(name), Family{std::string(help), type, {}}).first;
    }
    auto& all = family->second.series;
    Labels key = normalised(labels);
    auto found = all.find(key);
    if (found == all.end() && all.size() >= kMaxSeries) {
      for (auto& label : key) label.second = "other";
      found = all.find(key);
    }
    if (found == all.end()) found = all.emplace(std::move(key), make()).first;
    return found->second;
  }

  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(impl_->mutex);
  auto* handle = std::get_if<std::unique_ptr<Counter>>(
      &impl_->resolve(name, help, labels, [] { return std::make_unique<Counter>(); }));
  SLUICE_ASSERT(handle != nullptr);  // the name is taken by a metric of another type
  return **handle;
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(impl_->mutex);
  auto* handle = std::get_if<std::unique_ptr<Gauge>>(
      &impl_->resolve(name, help, labels, [] { return std::make_unique<Gauge>(); }));
  SLUICE_ASSERT(handle != nullptr);
  return **handle;
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(impl_->mutex);
  auto* handle = std::get_if<std::unique_ptr<Histogram>>(&impl_->resolve(
      name, help, labels, [] { return std::make_unique<Histogram>(kHistogramBounds); }));
  SLUICE_ASSERT(handle != nullptr);
  return **handle;
}

void Metrics::gauge_from(std::string_view name, std::string_view help, const Labels& labels,
                         std::function<double()> read) {
  SLUICE_ASSERT(read != nullptr);
  auto reader = std::make_shared<const Reader>(std::move(read));
  const std::lock_guard lock(impl_->mutex);
  auto* handle = std::get_if<std::shared_ptr<const Reader>>(
      &impl_->resolve(name, help, labels, [&] { return reader; }));
  SLUICE_ASSERT(handle != nullptr);
  *handle = std::move(reader);
}

std::string Metrics::serialise() const {
  // Readers are called after the lock is gone: they may resolve metrics themselves.
  struct Pending {
    std::size_t family;
    std::size_t metric;
    std::shared_ptr<const Reader> read;
  };
  std::vector<Pending> pending;
  std::vector<prometheus::MetricFamily> families;
  {
    const std::lock_guard lock(impl_->mutex);
    families.reserve(impl_->families.size());
    for (const auto& [name, family] : impl_->families) {
      prometheus::MetricFamily out{name, family.help, family.type, {}};
      out.metric.reserve(family.series.size());
      for (const auto& [labels, series] : family.series) {
        prometheus::ClientMetric metric;
        for (const auto& [label, value] : labels) metric.label.push_back({label, value});
        if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&series)) {
          metric.counter.value = static_cast<double>((*counter)->value());
        } else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&series)) {
          metric.gauge.value = static_cast<double>((*gauge)->value());
        } else if (const auto* histogram = std::get_if<std::unique_ptr<Histogram>>(&series)) {
          metric.histogram = snapshot(**histogram);
        } else {
          pending.push_back({families.size(), out.metric.size(),
                             std::get<std::shared_ptr<const Reader>>(series)});
        }
        out.metric.push_back(std::move(metric));
      }
      families.push_back(std::move(out));
    }
  }
  for (const Pending& p : pending) families[p.family].metric[p.metric].gauge.value = (*p.read)();
  return prometheus::TextSerializer().prometheus::Serializer::Serialize(families);
}

std::int64_t Metrics::value(std::string_view name, const Labels& labels) const {
  std::shared_ptr<const Reader> read;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto family = impl_->families.find(name);
    if (family == impl_->families.end()) return 0;
    const auto found = family->second.series.find(normalised(labels));
    if (found == family->second.series.end()) return 0;
    const Series& series = found->second;
    if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&series)) {
      return static_cast<std::int64_t>((*counter)->value());
    }
    if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&series)) return (*gauge)->value();
    if (const auto* reader = std::get_if<std::shared_ptr<const Reader>>(&series)) read = *reader;
  }
  return read == nullptr ? 0 : static_cast<std::int64_t>((*read)());
}

}  // namespace sluice
