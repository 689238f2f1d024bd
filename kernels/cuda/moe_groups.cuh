// Which choices (row, i) of a call share an expert.
#ifndef KERNELS_CUDA_MOE_GROUPS_CUH_
#define KERNELS_CUDA_MOE_GROUPS_CUH_

#include <cuda_runtime.h>

#include <cstdint>

namespace spearfish::kernels {

// A block finds the groups of `num_pairs` choices: members[group * max_tokens + i] is the index of
// the choice, -1 behind the last. Groups are numbered by their first member, and members ascend.
// All threads call it; `is_first` holds num_pairs bytes of scratch. Writes the number of groups.
// Ends with a __syncthreads.
__device__ inline void FindGroups(const int32_t* expert_ids, uint32_t num_pairs,
                                  uint32_t max_tokens, uint8_t* is_first, int32_t* members,
                                  uint32_t* num_groups) {
  if (threadIdx.x == 0) *num_groups = 0;
  for (uint32_t i = threadIdx.x; i < num_pairs * max_tokens; i += blockDim.x) members[i] = -1;
  for (uint32_t p = threadIdx.x; p < num_pairs; p += blockDim.x) {
    uint32_t rank = 0;
#pragma unroll 8
    for (uint32_t q = 0; q < p; ++q) rank += expert_ids[q] == expert_ids[p] ? 1 : 0;
    is_first[p] = rank % max_tokens == 0 ? 1 : 0;
  }
  __syncthreads();
  for (uint32_t p = threadIdx.x; p < num_pairs; p += blockDim.x) {
    if (is_first[p] == 0) continue;
    atomicAdd(num_groups, 1u);
    uint32_t group = 0;
#pragma unroll 8
    for (uint32_t q = 0; q < p; ++q) group += is_first[q];
    uint32_t count = 0;
    for (uint32_t q = p; q < num_pairs && count < max_tokens; ++q) {
      if (expert_ids[q] == expert_ids[p]) members[group * max_tokens + count++] = q;
    }
  }
  __syncthreads();
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_GROUPS_CUH_
