// The order of the tokens of a row (descending logit, then ascending id) as an integer, and its
// bounds over the blocks that share a row.
#ifndef KERNELS_CUDA_VOCAB_ORDER_CUH_
#define KERNELS_CUDA_VOCAB_ORDER_CUH_

#include "kernels/cuda/vocab_share.cuh"

namespace spearfish::kernels {

inline constexpr unsigned long long kNoToken = ~0ull;  // after every token

// Ascending as the float descends; -0 equals 0. Not for NaN.
__device__ __forceinline__ uint32_t DescendingKey(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return (bits >> 31) != 0 ? bits : ~(bits | 0x80000000u);
}

// Never 0.
__device__ __forceinline__ unsigned long long TokenOrder(float x, uint32_t id) {
  return static_cast<unsigned long long>(DescendingKey(x)) << 32 | id;
}

__device__ __forceinline__ float LogitOf(unsigned long long order) {
  const auto key = static_cast<uint32_t>(order >> 32);
  return __uint_as_float((key >> 31) != 0 ? key : ~(key | 0x80000000u));
}

__device__ __forceinline__ unsigned long long WarpMin(unsigned long long x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const unsigned long long other = __shfl_xor_sync(kFullWarp, x, step);
    x = other < x ? other : x;
  }
  return x;
}

template <uint32_t kCount>
struct ClusterMinMemory {
  unsigned long long warps[kCount][kVocabWarps];
  unsigned long long block[2][kCount];  // other ranks read it
  unsigned long long cluster[kCount];
};

// Each of the values becomes the least of all threads of all `ranks`. Called by all threads; `turn`
// (0 or 1) is not that of the call before, unless a ClusterSync was between them.
template <uint32_t kCount>
__device__ __forceinline__ void ClusterMin(unsigned long long (&values)[kCount], uint32_t ranks,
                                           uint32_t turn, ClusterMinMemory<kCount>& memory) {
  static_assert(kVocabWarps == kWarpLanes);
  const uint32_t lane = threadIdx.x % kWarpLanes;
  const uint32_t warp = threadIdx.x / kWarpLanes;
#pragma unroll
  for (uint32_t c = 0; c < kCount; ++c) {
    const unsigned long long least = WarpMin(values[c]);
    if (lane == 0) memory.warps[c][warp] = least;
  }
  __syncthreads();
  if (warp < kCount) {
    const unsigned long long least = WarpMin(memory.warps[warp][lane]);
    if (lane == 0) memory.block[turn][warp] = least;
  }
  ClusterSync();
  // Few readers: requests to other multiprocessors are slow.
  if (warp < kCount) {
    unsigned long long least = kNoToken;
    if (lane < ranks) least = *AtRank(&memory.block[turn][warp], lane);
    least = WarpMin(least);
    if (lane == 0) memory.cluster[warp] = least;
  }
  __syncthreads();
#pragma unroll
  for (uint32_t c = 0; c < kCount; ++c) values[c] = memory.cluster[c];
}

// The first and the last token in order; kNoToken and 0 where there is none.
struct OrderBounds {
  unsigned long long first;
  unsigned long long last;
};

// Over all shares, of the finite tokens for which takes(logit, id) holds; kInFlight of
// VocabShare::Walk. Between two calls goes a ClusterSync.
template <uint32_t kInFlight, typename Takes>
__device__ __forceinline__ OrderBounds FindBounds(const VocabShare& share, uint32_t ranks,
                                                  ClusterMinMemory<2>& memory, const Takes& takes) {
  float high = -INFINITY;
  float low = INFINITY;
  uint32_t high_id = 0;
  uint32_t low_id = 0;
  share.Walk<kInFlight>([&](float x, uint32_t id) {
    if (!isfinite(x) || !takes(x, id)) return;
    // Ids ascend: the first of equal ones stays, and the last.
    if (x > high) {
      high = x;
      high_id = id;
    }
    if (x <= low) {
      low = x;
      low_id = id;
    }
  });
  const bool any = high >= low;
  // The last is inverted to be the least too.
  unsigned long long bounds[2] = {any ? TokenOrder(high, high_id) : kNoToken,
                                  any ? ~TokenOrder(low, low_id) : ~0ull};
  ClusterMin(bounds, ranks, 0, memory);
  return {bounds[0], ~bounds[1]};
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_VOCAB_ORDER_CUH_
