#include "worker/rpc/worker_metrics.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace spearfish::worker {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

// Collects metrics in the order in which they are named.
class Metrics {
 public:
  template <typename Value>
  void Gauge(std::string name, std::string help, Value value) {
    Add(std::move(name), std::move(help), MetricType::kGauge);
    Sample({}, value);
  }
  template <typename Value>
  void Counter(std::string name, std::string help, Value value) {
    Add(std::move(name), std::move(help), MetricType::kCounter);
    Sample({}, value);
  }
  // One without samples yet; Sample adds to the last one.
  void Add(std::string name, std::string help, MetricType type) {
    metrics_.push_back({.name = std::move(name), .help = std::move(help), .type = type});
  }
  template <typename Value>
  void Sample(Labels labels, Value value) {
    metrics_.back().samples.push_back(
        {.labels = std::move(labels), .value = static_cast<double>(value)});
  }

  std::vector<Metric> Take() { return std::move(metrics_); }

 private:
  std::vector<Metric> metrics_;
};

void AddEngine(const EngineStats& stats, Metrics& out) {
  out.Gauge("spearfish_sequences_running", "Sequences in the batch", stats.num_running);
  out.Gauge("spearfish_sequences_waiting", "Sequences that wait for a place", stats.num_waiting);
  out.Gauge("spearfish_kv_blocks_used", "KV blocks held by sequences", stats.kv_blocks_used);
  out.Gauge("spearfish_kv_blocks_limit", "KV blocks that there can be", stats.kv_blocks_total);
  out.Counter("spearfish_requests_total", "Requests admitted", stats.requests_total);
  out.Counter("spearfish_steps_total", "Forward passes", stats.steps_total);
  out.Counter("spearfish_prompt_tokens_total", "Prompt tokens computed", stats.prompt_tokens_total);
  out.Counter("spearfish_generated_tokens_total", "Tokens generated", stats.generated_tokens_total);
}

void AddFrames(const PoolFigures& pool, Metrics& out) {
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

void AddTransfers(const PoolFigures& pool, Metrics& out) {
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

void AddLayers(const PoolFigures& pool, Metrics& out) {
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

std::vector<Metric> WorkerMetrics(const ServingState& state) {
  Metrics out;
  out.Gauge("spearfish_worker_ready", "1 while requests are admitted", state.serving() ? 1 : 0);
  const LoadedModel* model = state.loaded();
  if (model == nullptr) return out.Take();
  AddEngine(model->engine.stats(), out);
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
  return out.Take();
}

}  // namespace spearfish::worker
