// How the warps and blocks that share a row of attention find it and put their results together.
#ifndef KERNELS_CUDA_ATTENTION_MERGE_CUH_
#define KERNELS_CUDA_ATTENTION_MERGE_CUH_

#include "kernels/cuda/attention_softmax.cuh"
#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels::attention {

// Where in shared memory what lies, in floats.
template <uint32_t kGroup>
struct Layout {
  uint32_t head_dim;

  __host__ __device__ uint32_t q() const { return 0; }
  __host__ __device__ uint32_t weights() const { return q() + kGroup * head_dim; }
  __host__ __device__ uint32_t warp_max() const { return weights() + kWarps * kGroup * 32; }
  __host__ __device__ uint32_t warp_sum() const { return warp_max() + kWarps * kGroup; }
  __host__ __device__ uint32_t warp_values() const { return warp_sum() + kWarps * kGroup; }
  // From a head's values to the next's: stores of 16 bytes by all lanes meet no bank twice.
  __host__ __device__ uint32_t value_stride() const { return head_dim + 8; }
  __host__ __device__ uint32_t end() const {
    return warp_values() + kWarps * kGroup * value_stride();
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

// What a block does: one rank of up to kGroup query heads of a kv head and row. Blocks lie along
// x by row, y by heads, z by rank.
template <uint32_t kGroup>
struct BlockShare {
  uint32_t row;
  uint32_t kv_head;
  uint32_t heads;
  uint64_t at;  // element of q and out

  __device__ explicit BlockShare(const AttentionLaunch& launch)
      : row(FindLoneRow(launch, launch.first_lone + blockIdx.x)) {
    const uint32_t group = launch.num_heads / launch.kv.num_kv_heads;
    const uint32_t parts = (group + kGroup - 1) / kGroup;
    kv_head = blockIdx.y / parts;
    const uint32_t first = blockIdx.y % parts * kGroup;  // of the kv head's query heads
    heads = min(kGroup, group - first);
    at =
        (uint64_t{row} * launch.num_heads + kv_head * group + first) * uint64_t{launch.kv.head_dim};
  }
};

// A rank's result in the workspace, where its row has several: [kGroup] maxima, [kGroup] sums,
// [kGroup, head_dim] values.
template <uint32_t kGroup>
__host__ __device__ constexpr uint64_t PartialFloats(uint32_t head_dim) {
  return uint64_t{kGroup} * (head_dim + 2);
}
// Of the block's row and heads.
template <uint32_t kGroup>
__device__ float* Partial(const AttentionLaunch& launch, uint32_t rank) {
  const uint64_t index = (uint64_t{blockIdx.x} * gridDim.y + blockIdx.y) * launch.most_ranks + rank;
  return static_cast<float*>(launch.workspace) + index * PartialFloats<kGroup>(launch.kv.head_dim);
}

// The states of the rank's warps, as many as have chunks, become the rank's, which is the output
// where the row has no other. A warp takes a head.
template <typename A, uint32_t kGroup>
__device__ void MergeWarps(const AttentionLaunch& launch, const BlockShare<kGroup>& share,
                           const RowSplit& split, const float* memory) {
  const uint32_t head_dim = launch.kv.head_dim;
  const Layout<kGroup> layout = {head_dim};
  const uint32_t rank = blockIdx.z;
  const uint32_t num_shares = split.num_shares(rank);
  const bool is_whole = split.num_ranks() <= 1;
  float* const partial = is_whole ? nullptr : Partial<kGroup>(launch, rank);
  const uint32_t lane = threadIdx.x % kWarpLanes;
  for (uint32_t g = threadIdx.x / kWarpLanes; g < share.heads; g += kWarps) {
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
    if (!is_whole && lane == 0) {
      partial[g] = max;
      partial[kGroup + g] = sum;
    }
    const float* from = memory + layout.warp_values() + g * layout.value_stride();
    A* const out = static_cast<A*>(launch.out) + share.at + g * head_dim;
#pragma unroll 1
    for (uint32_t d = lane; d < head_dim; d += kWarpLanes) {
      float value = 0;
#pragma unroll
      for (uint32_t w = 0; w < kWarps; ++w) {
        if (w >= num_shares) continue;
        value = Merged(value, olds[w], from[w * kGroup * layout.value_stride() + d], parts[w]);
      }
      if (is_whole) {
        out[d] = Narrow<A>(Finished(max, sum, value));
      } else {
        partial[2 * kGroup + g * head_dim + d] = value;
      }
    }
  }
}

// The output of rows that have several ranks. A warp takes 32 values of a head.
inline constexpr uint32_t kMergeThreads = 1024;

template <typename A, uint32_t kGroup>
__global__ void __launch_bounds__(kMergeThreads) MergeRanksKernel(AttentionLaunch launch) {
  StartKernelAfter();
  const BlockShare<kGroup> share(launch);
  if (share.row == kNoRow) return WaitForKernelsBefore();
  const uint32_t num_ranks = RowSplit(FindRow(launch, share.row).num_keys).num_ranks();
  WaitForKernelsBefore();
  if (num_ranks <= 1) return;
  const uint32_t head_dim = launch.kv.head_dim;
  const uint32_t pieces = (head_dim + kWarpLanes - 1) / kWarpLanes;
  const float* const first = Partial<kGroup>(launch, 0);
  for (uint32_t i = threadIdx.x / kWarpLanes; i < share.heads * pieces;
       i += kMergeThreads / kWarpLanes) {
    const uint32_t g = i / pieces;
    const uint32_t d = i % pieces * kWarpLanes + threadIdx.x % kWarpLanes;
    if (d >= head_dim) continue;
    const float* from = first;
    float max = -INFINITY;
    float sum = 0;
    float value = 0;
#pragma unroll 8
    for (uint32_t r = 0; r < num_ranks; ++r) {
      const MergeStep step(max, from[g]);
      sum = Merged(sum, step.old, from[kGroup + g], step.part);
      value = Merged(value, step.old, from[2 * kGroup + g * head_dim + d], step.part);
      max = step.max;
      from += PartialFloats<kGroup>(head_dim);
    }
    static_cast<A*>(launch.out)[share.at + g * head_dim + d] = Narrow<A>(Finished(max, sum, value));
  }
}

}  // namespace spearfish::kernels::attention

#endif  // KERNELS_CUDA_ATTENTION_MERGE_CUH_
