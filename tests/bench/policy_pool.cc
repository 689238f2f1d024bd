#include "tests/bench/policy_pool.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace spearfish::bench {

using worker::Promotion;
using worker::RecordIndex;
using worker::Residency;

SimulatedPool::SimulatedPool(uint32_t num_layers, uint32_t num_experts, uint32_t num_slots,
                             const SimulatedPoolOptions& options)
    : options_(options),
      policy_({.num_moe_layers = num_layers,
               .num_experts = num_experts,
               .promotions_per_layer_token = options.promotions_per_layer_token}),
      residency_(size_t{num_layers} * num_experts, Residency::kCold),
      free_slots_(num_slots),
      on_the_way_(options.arrival_steps) {
  SF_CHECK(options.arrival_steps > 0);
}

void SimulatedPool::Fill() {
  std::vector<RecordIndex> loads;
  policy_.ChooseLoads(residency_, free_slots_, loads);
  for (const RecordIndex record : loads) residency_[record] = Residency::kResident;
  free_slots_ -= static_cast<uint32_t>(loads.size());
}

void SimulatedPool::Reclaim(uint32_t count) {
  std::vector<RecordIndex> residents;
  for (RecordIndex i = 0; i < residency_.size(); ++i) {
    if (residency_[i] == Residency::kResident) residents.push_back(i);
  }
  std::stable_sort(residents.begin(), residents.end(), [this](RecordIndex a, RecordIndex b) {
    return policy_.heat(a) < policy_.heat(b);
  });
  residents.resize(std::min<size_t>(count, residents.size()));
  for (const RecordIndex record : residents) residency_[record] = Residency::kCold;
  free_slots_ += static_cast<uint32_t>(residents.size());
}

size_t SimulatedPool::EndStep(std::span<const uint32_t> activations, uint32_t num_tokens) {
  policy_.Observe(activations, num_tokens);
  std::vector<Promotion> promotions;
  policy_.ChoosePromotions(residency_, promotions);
  for (const Promotion& promotion : promotions) {
    SF_CHECK(residency_[promotion.out] == Residency::kResident);
    SF_CHECK(residency_[promotion.in] == Residency::kCold);
    residency_[promotion.out] = Residency::kCold;
    residency_[promotion.in] = Residency::kLoading;
    on_the_way_.back().push_back(promotion.in);
  }
  for (const RecordIndex record : on_the_way_.front()) residency_[record] = Residency::kResident;
  on_the_way_.pop_front();
  on_the_way_.emplace_back();
  return promotions.size();
}

uint32_t NumSlots(const RoutingTrace& trace, double resident_fraction) {
  return trace.num_layers *
         static_cast<uint32_t>(std::lround(resident_fraction * trace.num_experts));
}

PolicyResult SimulateOurs(const RoutingTrace& trace, const SimulationOptions& options,
                          const SimulatedPoolOptions& pool_options,
                          std::span<const uint32_t> seed) {
  SimulatedPool pool(trace.num_layers, trace.num_experts,
                     NumSlots(trace, options.resident_fraction), pool_options);
  if (!seed.empty()) pool.policy().Seed(std::vector<double>(seed.begin(), seed.end()));
  pool.Fill();
  PolicyResult result;
  std::vector<uint32_t> activations(trace.num_records());
  for (size_t t = 0; t < trace.num_tokens(); ++t) {
    std::fill(activations.begin(), activations.end(), 0U);
    trace.Count(t, activations);
    uint64_t hits = 0;
    for (RecordIndex i = 0; i < activations.size(); ++i) {
      if (pool.IsResident(i)) hits += activations[i];
    }
    const uint64_t promotions = pool.EndStep(activations, 1);
    if (t < options.first_counted) continue;
    result.activations += size_t{trace.num_layers} * trace.top_k;
    result.hits += hits;
    result.promotions += promotions;
    result.layer_tokens += trace.num_layers;
  }
  return result;
}

}  // namespace spearfish::bench
