#include "worker/model/step_workspace.h"

#include <bit>

#include "common/base/bytes.h"
#include "common/tensor/dtype.h"

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

// Keys that a sequence's row of the block table has room for: steps round its width up (StepBatch).
uint32_t MostTableKeys(const ModelOptions& options) {
  return std::bit_ceil(options.BlocksPerSequence()) * options.kv_block_tokens;
}

// Returns the bytes cut.
uint64_t CutBuffers(const Shapes& shapes, uint32_t num_rows, std::byte* base,
                    StepBuffers& buffers) {
  const ModelConfig& config = shapes.config;
  const uint64_t rows = num_rows;
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
  buffers.attention_workspace =
      cutter.Cut(shapes.kernels.AttentionWorkspaceBytes({.num_rows = num_rows,
                                                         .max_keys = MostTableKeys(shapes.options),
                                                         .num_heads = config.num_heads,
                                                         .num_kv_heads = config.num_kv_heads,
                                                         .head_dim = config.head_dim}));
  buffers.gate_up = cutter.Cut(rows * 2 * intermediate * a);
  buffers.activation = cutter.Cut(rows * intermediate * a);
  buffers.expert_weights = cutter.Cut<float>(rows * config.num_experts_per_token * sizeof(float));
  buffers.moe_workspace = cutter.Cut(
      shapes.kernels.MoeWorkspaceBytes(shapes.layout, num_rows, config.num_experts_per_token));
  buffers.logit_inputs = cutter.Cut(uint64_t{logit_rows} * config.hidden_size * a);
  buffers.logits = cutter.Cut<float>(uint64_t{logit_rows} * config.vocab_size * sizeof(float));
  buffers.sample_workspace =
      cutter.Cut(shapes.kernels.SampleWorkspaceBytes(logit_rows, config.vocab_size));
  return cutter.bytes();
}

}  // namespace

StepWorkspace::StepWorkspace(const ModelConfig& config, const ModelOptions& options,
                             const kernels::ExpertLayout& layout, const kernels::Kernels& kernels)
    : config_(config), options_(options), layout_(layout), kernels_(kernels) {}

uint64_t StepWorkspace::Bytes(uint32_t num_rows) const {
  StepBuffers unused;
  return CutBuffers({config_, options_, layout_, kernels_}, num_rows, nullptr, unused) + kAlignment;
}

uint32_t StepWorkspace::RowsThatFit(uint64_t bytes, uint32_t limit) const {
  uint32_t fits = 0;
  uint32_t too_many = limit + 1;
  while (fits + 1 < too_many) {
    const uint32_t middle = fits + (too_many - fits) / 2;
    (Bytes(middle) <= bytes ? fits : too_many) = middle;
  }
  return fits;
}

StepBuffers StepWorkspace::CutBelow(std::byte* end, uint32_t num_rows) const {
  const auto top = reinterpret_cast<uintptr_t>(end);
  const uint64_t bytes = Bytes(num_rows) - kAlignment;
  const uint64_t rest = (top - bytes) % kAlignment;  // of the address, so that it becomes aligned
  StepBuffers buffers;
  CutBuffers({config_, options_, layout_, kernels_}, num_rows, end - bytes - rest, buffers);
  return buffers;
}

}  // namespace spearfish::worker
