// The steps of attention between its products, rounded the same wherever they are compiled, and how
// a row's keys are split: kernels that take one row or many must give a row the same bits.
#ifndef KERNELS_CUDA_ATTENTION_SOFTMAX_CUH_
#define KERNELS_CUDA_ATTENTION_SOFTMAX_CUH_

#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels::attention {

inline constexpr uint32_t kWarps = 8;
inline constexpr uint32_t kThreads = kWarps * kWarpLanes;
inline constexpr uint32_t kChunkKeys = 32;

// Keys come in chunks of 32. A row's chunks are cut into ranks that follow each other, of eight
// warps' shares each, a chunk a share, and more only where there would be more than kMostRanks. A
// share has a running softmax; the shares of a rank are merged in order, then the ranks. Whoever
// walks over all chunks in order can do all of it on the way.
struct RowSplit {
  // More would keep a lone row of a long context on more multiprocessors, but each has its own
  // start.
  static constexpr uint32_t kMostRanks = 16;

  uint32_t chunks;
  uint32_t warp_chunks;  // of a share
  uint32_t rank_chunks;

  __host__ __device__ explicit RowSplit(uint32_t num_keys)
      : chunks((num_keys + kChunkKeys - 1) / kChunkKeys), warp_chunks(1) {
    while (warp_chunks * kWarps * kMostRanks < chunks) warp_chunks *= 2;
    rank_chunks = warp_chunks * kWarps;
  }

  // Chunks first .. end of a warp's share; none where first >= end.
  struct Share {
    uint32_t first;
    uint32_t end;
  };
  __host__ __device__ Share Of(uint32_t rank, uint32_t warp) const {
    const uint32_t first = rank * rank_chunks + warp * warp_chunks;
    return {first, Least(first + warp_chunks, chunks)};
  }
  __host__ __device__ uint32_t num_ranks() const {
    return (chunks + rank_chunks - 1) / rank_chunks;
  }
  // Shares of a rank that have chunks.
  __host__ __device__ uint32_t num_shares(uint32_t rank) const {
    const uint32_t first = rank * rank_chunks;
    if (first >= chunks) return 0;
    return (Least(rank_chunks, chunks - first) + warp_chunks - 1) / warp_chunks;
  }
  // The most ranks that a row of at most `num_keys` keys can have.
  __host__ __device__ static uint32_t MostRanks(uint32_t num_keys) {
    const uint32_t ranks = (num_keys + kChunkKeys * kWarps - 1) / (kChunkKeys * kWarps);
    return Least(ranks, kMostRanks);
  }

 private:
  __host__ __device__ static uint32_t Least(uint32_t a, uint32_t b) { return a < b ? a : b; }
};

// exp(x - max), 0 where nothing was seen. By the multiprocessor's own power of two: few
// instructions where expf has a dozen, and by CUDA's documentation off by 2 units in the last place
// and 1.16 more for every one of x - max, while the weight falls e-fold.
__device__ __forceinline__ float Rescale(float x, float max) {
  return x == -INFINITY ? 0.0f : __expf(__fsub_rn(x, max));
}

// What merging a part into what was merged before does to either.
struct MergeStep {
  float max;
  float old;   // factor of what was there
  float part;  // of the part
  __device__ __forceinline__ MergeStep(float old_max, float part_max)
      : max(fmaxf(old_max, part_max)), old(Rescale(old_max, max)), part(Rescale(part_max, max)) {}
};
__device__ __forceinline__ float Merged(float value, float old, float part_value, float part) {
  return fmaf(part_value, part, __fmul_rn(value, old));
}
__device__ __forceinline__ float Finished(float max, float sum, float value) {
  return max == -INFINITY ? 0.0f : __fdiv_rn(value, sum);
}

// One row of a tile of scores, of which the lane has elements kFirst, kFirst + 1 (keys 2t, 2t + 1)
// of each eight keys; the first `count` keys count. They become weights; the running maximum and
// sum take them in. Returns the factor of what was summed before. The four lanes of a row call it.
template <uint32_t kFirst, uint32_t kEights>
__device__ __forceinline__ float SoftmaxRow(float scale, uint32_t count,
                                            float (&scores)[kEights][4], float& row_max,
                                            float& row_sum) {
  const uint32_t t = threadIdx.x % 4;
  float max = row_max;
#pragma unroll
  for (uint32_t n = 0; n < kEights; ++n) {
#pragma unroll
    for (uint32_t c = 0; c < 2; ++c) {
      float& score = scores[n][kFirst + c];
      score = n * 8 + 2 * t + c < count ? __fmul_rn(score, scale) : -INFINITY;
      max = fmaxf(max, score);
    }
  }
  max = fmaxf(max, __shfl_xor_sync(kFullWarp, max, 1));
  max = fmaxf(max, __shfl_xor_sync(kFullWarp, max, 2));
  const float old = Rescale(row_max, max);
  float sum = 0;
#pragma unroll
  for (uint32_t n = 0; n < kEights; ++n) {
#pragma unroll
    for (uint32_t c = 0; c < 2; ++c) {
      float& score = scores[n][kFirst + c];
      score = Rescale(score, max);
      sum = __fadd_rn(sum, score);
    }
  }
  sum = __fadd_rn(sum, __shfl_xor_sync(kFullWarp, sum, 1));
  sum = __fadd_rn(sum, __shfl_xor_sync(kFullWarp, sum, 2));
  row_sum = fmaf(row_sum, old, sum);
  row_max = max;
  return old;
}

// Two weights rounded to bfloat16, and what is left of them.
struct SplitWeights {
  uint32_t high;
  uint32_t low;
  __device__ __forceinline__ SplitWeights(float first, float second) {
    const __nv_bfloat162 rounded = __floats2bfloat162_rn(first, second);
    const __nv_bfloat162 rest = __floats2bfloat162_rn(__fsub_rn(first, __low2float(rounded)),
                                                      __fsub_rn(second, __high2float(rounded)));
    memcpy(&high, &rounded, sizeof(high));
    memcpy(&low, &rest, sizeof(low));
  }
};

// Element j of two keys' eight values, as an operand.
__device__ __forceinline__ uint32_t ValuePair(const uint4& a, const uint4& b, uint32_t j) {
  const uint32_t x = j < 2 ? a.x : j < 4 ? a.y : j < 6 ? a.z : a.w;
  const uint32_t y = j < 2 ? b.x : j < 4 ? b.y : j < 6 ? b.z : b.w;
  return __byte_perm(x, y, j % 2 == 0 ? 0x5410 : 0x7632);
}

}  // namespace spearfish::kernels::attention

#endif  // KERNELS_CUDA_ATTENTION_SOFTMAX_CUH_
