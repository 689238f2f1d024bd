// The launches behind CudaKernels. Plain C++17, because nvcc sees neither Abseil nor C++20: each
// struct repeats what its operation's Args in kernels/api/kernels.h say, whose contract holds.
// Every function enqueues on `stream` of the current device and returns.
#ifndef KERNELS_CUDA_LAUNCH_H_
#define KERNELS_CUDA_LAUNCH_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "common/tensor/dtype.h"
#include "kernels/api/expert_layout.h"

namespace spearfish::kernels {

// `activations` is BF16 or F32 everywhere, and so is the dtype of a matrix, which for Linear may
// also be I8.
struct EmbedLaunch {
  DType activations;
  DType table_dtype;
  const int32_t* ids;
  const void* table;
  void* out;
  uint32_t num_rows;
  uint32_t dim;
};
void LaunchEmbed(const EmbedLaunch& launch, cudaStream_t stream);

struct RmsNormLaunch {
  DType activations;
  const void* x;
  void* residual;
  const float* weight;
  void* out;
  uint32_t num_rows;
  uint32_t dim;
  float eps;
};
void LaunchRmsNorm(const RmsNormLaunch& launch, cudaStream_t stream);

struct SiluMulLaunch {
  DType activations;
  const void* gate_up;
  void* out;
  uint32_t num_rows;
  uint32_t dim;
};
void LaunchSiluMul(const SiluMulLaunch& launch, cudaStream_t stream);

struct GatherRowsLaunch {
  DType activations;
  const void* x;
  const int32_t* rows;
  void* out;
  uint32_t num_rows;
  uint32_t dim;
};
void LaunchGatherRows(const GatherRowsLaunch& launch, cudaStream_t stream);

// x [num_rows, inputs], weight [outputs, inputs], scales [outputs] of I8. LaunchLinear takes all,
// LaunchTensorLinear BF16 activations and weights, LaunchTensorLinearInt8 BF16 activations and I8
// weights, both where TensorLinearFits. Each gives a row the same bits whatever num_rows is.
struct LinearLaunch {
  DType activations;
  DType weight_dtype;
  DType out_dtype;
  const void* x;
  const void* weight;
  const float* scales;
  const float* bias;
  void* out;
  uint32_t num_rows;
  uint32_t outputs;
  uint32_t inputs;
};
void LaunchLinear(const LinearLaunch& launch, cudaStream_t stream);
void LaunchTensorLinear(const LinearLaunch& launch, cudaStream_t stream);
void LaunchTensorLinearInt8(const LinearLaunch& launch, cudaStream_t stream);
constexpr bool TensorLinearFits(uint32_t inputs) { return inputs % 64 == 0; }

struct KvPlanes {
  void* k;
  void* v;
  uint32_t block_tokens;
  uint32_t num_kv_heads;
  uint32_t head_dim;
  uint64_t block_stride;
};

struct QkNormRopeAppendLaunch {
  DType activations;
  const void* qkv;
  const float* q_norm;
  const float* k_norm;
  float eps;
  const int32_t* positions;
  const float* inv_freq;
  const int64_t* slots;
  void* q_out;
  KvPlanes kv;
  uint32_t num_rows;
  uint32_t num_heads;
};
void LaunchQkNormRopeAppend(const QkNormRopeAppendLaunch& launch, cudaStream_t stream);

struct AttentionLaunch {
  DType activations;
  const void* q;
  KvPlanes kv;
  const int32_t* query_starts;
  const int32_t* context_lens;
  const int32_t* block_tables;
  void* out;
  float scale;
  uint32_t num_rows;
  uint32_t num_seqs;
  uint32_t max_blocks;
  uint32_t num_heads;
  void* workspace;
  // LaunchAttention's own: sequences of so many queries go to a kernel in which queries share keys
  // (0: none do); the first of the other rows; the most ranks that a row can have.
  uint32_t share_from = 0;
  uint32_t first_lone = 0;
  uint32_t most_ranks = 0;
};
// As AttentionShape of kernels/api/kernels.h.
struct AttentionWorkspaceShape {
  uint32_t num_rows;
  uint32_t max_keys;
  uint32_t num_heads;
  uint32_t num_kv_heads;
  uint32_t head_dim;
};
uint64_t AttentionCudaWorkspaceBytes(const AttentionWorkspaceShape& shape);
void LaunchAttention(const AttentionLaunch& launch, cudaStream_t stream);

struct RouterTopkLaunch {
  DType activations;
  DType gate_dtype;
  const void* x;
  const void* gate;
  uint32_t num_experts;
  uint32_t dim;
  uint32_t k;
  bool normalize;
  int32_t* expert_ids;
  float* expert_weights;
  uint32_t* activation_counts;
  uint32_t num_rows;
};
void LaunchRouterTopk(const RouterTopkLaunch& launch, cudaStream_t stream);

struct MoeLaunch {
  DType activations;
  const void* x;
  const int32_t* expert_ids;
  const float* expert_weights;
  const uint64_t* address_table;
  // Records at addresses in this range are slots; all others are read over the link.
  uint64_t slots_begin;
  uint64_t slots_end;
  ExpertLayout layout;
  uint32_t num_experts;
  uint32_t k;
  void* out;
  void* workspace;
  uint32_t num_rows;
};
void LaunchMoe(const MoeLaunch& launch, cudaStream_t stream);
uint64_t MoeCudaWorkspaceBytes(const ExpertLayout& layout, uint32_t num_rows, uint32_t k);

// Same bytes as SampleRow of kernels/api/kernels.h.
struct SampleRowView {
  float temperature;
  float top_p;
  float min_p;
  uint32_t top_k;
  float presence_penalty;
  float frequency_penalty;
  float repetition_penalty;
  uint32_t history_begin;
  uint32_t num_prompt;
  uint32_t num_generated;
  uint32_t bias_begin;
  uint32_t num_biases;
  uint64_t seed;
  uint64_t counter;
};
struct LogitBiasView {
  uint32_t token;
  float bias;
};

struct SampleLaunch {
  const float* logits;
  const SampleRowView* rows;
  const int32_t* history;
  const LogitBiasView* biases;
  int32_t* out_tokens;
  void* workspace;
  uint32_t num_rows;
  uint32_t vocab;
};
void LaunchSample(const SampleLaunch& launch, cudaStream_t stream);
uint64_t SampleCudaWorkspaceBytes(uint32_t num_rows, uint32_t vocab);

struct LogProbsLaunch {
  const float* logits;
  const int32_t* tokens;
  float* token_logprobs;
  int32_t* ranks;
  int32_t* top_ids;
  float* top_logprobs;
  uint32_t num_rows;
  uint32_t vocab;
  uint32_t top_n;
};
void LaunchLogProbs(const LogProbsLaunch& launch, cudaStream_t stream);

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_LAUNCH_H_
