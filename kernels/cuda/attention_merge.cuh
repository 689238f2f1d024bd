// How the warps and blocks that share a row of attention find it and put their results together.
#ifndef KERNELS_CUDA_ATTENTION_MERGE_CUH_
#define KERNELS_CUDA_ATTENTION_MERGE_CUH_

#include "kernels/cuda/attention_softmax.cuh"
#include "kernels/cuda/cluster.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels::attention {

// Where in shared memory what lies, in floats. The ranks' results are an array because one block
// plays all ranks on devices without clusters.
template <uint32_t kGroup>
struct Layout {
  uint32_t head_dim;
  uint32_t ranks_here;

  __host__ __device__ uint32_t q() const { return 0; }
  __host__ __device__ uint32_t weights() const { return q() + kGroup * head_dim; }
  __host__ __device__ uint32_t warp_max() const { return weights() + kWarps * kGroup * 32; }
  __host__ __device__ uint32_t warp_sum() const { return warp_max() + kWarps * kGroup; }
  __host__ __device__ uint32_t warp_values() const { return warp_sum() + kWarps * kGroup; }
  __host__ __device__ uint32_t rank_max() const {
    return warp_values() + kWarps * kGroup * head_dim;
  }
  __host__ __device__ uint32_t rank_sum() const { return rank_max() + ranks_here * kGroup; }
  __host__ __device__ uint32_t rank_values() const { return rank_sum() + ranks_here * kGroup; }
  __host__ __device__ uint32_t end() const {
    return rank_values() + ranks_here * kGroup * head_dim;
  }
};

// The row's place: which sequence it belongs to and how many keys it sees; none for padding.
struct RowKeys {
  const int32_t* blocks;
  uint32_t num_keys;
};

inline constexpr uint32_t kNoRow = ~0u;

// The row of the index-th query of those sequences that are too short to share keys; kNoRow behind
// the last.
__device__ inline uint32_t FindLoneRow(const AttentionLaunch& launch, uint32_t index) {
  if (launch.share_from == 0) return index;
  __shared__ uint32_t row;
  if (threadIdx.x == 0) {
    row = kNoRow;
    for (uint32_t s = 0; s < launch.num_seqs; ++s) {
      const auto begin = static_cast<uint32_t>(launch.query_starts[s]);
      const uint32_t queries = static_cast<uint32_t>(launch.query_starts[s + 1]) - begin;
      if (queries >= launch.share_from) continue;
      if (index < queries) {
        row = begin + index;
        break;
      }
      index -= queries;
    }
  }
  __syncthreads();
  return row;
}

__device__ inline RowKeys FindRow(const AttentionLaunch& launch, uint32_t row) {
  __shared__ int32_t sequence;
  if (threadIdx.x == 0) sequence = -1;
  __syncthreads();
  const auto at = static_cast<int32_t>(row);
  for (uint32_t s = threadIdx.x; s < launch.num_seqs; s += kThreads) {
    if (launch.query_starts[s] <= at && at < launch.query_starts[s + 1]) {
      sequence = static_cast<int32_t>(s);
    }
  }
  __syncthreads();
  if (sequence < 0) return {nullptr, 0};
  const int32_t last = launch.query_starts[sequence + 1];
  const int32_t keys = launch.context_lens[sequence] - (last - 1 - at);
  return {launch.block_tables + uint64_t(sequence) * launch.max_blocks,
          keys > 0 ? static_cast<uint32_t>(keys) : 0};
}

// The states of one rank's warps, as many as have chunks, become the rank's.
template <uint32_t kGroup>
__device__ void MergeWarps(const Layout<kGroup>& layout, float* memory, uint32_t slot,
                           uint32_t num_shares) {
  const uint32_t head_dim = layout.head_dim;
  const float* maxima = memory + layout.warp_max();
  const float* sums = memory + layout.warp_sum();
  const float* values = memory + layout.warp_values();
  float* olds = memory + layout.weights();  // the weights have been used
  float* parts = olds + kWarps * kGroup;
  if (threadIdx.x < kGroup) {
    const uint32_t g = threadIdx.x;
    float max = -INFINITY;
    float sum = 0;
    for (uint32_t w = 0; w < num_shares; ++w) {
      const MergeStep step(max, maxima[w * kGroup + g]);
      olds[w * kGroup + g] = step.old;
      parts[w * kGroup + g] = step.part;
      sum = Merged(sum, step.old, sums[w * kGroup + g], step.part);
      max = step.max;
    }
    memory[layout.rank_max() + slot * kGroup + g] = max;
    memory[layout.rank_sum() + slot * kGroup + g] = sum;
  }
  __syncthreads();
  for (uint32_t e = threadIdx.x; e < kGroup * head_dim; e += kThreads) {
    const uint32_t g = e / head_dim;
    float value = 0;
#pragma unroll
    for (uint32_t w = 0; w < kWarps; ++w) {
      if (w < num_shares) {
        value = Merged(value, olds[w * kGroup + g], values[w * kGroup * head_dim + e],
                       parts[w * kGroup + g]);
      }
    }
    memory[layout.rank_values() + slot * kGroup * head_dim + e] = value;
  }
}

// Element e of the group's output, from all ranks that have chunks.
template <uint32_t kGroup>
__device__ float MergeRanks(const Layout<kGroup>& layout, float* memory, uint32_t num_ranks,
                            uint32_t e) {
  const uint32_t head_dim = layout.head_dim;
  const uint32_t g = e / head_dim;
  float maxima[kClusterRanks];
  float sums[kClusterRanks];
  float values[kClusterRanks];
#pragma unroll
  for (uint32_t r = 0; r < kClusterRanks; ++r) {
    if (r >= num_ranks) break;
    const uint32_t slot = layout.ranks_here == 1 ? 0 : r;
    float* there = layout.ranks_here == 1 ? AtRank(memory, r) : memory;
    maxima[r] = there[layout.rank_max() + slot * kGroup + g];
    sums[r] = there[layout.rank_sum() + slot * kGroup + g];
    values[r] = there[layout.rank_values() + slot * kGroup * head_dim + e];
  }
  float max = -INFINITY;
  float sum = 0;
  float value = 0;
#pragma unroll
  for (uint32_t r = 0; r < kClusterRanks; ++r) {
    if (r >= num_ranks) break;
    const MergeStep step(max, maxima[r]);
    sum = Merged(sum, step.old, sums[r], step.part);
    value = Merged(value, step.old, values[r], step.part);
    max = step.max;
  }
  return Finished(max, sum, value);
}

}  // namespace spearfish::kernels::attention

#endif  // KERNELS_CUDA_ATTENTION_MERGE_CUH_
