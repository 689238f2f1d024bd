// Device memory that a step computes in: cut from the end of the arena, so that a step of more rows
// takes frames below.
#ifndef WORKER_MODEL_STEP_WORKSPACE_H_
#define WORKER_MODEL_STEP_WORKSPACE_H_

#include <cstddef>
#include <cstdint>

#include "common/config/model_config.h"
#include "kernels/api/expert_layout.h"
#include "kernels/api/kernels.h"
#include "worker/model/model_options.h"

namespace spearfish::worker {

// Rows are those of one step; A is the backend's activation type. Contents live within one step.
struct StepBuffers {
  void* residual = nullptr;   // [rows, hidden] A
  void* normed = nullptr;     // [rows, hidden] A
  void* delta = nullptr;      // [rows, hidden] A: what the last block adds to the residual
  void* qkv = nullptr;        // [rows, (num_heads + 2 * num_kv_heads) * head_dim] A
  void* q = nullptr;          // [rows, num_heads * head_dim] A
  void* attention = nullptr;  // [rows, num_heads * head_dim] A
  void* attention_workspace = nullptr;  // AttentionWorkspaceBytes
  void* gate_up = nullptr;              // [rows, 2 * intermediate] A; null without dense layers
  void* activation = nullptr;           // [rows, intermediate] A; null without dense layers
  float* expert_weights = nullptr;      // [rows, k]
  void* moe_workspace = nullptr;        // MoeWorkspaceBytes
  void* logit_inputs = nullptr;         // [logit_chunk_rows, hidden] A
  float* logits = nullptr;              // [logit_chunk_rows, vocab]
  void* sample_workspace = nullptr;     // SampleWorkspaceBytes
};

// The sizes of a model's buffers: arithmetic only, it owns no memory. Immutable; the kernels must
// outlive it.
class StepWorkspace {
 public:
  StepWorkspace(const ModelConfig& config, const ModelOptions& options,
                const kernels::ExpertLayout& layout, const kernels::Kernels& kernels);

  uint64_t Bytes(uint32_t num_rows) const;
  // The most rows whose buffers fit, at most `limit`.
  uint32_t RowsThatFit(uint64_t bytes, uint32_t limit) const;
  // Buffers that end at or shortly below `end`.
  StepBuffers CutBelow(std::byte* end, uint32_t num_rows) const;

 private:
  const ModelConfig config_;
  const ModelOptions options_;
  const kernels::ExpertLayout layout_;
  const kernels::Kernels& kernels_;
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_STEP_WORKSPACE_H_
