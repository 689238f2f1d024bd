#include "worker/rpc/vllm_metrics.h"

#include <array>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/metrics/metric_list.h"

namespace spearfish::worker {
namespace {

// Its boundaries where ours are finer.
constexpr std::array<double, 19> kInterToken = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                                0.3,  0.4,   0.5,  0.75,  1.0, 2.5,  5.0,
                                                7.5,  10.0,  20.0, 40.0,  80.0};
constexpr std::array<double, 21> kRequest = {0.3,  0.5,  0.8,  1.0,  1.5,   2.0,   2.5,
                                             5.0,  10.0, 15.0, 20.0, 30.0,  40.0,  50.0,
                                             60.0, 120., 240., 480., 960.0, 1920., 7680.};

void AddState(const LoadedModel& model, const EngineStats& stats, MetricList& out) {
  out.Gauge("vllm:num_requests_running", "Sequences in the batch", stats.num_running);
  out.Gauge("vllm:num_requests_waiting", "Sequences that wait for a place", stats.num_waiting);
  const double total = static_cast<double>(stats.kv_blocks_total);
  out.Gauge("vllm:kv_cache_usage_perc", "Used KV blocks over all, 0 to 1",
            total == 0 ? 0 : static_cast<double>(stats.kv_blocks_used) / total);
  out.Add("vllm:cache_config_info", "The KV cache", MetricType::kGauge);
  out.Sample({{"block_size", absl::StrCat(model.kv_block_tokens)},
              {"num_gpu_blocks", absl::StrCat(stats.kv_blocks_total)}},
             1);
}

void AddCounts(const EngineTimings& timings, const EngineStats& stats, MetricList& out) {
  out.Counter("vllm:prompt_tokens_total", "Prompt tokens computed", stats.prompt_tokens_total);
  out.Counter("vllm:generation_tokens_total", "Tokens generated", stats.generated_tokens_total);
  out.Counter("vllm:num_preemptions_total", "Sequences that gave up their KV blocks for others",
              timings.preemptions.value());
  out.Add("vllm:request_success_total", "Sequences that ended, by how", MetricType::kCounter);
  const auto ended = [&](const char* reason, const Counter& count) {
    out.Sample({{"finished_reason", reason}}, count.value());
  };
  ended("stop", timings.finished_with(FinishReason::kStop));
  ended("length", timings.finished_with(FinishReason::kLength));
  ended("abort", timings.finished_with(FinishReason::kAborted));
  ended("error", timings.failed);
}

void AddTimes(const EngineTimings& timings, MetricList& out) {
  out.Histogram("vllm:time_to_first_token_seconds", "From arrival to first token",
                timings.first_token.value());
  out.Histogram("vllm:inter_token_latency_seconds", "Between two tokens",
                timings.inter_token.value().Coarsened(kInterToken));
  out.Histogram("vllm:request_queue_time_seconds", "From arrival to first step",
                timings.queue.value().Coarsened(kRequest));
  out.Histogram("vllm:request_prefill_time_seconds", "From first step to first token",
                timings.prefill.value().Coarsened(kRequest));
  out.Histogram("vllm:request_decode_time_seconds", "From first to last token",
                timings.decode.value().Coarsened(kRequest));
  out.Histogram("vllm:e2e_request_latency_seconds", "From arrival to last token",
                timings.whole.value().Coarsened(kRequest));
}

}  // namespace

void AppendVllmMetrics(const LoadedModel& model, const EngineStats& stats,
                       std::vector<Metric>& metrics) {
  MetricList out(MetricLabels{{"model_name", model.served_name}, {"engine", "0"}});
  AddState(model, stats, out);
  AddCounts(model.engine.timings(), stats, out);
  AddTimes(model.engine.timings(), out);
  std::vector<Metric> added = out.Take();
  metrics.insert(metrics.end(), std::make_move_iterator(added.begin()),
                 std::make_move_iterator(added.end()));
}

}  // namespace spearfish::worker
