// How far any policy could come: one that knows the process's state, not just the routing.
#ifndef TESTS_BENCH_POLICY_ORACLE_H_
#define TESTS_BENCH_POLICY_ORACLE_H_

#include "tests/bench/policy_result.h"
#include "tests/bench/routing_model.h"

namespace spearfish::bench {

struct OracleOptions {
  double promotions_per_layer_token = 1;
  // Ranks by G + P + drift_weight * S: rho is the best guess of the next token, less looks further
  // ahead.
  double drift_weight = 0.5;
};

// Continues `model` for so many prompts; promotions arrive for the next token; slots are shared by
// all layers, as ours are.
PolicyResult SimulateOracle(RoutingModel model, size_t num_prompts, size_t tokens_per_prompt,
                            const SimulationOptions& options, const OracleOptions& oracle);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_POLICY_ORACLE_H_
