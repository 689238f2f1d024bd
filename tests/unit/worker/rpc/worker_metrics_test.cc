#include "worker/rpc/worker_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/unit/worker/rpc/rpc_test_server.h"

namespace spearfish::worker {
namespace {

// -1 when there is no such sample. `label` is the value of its only label.
double ValueOf(const std::vector<Metric>& metrics, const std::string& name,
               const std::string& label = "") {
  for (const Metric& metric : metrics) {
    if (metric.name != name) continue;
    for (const MetricSample& sample : metric.samples) {
      if (label.empty() ? sample.labels.empty() : sample.labels.front().second == label) {
        return sample.value;
      }
    }
  }
  return -1;
}

TEST(WorkerMetrics, CountEngineAndPool) {
  RpcTestServer server;
  const std::vector<Metric> metrics = WorkerMetrics(server.state());
  EXPECT_EQ(ValueOf(metrics, "spearfish_worker_ready"), 1);
  EXPECT_EQ(ValueOf(metrics, "spearfish_sequences_waiting"), 3);
  EXPECT_EQ(ValueOf(metrics, "spearfish_generated_tokens_total"), 6);
  EXPECT_EQ(ValueOf(metrics, "spearfish_expert_cache_bytes"), 1 << 20);
  EXPECT_EQ(ValueOf(metrics, "spearfish_expert_coverage_ratio"), 0.125);
  EXPECT_EQ(ValueOf(metrics, "spearfish_frames", "kv"), 2);
  EXPECT_EQ(ValueOf(metrics, "spearfish_expert_transfers_total", "promotion"), 7);
  EXPECT_EQ(ValueOf(metrics, "spearfish_expert_transfer_seconds_total", "reload"), 0.5);
  EXPECT_EQ(ValueOf(metrics, "spearfish_expert_hits_total", "1"), 5);
  EXPECT_EQ(ValueOf(metrics, "spearfish_experts_resident", "0"), 2);
}

TEST(WorkerMetrics, CountersEndInTotalAndNothingElseDoes) {
  RpcTestServer server;
  for (const Metric& metric : WorkerMetrics(server.state())) {
    EXPECT_EQ(metric.name.ends_with("_total"), metric.type == MetricType::kCounter) << metric.name;
    EXPECT_TRUE(metric.name.starts_with("spearfish_") || metric.name.starts_with("process_"))
        << metric.name;
    EXPECT_FALSE(metric.help.empty()) << metric.name;
  }
}

TEST(WorkerMetrics, SayOnlyThatItIsNotReadyWhileLoading) {
  RpcTestServer server(RpcTestServer::Begin::kLoading);
  const std::vector<Metric> metrics = WorkerMetrics(server.state(), MetricsCompat::kVllm);
  EXPECT_EQ(ValueOf(metrics, "spearfish_worker_ready"), 0);
  EXPECT_EQ(std::count_if(metrics.begin(), metrics.end(),
                          [](const Metric& metric) {
                            return metric.name.starts_with("spearfish_") ||
                                   metric.name.starts_with("vllm:");
                          }),
            1);
}

const Metric& Find(const std::vector<Metric>& metrics, const std::string& name) {
  static const Metric none;
  const auto found = std::find_if(metrics.begin(), metrics.end(),
                                  [&](const Metric& metric) { return metric.name == name; });
  EXPECT_NE(found, metrics.end()) << name;
  return found == metrics.end() ? none : *found;
}

TEST(WorkerMetrics, ShowTimingsAndEnds) {
  RpcTestServer server;
  server.engine().counted().queue.Observe(absl::Milliseconds(3));
  server.engine().counted().Ended({}, FinishReason::kLength);
  server.engine().counted().failed.Add(2);
  const std::vector<Metric> metrics = WorkerMetrics(server.state());
  const HistogramValue& queue = Find(metrics, "spearfish_queue_seconds").samples.at(0).histogram;
  EXPECT_EQ(queue.count(), 1u);
  EXPECT_EQ(queue.counts[1], 1u);  // above 1 ms, up to 5 ms
  EXPECT_EQ(ValueOf(metrics, "spearfish_sequences_finished_total", "length"), 1);
  EXPECT_EQ(ValueOf(metrics, "spearfish_sequences_finished_total", "failed"), 2);
  EXPECT_EQ(ValueOf(metrics, "spearfish_expert_cpu_bytes_total"), 10);
}

TEST(VllmMetrics, HaveItsNamesLabelsAndBuckets) {
  RpcTestServer server;
  server.engine().counted().inter_token.Observe(absl::Milliseconds(2));
  server.engine().counted().inter_token.Observe(absl::Milliseconds(20));
  const std::vector<Metric> metrics = WorkerMetrics(server.state(), MetricsCompat::kVllm);
  const MetricSample& running = Find(metrics, "vllm:num_requests_running").samples.at(0);
  EXPECT_THAT(running.labels, ::testing::ElementsAre(::testing::Pair("model_name", "test-model"),
                                                     ::testing::Pair("engine", "0")));
  EXPECT_EQ(Find(metrics, "vllm:num_requests_waiting").samples.at(0).value, 3);
  EXPECT_EQ(Find(metrics, "vllm:kv_cache_usage_perc").samples.at(0).value, 0.8);
  const MetricSample& config = Find(metrics, "vllm:cache_config_info").samples.at(0);
  EXPECT_THAT(config.labels, ::testing::Contains(::testing::Pair("num_gpu_blocks", "5")));
  EXPECT_THAT(config.labels, ::testing::Contains(::testing::Pair("block_size", "16")));
  const HistogramValue& between =
      Find(metrics, "vllm:inter_token_latency_seconds").samples.at(0).histogram;
  ASSERT_EQ(between.bounds.size(), 19u);
  EXPECT_EQ(between.bounds[0], 0.01);
  EXPECT_EQ(between.counts[0], 1u);
  EXPECT_EQ(between.counts[1], 1u);
  EXPECT_EQ(Find(metrics, "vllm:e2e_request_latency_seconds").samples.at(0).histogram.bounds.size(),
            21u);
}

}  // namespace
}  // namespace spearfish::worker
