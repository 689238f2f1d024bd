// How large a model's workspace is.
#ifndef WORKER_MODEL_MODEL_OPTIONS_H_
#define WORKER_MODEL_MODEL_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "common/config/model_config.h"
#include "worker/kv/kv_cache.h"

namespace spearfish::worker {

struct ModelOptions {
  uint32_t max_model_len = 0;        // tokens of one sequence; 0 = max_position_embeddings
  uint32_t max_step_tokens = 512;    // rows of one step
  uint32_t max_step_sequences = 64;  // sequences of one step
  // Blocks of the KV cache; 0 = what the device's budget leaves, at most what max_step_sequences
  // sequences of max_model_len tokens take.
  uint32_t kv_blocks = 0;
  uint32_t kv_block_tokens = kDefaultBlockTokens;
  // Logits exist for so many rows at a time: a vocabulary of 150,000 takes 0.6 MB a row.
  uint32_t logit_chunk_rows = 64;

  // InvalidArgument naming the field, its value and the bound.
  absl::Status Validate(const ModelConfig& config) const;
  // Copies with 0 replaced by what the config says.
  ModelOptions Resolved(const ModelConfig& config) const;

  // Blocks that one sequence of max_model_len tokens takes.
  uint32_t BlocksPerSequence() const {
    return (max_model_len + kv_block_tokens - 1) / kv_block_tokens;
  }
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_MODEL_OPTIONS_H_
