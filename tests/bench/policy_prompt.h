// What the pool holds after a prefill has borrowed its soft slots, and what that is worth for the
// first tokens of decode.
#ifndef TESTS_BENCH_POLICY_PROMPT_H_
#define TESTS_BENCH_POLICY_PROMPT_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/bench/policy_pool.h"
#include "tests/bench/policy_result.h"
#include "tests/bench/routing_trace.h"

namespace spearfish::bench {

enum class PromptKnowledge {
  kHeatmapOnly,    // the best static set; nothing is promoted
  kDecodeOnly,     // the policy sees decode steps, but not the prefill
  kPromptRouting,  // it sees the prefill too, as one step
};

struct PromptOptions {
  double resident_fraction = 0.4;
  double soft_share = 0.5;  // of the slots, given up before each decode and loaded again
  size_t prefill_tokens = 512;
  size_t decode_tokens = 256;  // after each prefill
  size_t first_counted_prompt = 2;
};

struct PromptResult {
  PolicyResult first_64;
  PolicyResult all;
};

// The trace is prompts of prefill_tokens + decode_tokens each. heatmap: counts to start from.
PromptResult SimulatePrompts(const RoutingTrace& trace, std::span<const uint32_t> heatmap,
                             const PromptOptions& options, PromptKnowledge knowledge);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_POLICY_PROMPT_H_
