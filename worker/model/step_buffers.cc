#include "worker/model/step_buffers.h"

#include <algorithm>
#include <cstddef>

#include "common/base/bytes.h"
#include "common/base/status_macros.h"
#include "worker/model/step_batch.h"
#include "worker/model/step_results.h"

namespace spearfish::worker {
namespace {

constexpr uint64_t kAlignment = 256;

// Cuts one region. Without a base it only measures: every address is null.
class Cutter {
 public:
  explicit Cutter(std::byte* base) : base_(base) {}

  template <typename T = void>
  T* Cut(uint64_t bytes) {
    const uint64_t offset = bytes_;
    bytes_ += AlignUp(bytes, kAlignment);
    if (base_ == nullptr || bytes == 0) return nullptr;
    return reinterpret_cast<T*>(base_ + offset);
  }
  uint64_t bytes() const { return bytes_; }

 private:
  std::byte* const base_;
  uint64_t bytes_ = 0;
};

struct Shapes {
  const ModelConfig& config;
  const ModelOptions& options;
  const kernels::ExpertLayout& layout;
  const kernels::Kernels& kernels;
};

// Returns the bytes cut.
uint64_t CutBuffers(const Shapes& shapes, std::byte* base, StepBuffers& buffers) {
  const ModelConfig& config = shapes.config;
  const uint64_t rows = shapes.options.max_step_tokens;
  const uint32_t logit_rows = shapes.options.logit_chunk_rows;
  const uint64_t a = DTypeBytes(shapes.kernels.activation_dtype());
  const uint64_t q_dim = uint64_t{config.num_heads} * config.head_dim;
  const uint64_t kv_dim = uint64_t{config.num_kv_heads} * config.head_dim;
  const bool has_dense = config.num_moe_layers() < config.num_layers;
  const uint64_t intermediate = has_dense ? config.intermediate_size : 0;

  Cutter cutter(base);
  buffers.residual = cutter.Cut(rows * config.hidden_size * a);
  buffers.normed = cutter.Cut(rows * config.hidden_size * a);
  buffers.delta = cutter.Cut(rows * config.hidden_size * a);
  buffers.qkv = cutter.Cut(rows * (q_dim + 2 * kv_dim) * a);
  buffers.q = cutter.Cut(rows * q_dim * a);
  buffers.attention = cutter.Cut(rows * q_dim * a);
  buffers.gate_up = cutter.Cut(rows * 2 * intermediate * a);
  buffers.activation = cutter.Cut(rows * intermediate * a);
  buffers.expert_weights = cutter.Cut<float>(rows * config.num_experts_per_token * sizeof(float));
  buffers.moe_workspace = cutter.Cut(shapes.kernels.MoeWorkspaceBytes(
      shapes.layout, shapes.options.max_step_tokens, config.num_experts_per_token));
  buffers.logit_inputs = cutter.Cut(uint64_t{logit_rows} * config.hidden_size * a);
  buffers.logits = cutter.Cut<float>(uint64_t{logit_rows} * config.vocab_size * sizeof(float));
  buffers.sample_workspace =
      cutter.Cut(shapes.kernels.SampleWorkspaceBytes(logit_rows, config.vocab_size));
  return cutter.bytes();
}

}  // namespace

absl::StatusOr<StepBuffers> StepBuffers::Create(const ModelConfig& config,
                                                const ModelOptions& options,
                                                const kernels::ExpertLayout& layout,
                                                const kernels::Kernels& kernels,
                                                kernels::Device& device) {
  const Shapes shapes{.config = config, .options = options, .layout = layout, .kernels = kernels};
  StepBuffers buffers;
  const uint64_t bytes = CutBuffers(shapes, nullptr, buffers);
  SF_ASSIGN_OR_RETURN(buffers.memory, device.Allocate(bytes, "the step workspace"));
  CutBuffers(shapes, buffers.memory->as<std::byte>(), buffers);
  SF_ASSIGN_OR_RETURN(buffers.inputs,
                      StagedMemory::Create(device, StepBatchBytes(options), "the step inputs"));
  SF_ASSIGN_OR_RETURN(
      buffers.results,
      StagedMemory::Create(device, StepResultsBytes(config, options), "the step results"));
  return buffers;
}

}  // namespace spearfish::worker
