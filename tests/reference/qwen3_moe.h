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
// outlive it. A checkpoint that lacks a tensor ends the process.
class Qwen3MoeOracle {
 public:
  Qwen3MoeOracle(const Checkpoint& checkpoint, const CacheView& cache)
      : checkpoint_(checkpoint), cache_(cache), config_(checkpoint.config()) {}

  // One sequence, from position 0.
  OracleOutput Run(std::span<const TokenId> ids) const;

 private:
  // [tokens, features], row-major.
  using Rows = std::vector<double>;

  std::vector<double> Weight(const std::string& name) const;
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
};

}  // namespace spearfish::tests

#endif  // TESTS_REFERENCE_QWEN3_MOE_H_
