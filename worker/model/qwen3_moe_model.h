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
#include "worker/experts/expert_pool.h"
#include "worker/experts/expert_store.h"
#include "worker/experts/frame_arena.h"
#include "worker/kv/block_source.h"
#include "worker/kv/kv_cache.h"
#include "worker/model/arena_plan.h"
#include "worker/model/model.h"
#include "worker/model/model_options.h"
#include "worker/model/soft_frames.h"
#include "worker/model/staged_memory.h"
#include "worker/model/step_batch.h"
#include "worker/model/step_graphs.h"
#include "worker/model/step_results.h"
#include "worker/model/step_workspace.h"
#include "worker/model/weights.h"

namespace spearfish::worker {

// Owns weights, the arena with everything in it (expert slots, KV blocks, workspace) and one
// stream; nothing is allocated after Create. Every step is enqueued on that stream and waited for
// once, at its end. The cache image, device and kernels must outlive it; the checkpoint need not.
class Qwen3MoeModel : public Model {
 public:
  // InvalidArgument for options out of range or a weight that is not finite; FailedPrecondition
  // when the cache was not made for this config; ResourceExhausted when the device's budget does
  // not hold the model, its workspace and the KV blocks of one sequence. Returns when the slots are
  // filled.
  static absl::StatusOr<std::unique_ptr<Qwen3MoeModel>> Create(const Checkpoint& checkpoint,
                                                               const CacheView& cache,
                                                               kernels::Device& device,
                                                               kernels::Kernels& kernels,
                                                               const ModelOptions& options);

  const ModelConfig& config() const override { return config_; }
  const GenerationConfig& generation_config() const override { return generation_config_; }
  uint32_t max_model_len() const override { return limits_.options.max_model_len; }
  BlockSource& kv_blocks() override { return *parts_.soft_frames; }
  uint32_t kv_block_tokens() const override { return limits_.options.kv_block_tokens; }
  uint32_t max_step_tokens() const override { return limits_.options.max_step_tokens; }
  uint32_t max_borrowed_step_tokens() const override { return limits_.options.MostStepTokens(); }
  uint32_t max_step_sequences() const override { return limits_.options.max_step_sequences; }
  uint64_t expert_record_bytes() const override { return parts_.experts->layout().record_bytes; }
  uint64_t dense_weight_bytes() const override { return parts_.weights.memory->bytes(); }

  uint32_t BorrowStepTokens(uint32_t num_rows) override;
  void ReturnStepTokens() override;
  bool Maintain() override { return parts_.pool->Maintain(*parts_.stream); }
  PoolFigures pool_figures() const override { return parts_.pool->figures(); }

  void Forward(const StepInput& input, StepOutput& output) override;

  const StepGraphs& graphs() const { return graphs_; }
  const ArenaPlan& arena_plan() const { return parts_.plan; }
  // What the buffers of a step of so many rows take.
  uint64_t workspace_bytes(uint32_t num_rows) const { return parts_.workspace->Bytes(num_rows); }
  ExpertStore& experts() { return *parts_.experts; }
  ExpertPool& pool() { return *parts_.pool; }

 private:
  // Destroyed in reverse: what is enqueued on the stream has run when what it uses goes.
  struct Parts {
    ModelWeights weights;
    std::unique_ptr<kernels::Buffer> inv_freq;  // [head_dim / 2] F32
    std::unique_ptr<ExpertStore> experts;
    std::unique_ptr<StagedMemory> inputs;   // StepBatch
    std::unique_ptr<StagedMemory> results;  // StepResults
    std::unique_ptr<StepWorkspace> workspace;
    ArenaPlan plan;
    std::unique_ptr<FrameArena> arena;
    std::unique_ptr<ExpertPool> pool;
    std::unique_ptr<KvCache> kv;
    std::unique_ptr<kernels::Stream> stream;
    std::unique_ptr<SoftFrames> soft_frames;
  };

  static absl::Status CreateArena(const ModelConfig& config, const StepLimits& limits,
                                  kernels::Device& device, Parts& parts);

  Qwen3MoeModel(const Checkpoint& checkpoint, const StepLimits& limits, kernels::Kernels& kernels,
                Parts parts);

  // The step from upload to download.
  void EnqueueStep(const StepBatch& batch, const StepResults& results);
  StepShape ShapeOf(const StepBatch& batch, const StepResults& results) const;
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
  // Cuts the buffers for steps of so many rows.
  void SetStepTokens(uint32_t num_rows);

  const ModelConfig config_;
  const GenerationConfig generation_config_;
  const StepLimits limits_;
  kernels::Kernels& kernels_;
  const Parts parts_;
  uint32_t step_tokens_ = 0;  // rows that a step may have now
  StepBuffers buffers_;
  StepGraphs graphs_;
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_QWEN3_MOE_MODEL_H_
