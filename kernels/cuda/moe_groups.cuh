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

// The same groups, found by one warp in registers: lane p looks after choice p, so there are at
// most 32 choices. Every call is by the whole warp.
class WarpGroups {
 public:
  __device__ WarpGroups(int32_t expert, uint32_t num_pairs, uint32_t max_tokens)
      : lane_(threadIdx.x % 32), max_tokens_(max_tokens), is_choice_(lane_ < num_pairs) {
    const uint32_t before = (1u << lane_) - 1;
    const uint32_t same = __match_any_sync(kAll, is_choice_ ? expert : -1);
    const uint32_t rank = __popc(same & before);
    place_ = rank & (max_tokens - 1);
    firsts_ = __ballot_sync(kAll, is_choice_ && place_ == 0);
    // The group's first choice is the last first of the expert up to this one.
    const uint32_t firsts_here = firsts_ & same & (before | 1u << lane_);
    const uint32_t first = is_choice_ ? 31 - __clz(static_cast<int>(firsts_here)) : 0;
    group_ = __popc(firsts_ & ((1u << first) - 1));
  }

  __device__ uint32_t size() const { return __popc(firsts_); }

  // The lane of a group's first choice.
  __device__ uint32_t FirstOf(uint32_t group) const {
    return __ffs(static_cast<int>(
               __ballot_sync(kAll, is_choice_ && place_ == 0 && group_ == group))) -
           1;
  }

  // As FindGroups leaves them.
  __device__ void Store(int32_t* members, uint32_t* num_groups) const {
    for (uint32_t i = lane_; i < size() * max_tokens_; i += 32) members[i] = -1;
    __syncwarp();
    if (is_choice_) members[group_ * max_tokens_ + place_] = static_cast<int32_t>(lane_);
    if (lane_ == 0) *num_groups = size();
    __syncwarp();
  }

 private:
  static constexpr uint32_t kAll = 0xffffffffu;

  const uint32_t lane_;
  const uint32_t max_tokens_;
  const bool is_choice_;
  uint32_t place_;  // in the group
  uint32_t group_;
  uint32_t firsts_;  // a bit a choice
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_GROUPS_CUH_
