#include "worker/rpc/worker_metrics.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/metrics/metric_list.h"
#include "common/metrics/process_metrics.h"
#include "worker/rpc/vllm_metrics.h"

namespace spearfish::worker {
namespace {

void AddEngine(const EngineStats& stats, MetricList& out) {
  out.Gauge("spearfish_sequences_running", "Sequences in the batch", stats.num_running);
  out.Gauge("spearfish_sequences_waiting", "Sequences that wait for a place", stats.num_waiting);
  out.Gauge("spearfish_kv_blocks_used", "KV blocks held by sequences", stats.kv_blocks_used);
  out.Gauge("spearfish_kv_blocks_limit", "KV blocks that there can be", stats.kv_blocks_total);
  out.Counter("spearfish_requests_total", "Requests admitted", stats.requests_total);
  out.Counter("spearfish_steps_total", "Forward passes", stats.steps_total);
  out.Counter("spearfish_prompt_tokens_total", "Prompt tokens computed", stats.prompt_tokens_total);
  out.Counter("spearfish_generated_tokens_total", "Tokens generated", stats.generated_tokens_total);
}

void AddTimings(const EngineTimings& timings, MetricList& out) {
  out.Histogram("spearfish_queue_seconds", "From a sequence's arrival to its first step",
                timings.queue.value());
  out.Histogram("spearfish_prefill_seconds", "From a sequence's first step to its first token",
                timings.prefill.value());
  out.Histogram("spearfish_time_to_first_token_seconds",
                "From a sequence's arrival to its first token; not of resumed ones",
                timings.first_token.value());
  out.Histogram("spearfish_inter_token_seconds", "Between two tokens of a sequence",
                timings.inter_token.value());
  out.Histogram("spearfish_decode_seconds",
                "From first to last token of sequences that stopped or reached their length",
                timings.decode.value());
  out.Histogram("spearfish_sequence_seconds",
                "From arrival to last token of sequences that stopped or reached their length",
                timings.whole.value());
  out.Histogram("spearfish_step_seconds", "Forward passes", timings.step.value());
  out.Add("spearfish_sequences_finished_total", "Sequences that ended, by how",
          MetricType::kCounter);
  out.Sample({{"reason", "stop"}}, timings.finished_with(FinishReason::kStop).value());
  out.Sample({{"reason", "length"}}, timings.finished_with(FinishReason::kLength).value());
  out.Sample({{"reason", "aborted"}}, timings.finished_with(FinishReason::kAborted).value());
  out.Sample({{"reason", "failed"}}, timings.failed.value());
  out.Counter("spearfish_preemptions_total", "Sequences that gave up their KV blocks for others",
              timings.preemptions.value());
}

void AddMisses(const EngineStats& stats, MetricList& out) {
  const char* const how =
      "Misses times a record's bytes, computed, not measured: tokens of a step that share a record "
      "count it once each. ";
  out.Counter("spearfish_expert_link_bytes_total",
              absl::StrCat(how, "Read by the device over the link"), stats.expert_link_bytes);
  out.Counter("spearfish_expert_cpu_bytes_total", absl::StrCat(how, "Read by the CPU"),
              stats.expert_cpu_bytes);
}

void AddMemory(const ServingState& state, MetricList& out) {
  const MemoryStatus memory = state.memory();
  out.Gauge("spearfish_host_memory_low", "1 while nothing is admitted for lack of host memory",
            memory.low ? 1 : 0);
  out.Gauge("spearfish_host_memory_available_bytes",
            "Of the host or the cgroup, whichever is nearer to its floor; 0 before the first look",
            memory.available_bytes);
  out.Gauge("spearfish_host_memory_floor_bytes", "Below which nothing is admitted",
            memory.floor_bytes);
}

void AddFrames(const PoolFigures& pool, MetricList& out) {
  out.Add("spearfish_frames", "Frames of device memory by what they are used for",
          MetricType::kGauge);
  const FrameFigures& frames = pool.frames;
  for (const auto& [use, count] : {std::pair<const char*, uint32_t>{"hard_slot", frames.hard_slots},
                                   {"soft_slot", frames.soft_slots},
                                   {"kv", frames.kv},
                                   {"workspace", frames.workspace},
                                   {"unused", frames.unused}}) {
    out.Sample({{"use", use}}, count);
  }
  out.Gauge("spearfish_frame_bytes", "Bytes of one frame", pool.frame_bytes);
}

void AddTransfers(const PoolFigures& pool, MetricList& out) {
  const std::pair<const char*, const TransferFigures&> transfers[] = {
      {"load", pool.loads},
      {"reclaim", pool.reclaims},
      {"reload", pool.reloads},
      {"promotion", pool.promotions}};
  out.Add("spearfish_expert_transfers_total", "Records moved into slots; frames for reclaim",
          MetricType::kCounter);
  for (const auto& [purpose, figures] : transfers) {
    out.Sample({{"purpose", purpose}}, figures.count);
  }
  out.Add("spearfish_expert_transfer_bytes_total", "Bytes moved into slots", MetricType::kCounter);
  for (const auto& [purpose, figures] : transfers) {
    out.Sample({{"purpose", purpose}}, figures.bytes);
  }
  out.Add("spearfish_expert_transfer_seconds_total", "Seconds with such a copy on its way",
          MetricType::kCounter);
  for (const auto& [purpose, figures] : transfers) {
    out.Sample({{"purpose", purpose}}, figures.seconds);
  }
  out.Counter("spearfish_expert_cancelled_loads_total", "Copies given up before they began",
              pool.cancelled_loads);
}

void AddLayers(const PoolFigures& pool, MetricList& out) {
  const auto each_layer = [&](auto value) {
    for (size_t i = 0; i < pool.layers.size(); ++i) {
      out.Sample({{"moe_layer", absl::StrCat(i)}}, value(pool.layers[i]));
    }
  };
  out.Add("spearfish_expert_hits_total", "Routed activations that a slot served",
          MetricType::kCounter);
  each_layer([](const LayerFigures& layer) { return layer.hits; });
  out.Add("spearfish_expert_misses_total", "Routed activations read from the cache",
          MetricType::kCounter);
  each_layer([](const LayerFigures& layer) { return layer.misses; });
  out.Add("spearfish_experts_resident", "Experts in a slot", MetricType::kGauge);
  each_layer([](const LayerFigures& layer) { return layer.resident; });
}

}  // namespace

std::vector<Metric> WorkerMetrics(const ServingState& state, MetricsCompat compat) {
  MetricList out;
  out.Gauge("spearfish_worker_ready", "1 while requests are admitted", state.serving() ? 1 : 0);
  AddProcessMetrics(out);
  const LoadedModel* model = state.loaded();
  if (model == nullptr) return out.Take();
  const EngineStats stats = model->engine.stats();
  AddEngine(stats, out);
  AddTimings(model->engine.timings(), out);
  AddMisses(stats, out);
  AddMemory(state, out);
  out.Gauge("spearfish_expert_cache_bytes", "Bytes of the mapped segment",
            model->experts.mapping.size());
  out.Gauge("spearfish_experts", "Experts of all layers", model->experts.num_records);
  const PoolFigures pool = model->pool_figures();
  out.Gauge("spearfish_expert_coverage_ratio", "Resident experts over all", pool.coverage());
  out.Gauge("spearfish_experts_loading", "Copies into slots queued or on their way",
            pool.num_loading);
  out.Gauge("spearfish_expert_extra_host_bytes", "Host memory of the pool beyond the segment",
            pool.extra_host_bytes);
  AddFrames(pool, out);
  AddTransfers(pool, out);
  AddLayers(pool, out);
  std::vector<Metric> metrics = out.Take();
  if (compat == MetricsCompat::kVllm) AppendVllmMetrics(*model, stats, metrics);
  return metrics;
}

}  // namespace spearfish::worker
