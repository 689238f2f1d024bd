// How large a model's workspace is.
#ifndef WORKER_MODEL_MODEL_OPTIONS_H_
#define WORKER_MODEL_MODEL_OPTIONS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "common/config/model_config.h"
#include "worker/experts/expert_pool.h"
#include "worker/kv/kv_layout.h"
#include "worker/model/dense_options.h"

namespace spearfish::worker {

struct ModelOptions {
  uint32_t max_model_len = 0;      // tokens of one sequence; 0 = max_position_embeddings
  uint32_t max_step_tokens = 512;  // rows of one step
  // Rows of one step whose workspace borrows frames; 0 = max_step_tokens: it never does.
  uint32_t max_borrowed_step_tokens = 0;
  uint32_t max_step_sequences = 64;  // sequences of one step
  // Blocks of the KV cache; 0 = what the device's budget leaves, at most what max_step_sequences
  // sequences of max_model_len tokens take.
  uint32_t kv_blocks = 0;
  uint32_t kv_block_tokens = kDefaultBlockTokens;
  // Logits exist for so many rows at a time: a vocabulary of 150,000 takes 0.6 MB a row.
  uint32_t logit_chunk_rows = 64;

  DenseOptions dense = {};  // of the weights that are no experts

  PoolOptions pool = {};
  double hard_share = 0.5;  // of the slots: never given to KV blocks or prefill
  // What to fill the slots by: activation counts [MoE layers * experts]; empty = evenly.
  std::vector<double> expert_heat = {};

  // InvalidArgument naming the field, its value and the bound.
  absl::Status Validate(const ModelConfig& config) const;
  // Copies with 0 replaced by what the config says.
  ModelOptions Resolved(const ModelConfig& config) const;

  // Rows of the largest step there can be.
  uint32_t MostStepTokens() const { return std::max(max_step_tokens, max_borrowed_step_tokens); }
  // Blocks that one sequence of max_model_len tokens takes.
  uint32_t BlocksPerSequence() const {
    return (max_model_len + kv_block_tokens - 1) / kv_block_tokens;
  }
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_MODEL_OPTIONS_H_
