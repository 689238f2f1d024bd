// What a simulated policy achieved over a trace.
#ifndef TESTS_BENCH_POLICY_RESULT_H_
#define TESTS_BENCH_POLICY_RESULT_H_

#include <cstddef>
#include <cstdint>

namespace spearfish::bench {

struct PolicyResult {
  uint64_t activations = 0;  // routed (token, layer, expert)s that were counted
  uint64_t hits = 0;         // of them, on resident records
  uint64_t promotions = 0;
  uint64_t layer_tokens = 0;

  double hit_rate() const { return static_cast<double>(hits) / static_cast<double>(activations); }
  double promotions_per_layer_token() const {
    return static_cast<double>(promotions) / static_cast<double>(layer_tokens);
  }
  // Records that cross the link per layer and token: misses and promotions.
  double transfers_per_layer_token() const {
    return static_cast<double>(activations - hits + promotions) / static_cast<double>(layer_tokens);
  }
};

// Which part of a trace counts: tokens before `first_counted` only warm the policy up.
struct SimulationOptions {
  double resident_fraction = 0.4;
  size_t first_counted = 0;
};

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_POLICY_RESULT_H_
