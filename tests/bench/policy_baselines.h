// The policies that ours is compared with. All of them rank and evict within each layer, which
// holds resident_fraction of its experts.
#ifndef TESTS_BENCH_POLICY_BASELINES_H_
#define TESTS_BENCH_POLICY_BASELINES_H_

#include <cstdint>
#include <span>

#include "tests/bench/policy_result.h"
#include "tests/bench/routing_trace.h"

namespace spearfish::bench {

// The experts most frequent in counts [num_layers, num_experts], never changed.
PolicyResult SimulateStatic(const RoutingTrace& trace, const SimulationOptions& options,
                            std::span<const uint32_t> counts);

// Admits every miss at once, evicts the least recently used.
PolicyResult SimulateLru(const RoutingTrace& trace, const SimulationOptions& options);

struct LfuOptions {
  double decay = 0.95;          // of a count, per token
  double max_promotions = 1e9;  // per layer and token
};

// Counts decay by `decay` per token; a miss is admitted where it is hotter than the coldest
// resident, the hottest misses first.
PolicyResult SimulateLfu(const RoutingTrace& trace, const SimulationOptions& options,
                         const LfuOptions& lfu);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_POLICY_BASELINES_H_
