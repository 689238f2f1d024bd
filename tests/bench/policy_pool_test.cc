#include "tests/bench/policy_pool.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/bench/policy_baselines.h"
#include "tests/bench/policy_prompt.h"
#include "tests/bench/routing_model.h"
#include "tests/bench/routing_trace.h"

namespace spearfish::bench {
namespace {

constexpr size_t kPrompt = 128;
// Qwen3.5-122B's process at an eighth of its size, and one in which prompts differ much.
constexpr RoutingParams kDrifting = {
    .num_experts = 64, .top_k = 4, .sigma_g = 1.45, .sigma_p = 0.19, .sigma_s = 2.78, .rho = 0.83};
constexpr RoutingParams kPromptDriven = {
    .num_experts = 64, .top_k = 4, .sigma_g = 1.6, .sigma_p = 1.5, .sigma_s = 2.4, .rho = 0.83};

RoutingTrace TraceOf(const RoutingParams& params, size_t num_prompts,
                     size_t tokens_per_prompt = kPrompt) {
  RoutingModel model(params, 8, 11);
  return RecordTrace(model, num_prompts, tokens_per_prompt);
}

TEST(SimulatedPool, HoldsNoMoreThanItsSlots) {
  const RoutingTrace trace = TraceOf(kDrifting, 1);
  SimulatedPool pool(trace.num_layers, trace.num_experts, 100, {});
  pool.Fill();
  std::vector<uint32_t> counts(trace.num_records());
  for (size_t t = 0; t < trace.num_tokens(); ++t) {
    std::fill(counts.begin(), counts.end(), 0U);
    trace.Count(t, counts);
    pool.EndStep(counts, 1);
    size_t resident = 0;
    for (uint32_t i = 0; i < trace.num_records(); ++i) resident += pool.IsResident(i) ? 1 : 0;
    ASSERT_LE(resident, 100U);
  }
}

TEST(ResidencyPolicyOnTraces, BeatsStaticAndLruWithOnePromotionALayerAndToken) {
  for (const RoutingParams& params : {kDrifting, kPromptDriven}) {
    const RoutingTrace trace = TraceOf(params, 4, 2 * kPrompt);
    const SimulationOptions at{.resident_fraction = 0.4, .first_counted = 2 * kPrompt};
    const PolicyResult ours = SimulateOurs(trace, at, {}, {});
    EXPECT_GT(ours.hit_rate(), SimulateLru(trace, at).hit_rate());
    EXPECT_GT(ours.hit_rate(), SimulateStatic(trace, at, TotalCounts(trace)).hit_rate());
    EXPECT_LE(ours.promotions_per_layer_token(), 1.01);
  }
}

TEST(ResidencyPolicyOnTraces, SpendsNoMoreThanTheCap) {
  const RoutingTrace trace = TraceOf(kDrifting, 3);
  const SimulationOptions at{.resident_fraction = 0.2, .first_counted = kPrompt};
  const PolicyResult ours = SimulateOurs(trace, at, {.promotions_per_layer_token = 0.25}, {});
  EXPECT_LE(ours.promotions_per_layer_token(), 0.26);
  EXPECT_GT(ours.promotions_per_layer_token(), 0.1);
}

TEST(ResidencyPolicyOnTraces, GainsFromAHeatmapBeforeAnythingWasRouted) {
  const RoutingTrace trace = TraceOf(kDrifting, 4);
  const SimulationOptions at{.resident_fraction = 0.3, .first_counted = 0};
  const SimulatedPoolOptions no_promotions{.promotions_per_layer_token = 0};
  EXPECT_GT(SimulateOurs(trace, at, no_promotions, TotalCounts(trace)).hit_rate(),
            SimulateOurs(trace, at, no_promotions, {}).hit_rate() + 0.1);
}

TEST(ResidencyPolicyOnTraces, GainsFromThePromptsRouting) {
  const RoutingTrace trace = TraceOf(kPromptDriven, 12, 2 * kPrompt);
  const PromptOptions options{.prefill_tokens = kPrompt, .decode_tokens = kPrompt};
  const std::vector<uint32_t> heatmap = TotalCounts(trace);
  EXPECT_GT(
      SimulatePrompts(trace, heatmap, options, PromptKnowledge::kPromptRouting).first_64.hit_rate(),
      SimulatePrompts(trace, heatmap, options, PromptKnowledge::kDecodeOnly).first_64.hit_rate() +
          0.01);
}

}  // namespace
}  // namespace spearfish::bench
