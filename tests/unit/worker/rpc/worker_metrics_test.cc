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
    EXPECT_TRUE(metric.name.starts_with("spearfish_")) << metric.name;
    EXPECT_FALSE(metric.help.empty()) << metric.name;
  }
}

TEST(WorkerMetrics, SayOnlyThatItIsNotReadyWhileLoading) {
  RpcTestServer server(RpcTestServer::Begin::kLoading);
  const std::vector<Metric> metrics = WorkerMetrics(server.state());
  ASSERT_EQ(metrics.size(), 1u);
  EXPECT_EQ(ValueOf(metrics, "spearfish_worker_ready"), 0);
}

}  // namespace
}  // namespace spearfish::worker
