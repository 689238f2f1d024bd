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
  // From a head's values to the next's: stores of 16 bytes by all lanes meet no bank twice.
  __host__ __device__ uint32_t value_stride() const { return head_dim + 8; }
  __host__ __device__ uint32_t rank_max() const {
    return warp_values() + kWarps * kGroup * value_stride();
  }
  __host__ __device__ uint32_t rank_sum() const { return rank_max() + ranks_here * kGroup; }
  __host__ __device__ uint32_t rank_values() const { return rank_sum() + ranks_here * kGroup; }
  __host__ __device__ uint32_t end() const {
    return rank_values() + ranks_here * kGroup * head_dim;
  }
};

// The row's place: which sequence it belongs to and how many keys it sees; none for padding. The
// first num_old of them were there before this step.
struct RowKeys {
  const int32_t* blocks;
  uint32_t num_keys;
  uint32_t num_old;
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
  if (sequence < 0) return {nullptr, 0, 0};
  const int32_t context = launch.context_lens[sequence];
  const int32_t last = launch.query_starts[sequence + 1];
  const int32_t keys = context - (last - 1 - at);
  const int32_t old = context - (last - launch.query_starts[sequence]);
  return {launch.block_tables + uint64_t(sequence) * launch.max_blocks,
          static_cast<uint32_t>(max(keys, 0)), static_cast<uint32_t>(max(old, 0))};
}

// The states of one rank's warps, as many as have chunks, become the rank's. A warp takes a head.
template <uint32_t kGroup>
__device__ void MergeWarps(const Layout<kGroup>& layout, float* memory, uint32_t slot,
                           uint32_t num_shares) {
  const uint32_t lane = threadIdx.x % kWarpLanes;
  for (uint32_t g = threadIdx.x / kWarpLanes; g < kGroup; g += kWarps) {
    float olds[kWarps];
    float parts[kWarps];
    float max = -INFINITY;
    float sum = 0;
#pragma unroll
    for (uint32_t w = 0; w < kWarps; ++w) {
      if (w >= num_shares) continue;
      const MergeStep step(max, memory[layout.warp_max() + w * kGroup + g]);
      olds[w] = step.old;
      parts[w] = step.part;
      sum = Merged(sum, step.old, memory[layout.warp_sum() + w * kGroup + g], step.part);
      max = step.max;
    }
    if (lane == 0) {
      memory[layout.rank_max() + slot * kGroup + g] = max;
      memory[layout.rank_sum() + slot * kGroup + g] = sum;
    }
    const float* from = memory + layout.warp_values() + g * layout.value_stride();
    float* to = memory + layout.rank_values() + (slot * kGroup + g) * layout.head_dim;
#pragma unroll 1
    for (uint32_t d = lane; d < layout.head_dim; d += kWarpLanes) {
      float value = 0;
#pragma unroll
      for (uint32_t w = 0; w < kWarps; ++w) {
        if (w >= num_shares) continue;
        value = Merged(value, olds[w], from[w * kGroup * layout.value_stride() + d], parts[w]);
      }
      to[d] = value;
    }
  }
}

// Element d of head g of the group's output, from all ranks that have chunks.
template <uint32_t kGroup>
__device__ float MergeRanks(const Layout<kGroup>& layout, float* memory, uint32_t num_ranks,
                            uint32_t g, uint32_t d) {
  float maxima[kClusterRanks];
  float sums[kClusterRanks];
  float values[kClusterRanks];
#pragma unroll
  for (uint32_t r = 0; r < kClusterRanks; ++r) {
    if (r >= num_ranks) continue;
    const uint32_t head = (layout.ranks_here == 1 ? 0 : r * kGroup) + g;
    float* there = layout.ranks_here == 1 ? AtRank(memory, r) : memory;
    maxima[r] = there[layout.rank_max() + head];
    sums[r] = there[layout.rank_sum() + head];
    values[r] = there[layout.rank_values() + head * layout.head_dim + d];
  }
  float max = -INFINITY;
  float sum = 0;
  float value = 0;
#pragma unroll
  for (uint32_t r = 0; r < kClusterRanks; ++r) {
    if (r >= num_ranks) continue;
    const MergeStep step(max, maxima[r]);
    sum = Merged(sum, step.old, sums[r], step.part);
    value = Merged(value, step.old, values[r], step.part);
    max = step.max;
  }
  return Finished(max, sum, value);
}

}  // namespace spearfish::kernels::attention

#endif  // KERNELS_CUDA_ATTENTION_MERGE_CUH_
