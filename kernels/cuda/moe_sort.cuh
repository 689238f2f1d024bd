// Choices in the order of their experts, and which items of work each expert has.
#ifndef KERNELS_CUDA_MOE_SORT_CUH_
#define KERNELS_CUDA_MOE_SORT_CUH_

#include "kernels/cuda/moe_grouped_plan.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {

struct MoeSortWork {
  const int32_t* expert_ids;
  const uint64_t* address_table;
  uint64_t slots_begin;  // addresses of slots; others are cold
  uint64_t slots_end;
  uint32_t num_pairs;
  uint32_t num_experts;
  uint32_t units;
  uint32_t strips_a_pass;
  // Written. An expert's choices are members[offsets[e]] .. members[offsets[e + 1] - 1], in any
  // order; its items are w13_items[e] .. w13_items[e + 1] - 1, likewise w2_items.
  int32_t* members;
  uint32_t* offsets;
  uint32_t* w13_items;
  uint32_t* w2_items;
  uint32_t* taken;  // zeros, kMoeGroupedLaunches
};

__device__ __forceinline__ bool IsColdRecord(uint64_t address, uint64_t begin, uint64_t end) {
  return address < begin || address >= end;
}

// The sum of `value` over the threads before this one; called by kMoeGroupedExperts threads.
// `shared` has a place for each warp. Ends with a __syncthreads.
__device__ inline uint32_t SumBefore(uint32_t value, uint32_t* shared) {
  const uint32_t lane = threadIdx.x % kWarpLanes;
  uint32_t sum = value;
#pragma unroll
  for (uint32_t step = 1; step < kWarpLanes; step *= 2) {
    const uint32_t other = __shfl_up_sync(kFullWarp, sum, step);
    if (lane >= step) sum += other;
  }
  if (lane == kWarpLanes - 1) shared[threadIdx.x / kWarpLanes] = sum;
  __syncthreads();
  uint32_t before = sum - value;
  for (uint32_t w = 0; w < threadIdx.x / kWarpLanes; ++w) before += shared[w];
  __syncthreads();
  return before;
}

// One block of kMoeGroupedExperts threads.
__global__ void __launch_bounds__(kMoeGroupedExperts, 1)
    SortByExpertKernel(const __grid_constant__ MoeSortWork work) {
  __shared__ uint32_t counts[kMoeGroupedExperts];
  __shared__ uint32_t sums[kWarpLanes];
  const uint32_t expert = threadIdx.x;
  counts[expert] = 0;
  if (threadIdx.x < kMoeGroupedLaunches) work.taken[threadIdx.x] = 0;
  __syncthreads();
  for (uint32_t p = threadIdx.x; p < work.num_pairs; p += kMoeGroupedExperts) {
    atomicAdd(&counts[work.expert_ids[p]], 1u);
  }
  __syncthreads();
  const uint32_t choices = counts[expert];
  uint32_t w13_items = 0;
  uint32_t w2_items = 0;
  if (choices > 0) {
    const bool is_cold = IsColdRecord(work.address_table[expert], work.slots_begin, work.slots_end);
    w13_items = MoeW13Shape(choices, work.units).items();
    w2_items = MoeW2Shape(choices, is_cold, work.strips_a_pass).items();
  }
  const uint32_t offset = SumBefore(choices, sums);
  const uint32_t w13_before = SumBefore(w13_items, sums);
  const uint32_t w2_before = SumBefore(w2_items, sums);
  if (expert < work.num_experts) {
    work.offsets[expert] = offset;
    work.w13_items[expert] = w13_before;
    work.w2_items[expert] = w2_before;
  }
  if (expert + 1 == work.num_experts) {
    work.offsets[expert + 1] = offset + choices;
    work.w13_items[expert + 1] = w13_before + w13_items;
    work.w2_items[expert + 1] = w2_before + w2_items;
  }
  counts[expert] = offset;  // from here on where the next choice goes
  __syncthreads();
  for (uint32_t p = threadIdx.x; p < work.num_pairs; p += kMoeGroupedExperts) {
    work.members[atomicAdd(&counts[work.expert_ids[p]], 1u)] = static_cast<int32_t>(p);
  }
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_SORT_CUH_
