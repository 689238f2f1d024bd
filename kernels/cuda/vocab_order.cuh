// The order of the tokens of a row (descending logit, then ascending id) as an integer, and block
// reductions over it.
#ifndef KERNELS_CUDA_VOCAB_ORDER_CUH_
#define KERNELS_CUDA_VOCAB_ORDER_CUH_

#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {

inline constexpr uint32_t kVocabThreads = 1024;
inline constexpr uint32_t kVocabWarps = kVocabThreads / kWarpLanes;
inline constexpr unsigned long long kNoToken = ~0ull;

// Ascending as the float descends; -0 equals 0. Not for NaN.
__device__ __forceinline__ uint32_t DescendingKey(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return (bits >> 31) != 0 ? bits : ~(bits | 0x80000000u);
}

__device__ __forceinline__ unsigned long long TokenOrder(float x, uint32_t id) {
  return static_cast<unsigned long long>(DescendingKey(x)) << 32 | id;
}

// Every thread gets the least of the block's values. `shared` holds one a warp.
__device__ __forceinline__ unsigned long long BlockMin(unsigned long long x,
                                                       unsigned long long* shared) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const unsigned long long other = __shfl_xor_sync(kFullWarp, x, step);
    x = other < x ? other : x;
  }
  __syncthreads();
  if (threadIdx.x % kWarpLanes == 0) shared[threadIdx.x / kWarpLanes] = x;
  __syncthreads();
  x = shared[0];
  for (uint32_t w = 1; w < blockDim.x / kWarpLanes; ++w) x = shared[w] < x ? shared[w] : x;
  return x;
}

// The first token in order with a finite logit, or kNoToken.
__device__ __forceinline__ unsigned long long FirstFinite(const float* logits, uint32_t vocab,
                                                          unsigned long long* shared) {
  unsigned long long best = kNoToken;
  for (uint32_t i = threadIdx.x; i < vocab; i += blockDim.x) {
    const float x = logits[i];
    if (!isfinite(x)) continue;
    const unsigned long long order = TokenOrder(x, i);
    best = order < best ? order : best;
  }
  return BlockMin(best, shared);
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_VOCAB_ORDER_CUH_
