#include "observe/metrics.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricsTest, TheSameNameAndLabelsAreOneHandleInAnyOrder) {
  Metrics metrics;
  Counter& a = metrics.counter("sluice_sent_total", "Sent.", {{"account", "x"}, {"kind", "k"}});
  Counter& b = metrics.counter("sluice_sent_total", "Sent.", {{"kind", "k"}, {"account", "x"}});
  EXPECT_EQ(&a, &b);
}

TEST(MetricsTest, HandlesStayValidWhileOthersAreResolved) {
  Metrics metrics;
  Counter& first = metrics.counter("sluice_a_total", "A.", {{"n", "0"}});
  for (int i = 1; i < 500; ++i) metrics.counter("sluice_a_total", "A.", {{"n", std::to_string(i)}});
  first.add(7);
  EXPECT_EQ(metrics.value("sluice_a_total", {{"n", "0"}}), 7);
}

TEST(MetricsTest, SerialisesCountersAndGauges) {
  Metrics metrics;
  metrics.counter("sluice_accepted_total", "Messages on disk.", {{"account", "web"}}).add(3);
  metrics.gauge("sluice_lanes", "Lanes in memory.").set(-2);
  EXPECT_EQ(metrics.serialise(),
            "# HELP sluice_accepted_total Messages on disk.\n"
            "# TYPE sluice_accepted_total counter\n"
            "sluice_accepted_total{account=\"web\"} 3\n"
            "# HELP sluice_lanes Lanes in memory.\n"
            "# TYPE sluice_lanes gauge\n"
            "sluice_lanes -2\n");
}

TEST(MetricsTest, LargeCountersAreWrittenExactly) {
  Metrics metrics;
  metrics.counter("sluice_bytes_total", "Bytes.").add(123456789012345);
  EXPECT_THAT(metrics.serialise(), HasSubstr("sluice_bytes_total 123456789012345\n"));
}

TEST(MetricsTest, HistogramBucketsAreCumulative) {
  Metrics metrics;
  Histogram& h = metrics.histogram("sluice_turn_seconds", "Turns.");
  h.observe(0.001);  // an upper bound belongs to its bucket
  h.observe(0.02);
  h.observe(10000);
  const std::string text = metrics.serialise();
  EXPECT_THAT(text, HasSubstr("sluice_turn_seconds_bucket{le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_turn_seconds_bucket{le=\"0.01\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_turn_seconds_bucket{le=\"600\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("sluice_turn_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("sluice_turn_seconds_count 3\n"));
  EXPECT_DOUBLE_EQ(h.sum(), 10000.021);
}

TEST(MetricsTest, LabelValuesCannotForgeLines) {
  Metrics metrics;
  metrics.gauge("sluice_g", "G.", {{"account", "a\"} 1\nevil 2\\\xff"}}).set(1);
  const std::string text = metrics.serialise();
  EXPECT_THAT(text, HasSubstr("{account=\"a\\\"} 1\\nevil 2\\\\\ufffd\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("\nevil")));
}

TEST(MetricsTest, BeyondTheBoundSeriesAreCountedTogetherAsOther) {
  Metrics metrics;
  for (std::size_t i = 0; i < Metrics::kMaxSeries + 5; ++i) {
    metrics.counter("sluice_many_total", "Many.", {{"n", std::to_string(i)}}).add();
  }
  EXPECT_EQ(metrics.value("sluice_many_total", {{"n", "other"}}), 5);
  EXPECT_EQ(metrics.value("sluice_many_total", {{"n", "999"}}), 1);
  EXPECT_EQ(metrics.value("sluice_many_total", {{"n", "1000"}}), 0);
}

TEST(MetricsTest, AGaugeFromAFunctionIsAskedWhenSomebodyLooks) {
  Metrics metrics;
  double depth = 1;
  metrics.gauge_from("sluice_depth", "Depth.", {}, [&] { return depth; });
  depth = 2.5;
  EXPECT_THAT(metrics.serialise(), HasSubstr("sluice_depth 2.5\n"));
  EXPECT_EQ(metrics.value("sluice_depth"), 2);
}

TEST(MetricsTest, AReaderMayResolveMetricsItself) {
  Metrics metrics;
  metrics.gauge_from("sluice_depth", "Depth.", {}, [&] {
    metrics.counter("sluice_looks_total", "Looks.").add();
    return 1.0;
  });
  metrics.serialise();
  EXPECT_EQ(metrics.value("sluice_looks_total"), 1);
}

TEST(MetricsTest, RegisteringAReaderAgainReplacesIt) {
  Metrics metrics;
  metrics.gauge_from("sluice_depth", "Depth.", {}, [] { return 1.0; });
  metrics.gauge_from("sluice_depth", "Depth.", {}, [] { return 2.0; });
  EXPECT_EQ(metrics.value("sluice_depth"), 2);
}

TEST(MetricsTest, WhatWasNeverResolvedIsZero) {
  EXPECT_EQ(Metrics().value("sluice_nothing_total"), 0);
}

TEST(MetricsTest, SharedCountersLoseNothingUnderContention) {
  Metrics metrics;
  Counter& counter = metrics.counter("sluice_shared_total", "Shared.");
  Histogram& histogram = metrics.histogram("sluice_shared_seconds", "Shared.");
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          counter.add_shared();
          histogram.observe(1);
        }
      });
    }
  }
  EXPECT_EQ(counter.value(), 4000u);
  EXPECT_DOUBLE_EQ(histogram.sum(), 4000);
}

TEST(MetricsDeathTest, ANameTakenByAnotherTypeEndsTheProcess) {
  Metrics metrics;
  metrics.counter("sluice_x_total", "X.");
  EXPECT_DEATH(metrics.gauge("sluice_x_total", "X."), "");
}

}  // namespace
}  // namespace sluice
