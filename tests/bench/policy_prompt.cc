#include "tests/bench/policy_prompt.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace spearfish::bench {
namespace {

std::vector<uint32_t> CountsOf(const RoutingTrace& trace, size_t first, size_t num_tokens) {
  std::vector<uint32_t> counts(trace.num_records(), 0);
  for (size_t t = first; t < first + num_tokens; ++t) trace.Count(t, counts);
  return counts;
}

uint64_t Hits(const SimulatedPool& pool, const std::vector<uint32_t>& activations) {
  uint64_t hits = 0;
  for (worker::RecordIndex i = 0; i < activations.size(); ++i) {
    if (pool.IsResident(i)) hits += activations[i];
  }
  return hits;
}

void AddToken(const RoutingTrace& trace, uint64_t hits, uint64_t promotions, PolicyResult& result) {
  result.activations += uint64_t{trace.num_layers} * trace.top_k;
  result.hits += hits;
  result.promotions += promotions;
  result.layer_tokens += trace.num_layers;
}

}  // namespace

PromptResult SimulatePrompts(const RoutingTrace& trace, std::span<const uint32_t> heatmap,
                             const PromptOptions& options, PromptKnowledge knowledge) {
  const uint32_t slots = NumSlots(trace, options.resident_fraction);
  const bool is_static = knowledge == PromptKnowledge::kHeatmapOnly;
  SimulatedPool pool(trace.num_layers, trace.num_experts, slots,
                     {.promotions_per_layer_token = is_static ? 0.0 : 1.0, .arrival_steps = 1});
  pool.policy().Seed(std::vector<double>(heatmap.begin(), heatmap.end()));
  pool.Fill();
  PromptResult result;
  const size_t a_prompt = options.prefill_tokens + options.decode_tokens;
  for (size_t prompt = 0; prompt < trace.num_tokens() / a_prompt; ++prompt) {
    const size_t first = prompt * a_prompt;
    if (!is_static) {
      pool.Reclaim(static_cast<uint32_t>(std::lround(options.soft_share * slots)));
      if (knowledge == PromptKnowledge::kPromptRouting) {
        pool.policy().Observe(CountsOf(trace, first, options.prefill_tokens),
                              static_cast<uint32_t>(options.prefill_tokens));
      }
      pool.Fill();
    }
    for (size_t t = 0; t < options.decode_tokens; ++t) {
      const auto activations = CountsOf(trace, first + options.prefill_tokens + t, 1);
      const uint64_t hits = Hits(pool, activations);
      const uint64_t promotions = is_static ? 0 : pool.EndStep(activations, 1);
      if (prompt < options.first_counted_prompt) continue;
      AddToken(trace, hits, promotions, result.all);
      if (t < 64) AddToken(trace, hits, promotions, result.first_64);
    }
  }
  return result;
}

}  // namespace spearfish::bench
