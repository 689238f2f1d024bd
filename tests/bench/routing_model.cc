#include "tests/bench/routing_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/check.h"

namespace spearfish::bench {

RoutingModel::RoutingModel(const RoutingParams& params, uint32_t num_layers, uint64_t seed)
    : params_(params), num_layers_(num_layers), random_(seed) {
  SF_CHECK(params.top_k > 0 && params.top_k <= params.num_experts);
  const size_t size = size_t{num_layers} * params.num_experts;
  g_.resize(size);
  p_.resize(size);
  s_.resize(size);
  scores_.resize(params.num_experts);
  order_.resize(params.num_experts);
  for (float& g : g_) g = Normal(params.sigma_g);
  NewPrompt();
}

void RoutingModel::NewPrompt() {
  for (float& p : p_) p = Normal(params_.sigma_p);
  for (float& s : s_) s = Normal(params_.sigma_s);
}

void RoutingModel::NextToken(std::span<uint16_t> chosen) {
  SF_CHECK(chosen.size() == size_t{num_layers_} * params_.top_k);
  const double innovation = params_.sigma_s * std::sqrt(1 - params_.rho * params_.rho);
  const auto rho = static_cast<float>(params_.rho);
  for (uint32_t layer = 0; layer < num_layers_; ++layer) {
    const size_t first = size_t{layer} * params_.num_experts;
    for (uint32_t e = 0; e < params_.num_experts; ++e) {
      s_[first + e] = rho * s_[first + e] + Normal(innovation);
      const float gumbel = -std::log(static_cast<float>(exponential_(random_)));
      scores_[e] = g_[first + e] + p_[first + e] + s_[first + e] + gumbel;
    }
    std::iota(order_.begin(), order_.end(), uint16_t{0});
    std::nth_element(order_.begin(), order_.begin() + params_.top_k - 1, order_.end(),
                     [this](uint16_t a, uint16_t b) { return scores_[a] > scores_[b]; });
    std::copy_n(order_.begin(), params_.top_k, chosen.begin() + size_t{layer} * params_.top_k);
  }
}

}  // namespace spearfish::bench
