// The dense weights of a Qwen3-MoE model: everything but the routed experts.
#ifndef WORKER_MODEL_WEIGHTS_H_
#define WORKER_MODEL_WEIGHTS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/safetensors/checkpoint.h"
#include "kernels/api/device.h"
#include "kernels/api/kernels.h"
#include "worker/model/dense_options.h"

namespace spearfish::worker {

// Device addresses; biases are null where the checkpoint has none.
struct AttentionWeights {
  kernels::Matrix qkv;              // [(num_heads + 2 * num_kv_heads) * head_dim, hidden]
  const float* qkv_bias = nullptr;  // [qkv.rows]
  kernels::Matrix o;                // [hidden, num_heads * head_dim]
  const float* o_bias = nullptr;    // [hidden]
  const float* q_norm = nullptr;    // [head_dim]
  const float* k_norm = nullptr;    // [head_dim]
};

struct DenseMlpWeights {
  kernels::Matrix gate_up;  // [2 * intermediate, hidden], gate first
  kernels::Matrix down;     // [hidden, intermediate]
};

// `router` in a MoE layer, `mlp` in a dense one; the other is empty.
struct LayerWeights {
  const float* input_norm = nullptr;  // [hidden]
  AttentionWeights attention;
  const float* post_attention_norm = nullptr;  // [hidden]
  kernels::Matrix router;                      // [num_experts, hidden]
  DenseMlpWeights mlp;
};

// Owns the allocations that all pointers lead into. Matrices keep BF16, or become F32 if any
// part is F16 or F32; norms and biases are F32. With 8 bits the matrices of Linear (attention, MLP
// and lm_head) are I8, while embedding and routers stay as they are. A tied lm_head is the
// embedding itself, but with 8 bits a quantised copy of it. Immutable after Load; the device must
// outlive it.
struct ModelWeights {
  std::unique_ptr<kernels::Buffer> memory;       // of the device
  std::unique_ptr<kernels::Buffer> host_memory;  // of the embedding; null when it is the head
  // [vocab, hidden]. Not the head: in page-locked host memory, as a step reads just a row a token.
  kernels::Matrix embedding;
  std::vector<LayerWeights> layers;
  const float* final_norm = nullptr;  // [hidden]
  kernels::Matrix lm_head;            // [vocab, hidden]

  // InvalidArgument names a tensor that holds NaN or infinity; ResourceExhausted when the device's
  // budget does not hold the weights. Quantises while it copies, through a small buffer. Waits
  // until the device has them.
  static absl::StatusOr<ModelWeights> Load(const Checkpoint& checkpoint, kernels::Device& device,
                                           kernels::Stream& stream,
                                           const DenseOptions& options = {});
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_WEIGHTS_H_
