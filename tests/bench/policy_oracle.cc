#include "tests/bench/policy_oracle.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace spearfish::bench {
namespace {

using Scored = std::pair<float, uint32_t>;  // score, record

class OraclePool {
 public:
  OraclePool(uint32_t num_records, uint32_t num_slots) : resident_(num_records, false) {
    std::fill_n(resident_.begin(), num_slots, true);
  }
  bool IsResident(uint32_t record) const { return resident_[record]; }

  // Swaps the best of the cold for the worst of the residents, at most `limit` times.
  uint64_t Swap(const std::vector<float>& scores, double limit) {
    cold_.clear();
    held_.clear();
    for (uint32_t i = 0; i < scores.size(); ++i) {
      (resident_[i] ? held_ : cold_).push_back({scores[i], i});
    }
    const auto count = static_cast<ptrdiff_t>(
        std::min({limit, static_cast<double>(cold_.size()), static_cast<double>(held_.size())}));
    std::partial_sort(cold_.begin(), cold_.begin() + count, cold_.end(), std::greater<>());
    std::partial_sort(held_.begin(), held_.begin() + count, held_.end());
    uint64_t swaps = 0;
    for (size_t i = 0; i < static_cast<size_t>(count) && cold_[i].first > held_[i].first; ++i) {
      resident_[cold_[i].second] = true;
      resident_[held_[i].second] = false;
      swaps += 1;
    }
    return swaps;
  }

 private:
  std::vector<bool> resident_;
  std::vector<Scored> cold_, held_;
};

}  // namespace

PolicyResult SimulateOracle(RoutingModel model, size_t num_prompts, size_t tokens_per_prompt,
                            const SimulationOptions& options, const OracleOptions& oracle) {
  const uint32_t num_experts = model.params().num_experts;
  const uint32_t top_k = model.params().top_k;
  const uint32_t num_records = model.num_layers() * num_experts;
  OraclePool pool(num_records, model.num_layers() * static_cast<uint32_t>(std::lround(
                                                        options.resident_fraction * num_experts)));
  std::vector<uint16_t> chosen(size_t{model.num_layers()} * top_k);
  std::vector<float> scores(num_records);
  PolicyResult result;
  const double a_token = oracle.promotions_per_layer_token * model.num_layers();
  double earned = 0;
  for (size_t t = 0; t < num_prompts * tokens_per_prompt; ++t) {
    if (t % tokens_per_prompt == 0) model.NewPrompt();
    model.NextToken(chosen);
    uint64_t hits = 0;
    for (size_t i = 0; i < chosen.size(); ++i) {
      hits += pool.IsResident(static_cast<uint32_t>(i / top_k) * num_experts + chosen[i]) ? 1 : 0;
    }
    for (uint32_t i = 0; i < num_records; ++i) {
      scores[i] = model.standing()[i] + model.liking()[i] +
                  static_cast<float>(oracle.drift_weight) * model.drift()[i];
    }
    earned = std::min(earned + a_token, 4 * a_token);
    const uint64_t swaps = pool.Swap(scores, earned);
    earned -= static_cast<double>(swaps);
    if (t < options.first_counted) continue;
    result.activations += chosen.size();
    result.hits += hits;
    result.promotions += swaps;
    result.layer_tokens += model.num_layers();
  }
  return result;
}

}  // namespace spearfish::bench
