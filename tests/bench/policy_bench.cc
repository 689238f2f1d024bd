// What ResidencyPolicy costs between two decode steps: 48 layers of 256 experts, top 8, routed as
// Qwen3.5-122B is.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/bench/policy_pool.h"
#include "tests/bench/routing_model.h"
#include "tests/bench/routing_trace.h"
#include "worker/experts/residency_policy.h"

namespace spearfish::bench {
namespace {

constexpr uint32_t kLayers = 48;
constexpr size_t kTokens = 512;
constexpr RoutingParams kParams = {.num_experts = 256,
                                   .top_k = 8,
                                   .sigma_g = 1.449,
                                   .sigma_p = 0.188,
                                   .sigma_s = 2.78,
                                   .rho = 0.829};

// Decode goes on and on over a trace, the pool as the promotions make it.
class Decode {
 public:
  Decode(double resident_fraction, double promotions)
      : model_(kParams, kLayers, 1),
        trace_(RecordTrace(model_, 1, kTokens)),
        activations_(trace_.num_records()),
        residency_(trace_.num_records(), worker::Residency::kCold),
        policy_({.num_moe_layers = kLayers,
                 .num_experts = kParams.num_experts,
                 .promotions_per_layer_token = promotions}) {
    std::vector<worker::RecordIndex> loads;
    policy_.ChooseLoads(residency_, NumSlots(trace_, resident_fraction), loads);
    for (const auto record : loads) residency_[record] = worker::Residency::kResident;
    promotions_.reserve(trace_.num_records());
    for (size_t t = 0; t < kTokens; ++t) {
      Route();
      Observe();
      Promote();
      Arrive();
    }
  }

  void Route() {
    std::fill(activations_.begin(), activations_.end(), 0U);
    trace_.Count(token_++ % kTokens, activations_);
  }
  void Observe() { policy_.Observe(activations_, 1); }
  void Promote() {
    promotions_.clear();
    policy_.ChoosePromotions(residency_, promotions_);
  }
  void Arrive() {
    for (const worker::Promotion& promotion : promotions_) {
      residency_[promotion.in] = worker::Residency::kResident;
      residency_[promotion.out] = worker::Residency::kCold;
    }
  }
  size_t num_promotions() const { return promotions_.size(); }

 private:
  RoutingModel model_;
  const RoutingTrace trace_;
  std::vector<uint32_t> activations_;
  std::vector<worker::Residency> residency_;
  worker::ResidencyPolicy policy_;
  std::vector<worker::Promotion> promotions_;
  size_t token_ = 0;
};

void BM_Observe(benchmark::State& state) {
  Decode decode(0.402, 1);
  for (auto _ : state) {
    state.PauseTiming();
    decode.Route();
    state.ResumeTiming();
    decode.Observe();
  }
}
BENCHMARK(BM_Observe)->Unit(benchmark::kMicrosecond);

// Resident per mille; promotions a layer and token.
void BM_ChoosePromotions(benchmark::State& state) {
  Decode decode(static_cast<double>(state.range(0)) / 1000, static_cast<double>(state.range(1)));
  size_t promotions = 0;
  for (auto _ : state) {
    state.PauseTiming();
    decode.Arrive();
    decode.Route();
    decode.Observe();
    state.ResumeTiming();
    decode.Promote();
    promotions += decode.num_promotions();
  }
  state.counters["promotions"] =
      static_cast<double>(promotions) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_ChoosePromotions)
    ->Args({150, 1})
    ->Args({402, 1})
    ->Args({600, 1})
    ->Args({150, 1000})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace spearfish::bench

BENCHMARK_MAIN();
