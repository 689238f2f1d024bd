// Device memory that a step computes in, all of it allocated before the first step.
#ifndef WORKER_MODEL_STEP_BUFFERS_H_
#define WORKER_MODEL_STEP_BUFFERS_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/config/model_config.h"
#include "common/tensor/dtype.h"
#include "kernels/api/device.h"
#include "kernels/api/expert_layout.h"
#include "kernels/api/kernels.h"
#include "worker/model/model_options.h"
#include "worker/model/staged_memory.h"

namespace spearfish::worker {

// Rows are those of one step; A is the backend's activation type. Contents live within one step.
struct StepBuffers {
  void* residual = nullptr;          // [rows, hidden] A
  void* normed = nullptr;            // [rows, hidden] A
  void* delta = nullptr;             // [rows, hidden] A: what the last block adds to the residual
  void* qkv = nullptr;               // [rows, (num_heads + 2 * num_kv_heads) * head_dim] A
  void* q = nullptr;                 // [rows, num_heads * head_dim] A
  void* attention = nullptr;         // [rows, num_heads * head_dim] A
  void* gate_up = nullptr;           // [rows, 2 * intermediate] A; null without dense layers
  void* activation = nullptr;        // [rows, intermediate] A; null without dense layers
  float* expert_weights = nullptr;   // [rows, k]
  void* moe_workspace = nullptr;     // MoeWorkspaceBytes
  void* logit_inputs = nullptr;      // [logit_chunk_rows, hidden] A
  float* logits = nullptr;           // [logit_chunk_rows, vocab]
  void* sample_workspace = nullptr;  // SampleWorkspaceBytes

  std::unique_ptr<kernels::Buffer> memory;  // what all of these lead into
  std::unique_ptr<StagedMemory> inputs;     // StepBatch
  std::unique_ptr<StagedMemory> results;    // StepResults

  static absl::StatusOr<StepBuffers> Create(const ModelConfig& config, const ModelOptions& options,
                                            const kernels::ExpertLayout& layout,
                                            const kernels::Kernels& kernels,
                                            kernels::Device& device);
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_STEP_BUFFERS_H_
