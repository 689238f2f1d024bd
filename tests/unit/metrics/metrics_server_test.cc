#include "common/metrics/metrics_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "common/metrics/metric_list.h"
#include "common/metrics/process_metrics.h"
#include "tests/support/scrape.h"

namespace spearfish {
namespace {

using ::testing::HasSubstr;
using tests::Scrape;

TEST(MetricsServer, ShowsWhatCollectSaysAtEachScrape) {
  std::atomic<int> hits = 41;
  const auto server = MetricsServer::Start("127.0.0.1:0", [&hits] {
    return std::vector<Metric>{
        {.name = "spearfish_expert_hits_total",
         .help = "Routed activations that a slot served",
         .type = MetricType::kCounter,
         .samples = {{.labels = {{"layer", "3"}}, .value = static_cast<double>(++hits)}}},
        {.name = "spearfish_expert_coverage_ratio",
         .help = "Resident experts over all experts",
         .samples = {{.labels = {}, .value = 0.5}}}};
  });
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string first = Scrape((*server)->port());
  EXPECT_THAT(first, HasSubstr("# TYPE spearfish_expert_hits_total counter"));
  EXPECT_THAT(first, HasSubstr("spearfish_expert_hits_total{layer=\"3\"} 42"));
  EXPECT_THAT(first, HasSubstr("spearfish_expert_coverage_ratio 0.5"));
  EXPECT_THAT(Scrape((*server)->port()), HasSubstr("{layer=\"3\"} 43"));
}

TEST(MetricsServer, ShowsHistogramsCumulatively) {
  const auto server = MetricsServer::Start("127.0.0.1:0", [] {
    MetricList metrics(MetricLabels{{"engine", "0"}});
    metrics.Histogram("spearfish_step_seconds", "Forward passes",
                      {.bounds = {0.5, 1}, .counts = {2, 0, 3}, .sum = 7.25});
    return metrics.Take();
  });
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string text = Scrape((*server)->port());
  EXPECT_THAT(text, HasSubstr("# TYPE spearfish_step_seconds histogram"));
  EXPECT_THAT(text, HasSubstr("spearfish_step_seconds_count{engine=\"0\"} 5"));
  EXPECT_THAT(text, HasSubstr("spearfish_step_seconds_sum{engine=\"0\"} 7.25"));
  EXPECT_THAT(text, HasSubstr("spearfish_step_seconds_bucket{engine=\"0\",le=\"0.5\"} 2"));
  EXPECT_THAT(text, HasSubstr("spearfish_step_seconds_bucket{engine=\"0\",le=\"1\"} 2"));
  EXPECT_THAT(text, HasSubstr("spearfish_step_seconds_bucket{engine=\"0\",le=\"+Inf\"} 5"));
}

TEST(MetricsServer, ShowsWhatTheKernelSaysOfTheProcess) {
  MetricList metrics;
  AddProcessMetrics(metrics);
  double resident_bytes = 0;
  double open_files = 0;
  for (const Metric& metric : metrics.Take()) {
    if (metric.name == "process_resident_memory_bytes") resident_bytes = metric.samples[0].value;
    if (metric.name == "process_open_fds") open_files = metric.samples[0].value;
  }
  EXPECT_GT(resident_bytes, 1 << 20);
  EXPECT_GE(open_files, 3);
}

TEST(MetricsServer, RefusesAnAddressThatIsTaken) {
  const auto collect = [] { return std::vector<Metric>(); };
  const auto first = MetricsServer::Start("127.0.0.1:0", collect);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second =
      MetricsServer::Start("127.0.0.1:" + std::to_string((*first)->port()), collect);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--metrics-port"));
}

}  // namespace
}  // namespace spearfish
