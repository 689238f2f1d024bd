// Synthetic routing with the skew and the memory of real models (design.md section 8).
#ifndef TESTS_BENCH_ROUTING_MODEL_H_
#define TESTS_BENCH_ROUTING_MODEL_H_

#include <boost/random/exponential_distribution.hpp>
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/normal_distribution.hpp>
#include <cstdint>
#include <span>
#include <vector>

namespace spearfish::bench {

struct RoutingParams {
  uint32_t num_experts = 0;  // per layer
  uint32_t top_k = 0;
  double sigma_g = 0;  // of an expert's standing, the same for all prompts
  double sigma_p = 0;  // of a prompt's liking
  double sigma_s = 0;  // of the part that drifts from token to token
  double rho = 0;      // its correlation from one token to the next
};

// Scores per layer and expert are G + P(prompt) + S(token) + Gumbel; a token is routed to the top k
// of them. G, P, S are normal, S a stationary first-order autoregressive process. Layers are
// independent. The same seed gives the same routing on every machine (Boost's distributions are
// specified by their code, unlike the standard library's).
class RoutingModel {
 public:
  RoutingModel(const RoutingParams& params, uint32_t num_layers, uint64_t seed);

  // Draws P anew, and S from its stationary distribution. Called by the constructor too.
  void NewPrompt();
  // Advances S by one token and routes it: chosen [num_layers, top_k], unordered within a layer.
  void NextToken(std::span<uint16_t> chosen);

  const RoutingParams& params() const { return params_; }
  uint32_t num_layers() const { return num_layers_; }
  // What an oracle knows, [num_layers, num_experts]: the parts of the score that chose the last
  // token; the Gumbel part is forgotten at once.
  std::span<const float> standing() const { return g_; }
  std::span<const float> liking() const { return p_; }
  std::span<const float> drift() const { return s_; }

 private:
  float Normal(double sigma) { return static_cast<float>(sigma * normal_(random_)); }

  const RoutingParams params_;
  const uint32_t num_layers_;
  boost::random::mt19937_64 random_;
  boost::random::normal_distribution<double> normal_;
  boost::random::exponential_distribution<double> exponential_;
  std::vector<float> g_, p_, s_;  // [num_layers, num_experts]
  std::vector<float> scores_;     // [num_experts]
  std::vector<uint16_t> order_;   // [num_experts]
};

}  // namespace spearfish::bench

#endif  // TESTS_BENCH_ROUTING_MODEL_H_
