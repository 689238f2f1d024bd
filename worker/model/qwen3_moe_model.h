// Qwen3-MoE on the Device and Kernels interfaces.
#ifndef WORKER_MODEL_QWEN3_MOE_MODEL_H_
#define WORKER_MODEL_QWEN3_MOE_MODEL_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/expert_cache/cache_view.h"
#include "common/safetensors/checkpoint.h"
#include "kernels/api/device.h"
#include "kernels/api/kernels.h"
#include "worker/experts/expert_store.h"
#include "worker/kv/kv_cache.h"
#include "worker/model/model.h"
#include "worker/model/model_options.h"
#include "worker/model/step_batch.h"
#include "worker/model/step_buffers.h"
#include "worker/model/step_results.h"
#include "worker/model/weights.h"

namespace spearfish::worker {

// Owns weights, KV memory, workspace and one stream; nothing is allocated after Create. Every step
// is enqueued on that stream and waited for once, at its end. The cache image, device and kernels
// must outlive it; the checkpoint need not.
class Qwen3MoeModel : public Model {
 public:
  // InvalidArgument for options out of range or a weight that is not finite; FailedPrecondition
  // when the cache was not made for this config; ResourceExhausted when the device's budget does
  // not hold the model and the KV blocks of one sequence.
  static absl::StatusOr<std::unique_ptr<Qwen3MoeModel>> Create(const Checkpoint& checkpoint,
                                                               const CacheView& cache,
                                                               kernels::Device& device,
                                                               kernels::Kernels& kernels,
                                                               const ModelOptions& options);

  const ModelConfig& config() const override { return config_; }
  const GenerationConfig& generation_config() const override { return generation_config_; }
  uint32_t max_model_len() const override { return limits_.options.max_model_len; }
  uint32_t num_kv_blocks() const override { return limits_.num_kv_blocks; }
  uint32_t kv_block_tokens() const override { return limits_.options.kv_block_tokens; }
  uint32_t max_step_tokens() const override { return limits_.options.max_step_tokens; }
  uint32_t max_step_sequences() const override { return limits_.options.max_step_sequences; }
  uint64_t expert_record_bytes() const override { return parts_.experts->layout().record_bytes; }

  void Forward(const StepInput& input, StepOutput& output) override;

  ExpertStore& experts() { return *parts_.experts; }

 private:
  // In order of construction; destroyed in reverse, so after the stream has run dry.
  struct Parts {
    ModelWeights weights;
    std::unique_ptr<kernels::Buffer> inv_freq;  // [head_dim / 2] F32
    std::unique_ptr<ExpertStore> experts;
    StepBuffers buffers;
    std::unique_ptr<KvCache> kv;
    std::unique_ptr<kernels::Stream> stream;
  };

  Qwen3MoeModel(const Checkpoint& checkpoint, const StepLimits& limits, kernels::Kernels& kernels,
                Parts parts);

  // Each enqueues on the stream. A block reads `normed` and writes `delta`.
  void Layer(LayerId layer, const StepBatch& batch, const StepResults& results);
  void Attention(LayerId layer, const StepBatch& batch);
  void Moe(LayerId layer, const StepBatch& batch, const StepResults& results);
  void DenseMlp(LayerId layer, const StepBatch& batch);
  // residual += delta; normed = RMSNorm(residual).
  void AddAndNorm(const float* weight, const StepBatch& batch);
  void Head(const StepBatch& batch, const StepResults& results);
  void HeadChunk(uint32_t begin, uint32_t num_rows, const StepBatch& batch,
                 const StepResults& results);
  void Linear(const void* x, const kernels::Matrix& weight, const float* bias, void* out,
              uint32_t num_rows);

  const ModelConfig config_;
  const GenerationConfig generation_config_;
  const StepLimits limits_;
  kernels::Kernels& kernels_;
  const Parts parts_;
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_QWEN3_MOE_MODEL_H_
