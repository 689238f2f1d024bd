#include "kernels/cuda/cuda_kernels.h"

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "kernels/api/validate.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/launch.h"

namespace spearfish::kernels {
namespace {

static_assert(sizeof(SampleRow) == sizeof(SampleRowView));
static_assert(offsetof(SampleRow, history_begin) == offsetof(SampleRowView, history_begin));
static_assert(offsetof(SampleRow, bias_begin) == offsetof(SampleRowView, bias_begin));
static_assert(offsetof(SampleRow, counter) == offsetof(SampleRowView, counter));
static_assert(sizeof(LogitBias) == sizeof(LogitBiasView));

// The stream's handle with its device made current, or null when there is nothing to do.
template <typename Args>
cudaStream_t Begin(const Args& args, Stream& stream) {
#ifndef NDEBUG
  SF_CHECK_OK(Validate(args));
#endif
  if (args.num_rows == 0) return nullptr;
  auto* cuda_stream = dynamic_cast<CudaStream*>(&stream);
  SF_CHECK(cuda_stream != nullptr);
  return cuda_stream->MakeCurrent();
}

KvPlanes PlanesOf(const KvLayer& kv) {
  return {.k = kv.k,
          .v = kv.v,
          .block_tokens = kv.block_tokens,
          .num_kv_heads = kv.num_kv_heads,
          .head_dim = kv.head_dim,
          .block_stride = kv.block_stride};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernels>> CudaKernels::Create(Device& device,
                                                             CudaKernelsOptions options) {
  const auto* cuda_device = dynamic_cast<CudaDevice*>(&device);
  if (cuda_device == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("kernels do not fit the device: CUDA kernels, device ", device.info().name,
                     "; create them for a CUDA device"));
  }
  if (options.activations != DType::kBF16 && options.activations != DType::kF32) {
    return absl::InvalidArgumentError(absl::StrCat(
        "activations not supported: ", DTypeName(options.activations), "; choose BF16 or F32"));
  }
  SF_CUDA(cudaSetDevice(cuda_device->ordinal()));
  SF_ASSIGN_OR_RETURN(std::unique_ptr<DenseGemm> dense_gemm, DenseGemm::Create());
  return absl::WrapUnique(new CudaKernels(options, cuda_device->memory(), std::move(dense_gemm)));
}

uint64_t CudaKernels::MoeWorkspaceBytes(const ExpertLayout& layout, uint32_t num_rows,
                                        uint32_t k) const {
  return MoeCudaWorkspaceBytes(layout, num_rows, k);
}

uint64_t CudaKernels::AttentionWorkspaceBytes(const AttentionShape& shape) const {
  return AttentionCudaWorkspaceBytes({.num_rows = shape.num_rows,
                                      .max_keys = shape.max_keys,
                                      .num_heads = shape.num_heads,
                                      .num_kv_heads = shape.num_kv_heads,
                                      .head_dim = shape.head_dim});
}

uint64_t CudaKernels::SampleWorkspaceBytes(uint32_t num_rows, uint32_t vocab) const {
  return SampleCudaWorkspaceBytes(num_rows, vocab);
}

void CudaKernels::Embed(const EmbedArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  LaunchEmbed({.activations = options_.activations,
               .table_dtype = args.table.dtype,
               .ids = args.ids,
               .table = args.table.data,
               .out = args.out,
               .num_rows = args.num_rows,
               .dim = args.table.cols},
              on);
}

void CudaKernels::RmsNorm(const RmsNormArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  LaunchRmsNorm({.activations = options_.activations,
                 .x = args.x,
                 .residual = args.residual,
                 .weight = args.weight,
                 .out = args.out,
                 .num_rows = args.num_rows,
                 .dim = args.dim,
                 .eps = args.eps},
                on);
}

void CudaKernels::Linear(const LinearArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr || args.weight.rows == 0) return;
  const LinearLaunch launch = {.activations = options_.activations,
                               .weight_dtype = args.weight.dtype,
                               .out_dtype = args.out_dtype,
                               .x = args.x,
                               .weight = args.weight.data,
                               .scales = args.weight.scales,
                               .bias = args.bias,
                               .out = args.out,
                               .num_rows = args.num_rows,
                               .outputs = args.weight.rows,
                               .inputs = args.weight.cols};
  const bool tensor_cores_fit =
      options_.activations == DType::kBF16 && TensorLinearFits(args.weight.cols);
  if (!options_.strict_batch_invariance && args.num_rows > kOwnLinearRows &&
      DenseGemm::Fits(launch)) {
    dense_gemm_->Run(launch, on);
  } else if (tensor_cores_fit && args.weight.dtype == DType::kBF16) {
    LaunchTensorLinear(launch, on);
  } else if (tensor_cores_fit && args.weight.dtype == DType::kI8) {
    LaunchTensorLinearInt8(launch, on);
  } else {
    LaunchLinear(launch, on);
  }
}

void CudaKernels::QkNormRopeAppend(const QkNormRopeAppendArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  LaunchQkNormRopeAppend({.activations = options_.activations,
                          .qkv = args.qkv,
                          .q_norm = args.q_norm,
                          .k_norm = args.k_norm,
                          .eps = args.eps,
                          .positions = args.positions,
                          .inv_freq = args.inv_freq,
                          .slots = args.slots,
                          .q_out = args.q_out,
                          .kv = PlanesOf(args.kv),
                          .num_rows = args.num_rows,
                          .num_heads = args.num_heads},
                         on);
}

void CudaKernels::Attention(const AttentionArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  SF_CHECK(args.workspace != nullptr ||
           AttentionWorkspaceBytes({.num_rows = args.num_rows,
                                    .max_keys = args.max_blocks * args.kv.block_tokens,
                                    .num_heads = args.num_heads,
                                    .num_kv_heads = args.kv.num_kv_heads,
                                    .head_dim = args.kv.head_dim}) == 0);
  LaunchAttention({.activations = options_.activations,
                   .q = args.q,
                   .kv = PlanesOf(args.kv),
                   .query_starts = args.query_starts,
                   .context_lens = args.context_lens,
                   .block_tables = args.block_tables,
                   .out = args.out,
                   .scale = args.scale,
                   .num_rows = args.num_rows,
                   .num_seqs = args.num_seqs,
                   .max_blocks = args.max_blocks,
                   .num_heads = args.num_heads,
                   .workspace = args.workspace},
                  on);
}

void CudaKernels::RouterTopk(const RouterTopkArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  LaunchRouterTopk({.activations = options_.activations,
                    .gate_dtype = args.gate.dtype,
                    .x = args.x,
                    .gate = args.gate.data,
                    .num_experts = args.gate.rows,
                    .dim = args.gate.cols,
                    .k = args.k,
                    .normalize = args.normalize,
                    .expert_ids = args.expert_ids,
                    .expert_weights = args.expert_weights,
                    .activation_counts = args.activation_counts,
                    .num_rows = args.num_rows},
                   on);
}

void CudaKernels::Moe(const MoeArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  LaunchMoe({.activations = options_.activations,
             .x = args.x,
             .expert_ids = args.expert_ids,
             .expert_weights = args.expert_weights,
             .address_table = args.address_table,
             .slots_begin = slots_begin_,
             .slots_end = slots_end_,
             .layout = args.layout,
             .num_experts = args.num_experts,
             .k = args.k,
             .out = args.out,
             .workspace = args.workspace,
             .num_rows = args.num_rows},
            on);
}

void CudaKernels::SiluMul(const SiluMulArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  LaunchSiluMul({.activations = options_.activations,
                 .gate_up = args.gate_up,
                 .out = args.out,
                 .num_rows = args.num_rows,
                 .dim = args.dim},
                on);
}

void CudaKernels::GatherRows(const GatherRowsArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  LaunchGatherRows({.activations = options_.activations,
                    .x = args.x,
                    .rows = args.rows,
                    .out = args.out,
                    .num_rows = args.num_rows,
                    .dim = args.dim},
                   on);
}

void CudaKernels::Sample(const SampleArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  LaunchSample({.logits = args.logits,
                .rows = reinterpret_cast<const SampleRowView*>(args.rows),
                .history = args.history,
                .biases = reinterpret_cast<const LogitBiasView*>(args.biases),
                .out_tokens = args.out_tokens,
                .workspace = args.workspace,
                .num_rows = args.num_rows,
                .vocab = args.vocab},
               on);
}

void CudaKernels::LogProbs(const LogProbsArgs& args, Stream& stream) {
  const cudaStream_t on = Begin(args, stream);
  if (on == nullptr) return;
  LaunchLogProbs({.logits = args.logits,
                  .tokens = args.tokens,
                  .token_logprobs = args.token_logprobs,
                  .ranks = args.ranks,
                  .top_ids = args.top_ids,
                  .top_logprobs = args.top_logprobs,
                  .num_rows = args.num_rows,
                  .vocab = args.vocab,
                  .top_n = args.top_n},
                 on);
}

}  // namespace spearfish::kernels
