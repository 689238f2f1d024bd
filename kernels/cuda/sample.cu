// Sample: a block for each row. Greedy rows without penalties read the logits once; the others copy
// them to the workspace, adjust the copy, and draw (token_draw.cuh).
#include "kernels/api/philox.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/token_draw.cuh"
#include "kernels/cuda/vocab_order.cuh"

namespace spearfish::kernels {
namespace {

// A token's count: occurrences among the generated, and a bit for having been seen at all.
constexpr uint32_t kSeen = 1u << 31;

// One row's part of the workspace: adjusted logits [vocab] F32, then counts [vocab].
__host__ __device__ constexpr uint64_t ArrayBytes(uint32_t vocab) {
  return (uint64_t{vocab} * 4 + 63) / 64 * 64;
}

__device__ __forceinline__ float FiniteOrBanned(float x) { return isfinite(x) ? x : -INFINITY; }

__device__ bool HasPenalties(const SampleRowView& row) {
  return (row.presence_penalty != 0.0f || row.frequency_penalty != 0.0f ||
          row.repetition_penalty != 1.0f) &&
         (row.num_prompt != 0 || row.num_generated != 0);
}

__device__ float Penalized(float logit, const SampleRowView& row, uint32_t num_generated) {
  if (row.repetition_penalty != 1.0f) {
    logit = logit > 0.0f ? logit / row.repetition_penalty : logit * row.repetition_penalty;
  }
  if (num_generated > 0) {
    logit = __fsub_rn(logit, __fmul_rn(row.frequency_penalty, static_cast<float>(num_generated)));
    logit -= row.presence_penalty;
  }
  return FiniteOrBanned(logit);
}

// Three walks over the history: clear, count, and apply once a token, by whoever takes its count.
__device__ void ApplyPenalties(const SampleLaunch& launch, const SampleRowView& row, float* logits,
                               uint32_t* counts) {
  const int32_t* history = launch.history + row.history_begin;
  const uint32_t length = row.num_prompt + row.num_generated;
  for (uint32_t i = threadIdx.x; i < length; i += kVocabThreads) {
    const auto token = static_cast<uint32_t>(history[i]);
    if (token < launch.vocab) counts[token] = kSeen;
  }
  __syncthreads();
  for (uint32_t i = row.num_prompt + threadIdx.x; i < length; i += kVocabThreads) {
    const auto token = static_cast<uint32_t>(history[i]);
    if (token < launch.vocab) atomicAdd(&counts[token], 1u);
  }
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < length; i += kVocabThreads) {
    const auto token = static_cast<uint32_t>(history[i]);
    if (token >= launch.vocab) continue;
    const uint32_t count = atomicExch(&counts[token], 0u);
    if (count != 0) logits[token] = Penalized(logits[token], row, count & ~kSeen);
  }
  __syncthreads();
}

__device__ void ApplyBiases(const SampleLaunch& launch, const SampleRowView& row, float* logits) {
  if (threadIdx.x == 0) {
    for (uint32_t i = 0; i < row.num_biases; ++i) {
      const LogitBiasView bias = launch.biases[row.bias_begin + i];
      if (bias.token >= launch.vocab) continue;
      logits[bias.token] = FiniteOrBanned(logits[bias.token] + bias.bias);
    }
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kVocabThreads) SampleKernel(const SampleLaunch launch) {
  __shared__ TokenDraw::Memory memory;
  __shared__ unsigned long long orders[kVocabWarps];
  const SampleRowView row = launch.rows[blockIdx.x];
  const uint32_t vocab = launch.vocab;
  const float* raw = launch.logits + uint64_t{blockIdx.x} * vocab;
  const bool greedy = !(row.temperature > 0.0f);
  const bool penalties = HasPenalties(row);
  const float* logits = raw;
  if (!greedy || penalties || row.num_biases != 0) {
    char* part = static_cast<char*>(launch.workspace) + blockIdx.x * 2 * ArrayBytes(vocab);
    auto* adjusted = reinterpret_cast<float*>(part);
    for (uint32_t i = threadIdx.x; i < vocab; i += kVocabThreads) {
      adjusted[i] = FiniteOrBanned(raw[i]);
    }
    __syncthreads();
    if (penalties) {
      ApplyPenalties(launch, row, adjusted, reinterpret_cast<uint32_t*>(part + ArrayBytes(vocab)));
    }
    ApplyBiases(launch, row, adjusted);
    logits = adjusted;
  }
  const unsigned long long first = FirstFinite(logits, vocab, orders);
  uint32_t token = first == kNoToken ? 0 : static_cast<uint32_t>(first);
  if (!greedy && first != kNoToken) {
    TokenDraw draw(logits, vocab, logits[token], row.temperature, memory);
    token = draw.Draw(row, UniformDouble(row.seed, row.counter));
  }
  if (threadIdx.x == 0) launch.out_tokens[blockIdx.x] = static_cast<int32_t>(token);
}

}  // namespace

uint64_t SampleCudaWorkspaceBytes(uint32_t num_rows, uint32_t vocab) {
  return num_rows * 2 * ArrayBytes(vocab);
}

void LaunchSample(const SampleLaunch& launch, cudaStream_t stream) {
  SampleKernel<<<launch.num_rows, kVocabThreads, 0, stream>>>(launch);
  SF_CUDA(cudaGetLastError());
}

}  // namespace spearfish::kernels
