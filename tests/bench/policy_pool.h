// A pool without bytes, driven by the real ResidencyPolicy.
#ifndef TESTS_BENCH_POLICY_POOL_H_
#define TESTS_BENCH_POLICY_POOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "tests/bench/policy_result.h"
#include "tests/bench/routing_trace.h"
#include "worker/experts/residency_policy.h"

namespace spearfish::bench {

struct SimulatedPoolOptions {
  double promotions_per_layer_token = 1;
  // Steps from a promotion's choice to its first possible hit. 1: the next step.
  size_t arrival_steps = 1;
};

// The slots that ResidencyPolicy thinks it fills: `num_slots` over all layers together.
class SimulatedPool {
 public:
  SimulatedPool(uint32_t num_layers, uint32_t num_experts, uint32_t num_slots,
                const SimulatedPoolOptions& options);

  worker::ResidencyPolicy& policy() { return policy_; }
  bool IsResident(worker::RecordIndex record) const {
    return residency_[record] == worker::Residency::kResident;
  }
  // Fills all free slots by ChooseLoads; a prefill that reclaimed `count` slots empties them first.
  void Fill();
  void Reclaim(uint32_t count);

  // One step's end: routing is observed, promotions are chosen, those that are due arrive. Answers
  // how many were chosen.
  size_t EndStep(std::span<const uint32_t> activations, uint32_t num_tokens);

 private:
  const SimulatedPoolOptions options_;
  worker::ResidencyPolicy policy_;
  std::vector<worker::Residency> residency_;
  uint32_t free_slots_;
  std::deque<std::vector<worker::RecordIndex>> on_the_way_;  // front: arrives next
};

// Every token is a step of its own. seed: counts to start from, or empty.
PolicyResult SimulateOurs(const RoutingTrace& trace, const SimulationOptions& options,
                          const SimulatedPoolOptions& pool, std::span<const uint32_t> seed);

// As many as policies that hold so many in each layer have in all.
uint32_t NumSlots(const RoutingTrace& trace, double resident_fraction);

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_POLICY_POOL_H_
