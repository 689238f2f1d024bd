// The whole Qwen3-MoE model in float64, written from the formulas and nothing else: no cache, no
// batches, no kernels.
#ifndef TESTS_REFERENCE_QWEN3_MOE_H_
#define TESTS_REFERENCE_QWEN3_MOE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/expert_cache/cache_view.h"
#include "common/safetensors/checkpoint.h"

namespace spearfish::tests {

struct OracleOutput {
  std::vector<double> logits;  // [tokens, vocab]
  // [num_moe_layers][tokens * num_experts]: softmax over all experts.
  std::vector<std::vector<double>> router_probabilities;
};

// Reads dense weights from the checkpoint and experts, dequantised, from the cache; both must
// outlive it. With dense_bits 8 the projections (not routers, not the embedding) are those of
// kernels::Matrix's I8, dequantised. A checkpoint that lacks a tensor ends the process.
class Qwen3MoeOracle {
 public:
  Qwen3MoeOracle(const Checkpoint& checkpoint, const CacheView& cache, uint32_t dense_bits = 16)
      : checkpoint_(checkpoint),
        cache_(cache),
        config_(checkpoint.config()),
        dense_bits_(dense_bits) {}

  // One sequence, from position 0.
  OracleOutput Run(std::span<const TokenId> ids) const;

 private:
  // [tokens, features], row-major.
  using Rows = std::vector<double>;

  std::vector<double> Weight(const std::string& name) const;
  // A matrix that is multiplied with: what dense_bits makes of it.
  std::vector<double> Projection(const std::string& name) const;
  // rows . weight^T (+ bias, when the model has attention biases and `bias` is named).
  Rows Project(const Rows& x, const std::string& weight, const std::string& bias = "") const;
  Rows RmsNorm(const Rows& x, const std::string& weight) const;
  Rows Attention(const Rows& x, const std::string& prefix) const;
  Rows DenseMlp(const Rows& x, const std::string& prefix) const;
  Rows Moe(const Rows& x, LayerId layer, const std::string& prefix,
           std::vector<double>& probabilities) const;

  const Checkpoint& checkpoint_;
  const CacheView& cache_;
  const ModelConfig& config_;
  const uint32_t dense_bits_;
};

}  // namespace spearfish::tests

#endif  // TESTS_REFERENCE_QWEN3_MOE_H_
