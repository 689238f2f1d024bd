// Adds the partial outputs of the MoE kernel for few rows, weighted, in the order of CombineKernel
// in moe.cu. Its blocks are small enough to wait beside one that still multiplies, and ask for all
// that a thread adds at once.
#ifndef KERNELS_CUDA_MOE_COMBINE_FEW_CUH_
#define KERNELS_CUDA_MOE_COMBINE_FEW_CUH_

#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/moe_work.cuh"

namespace spearfish::kernels {

inline constexpr uint32_t kCombineFewColumns = 32;  // of a block: a warp's
inline constexpr uint32_t kCombineFewWarps = 8;     // each adds the units of a choice
inline constexpr uint32_t kCombineFewUnits = 16;    // on their way together
// Blocks a multiprocessor: holds registers to 64, so that one fits beside a block of
// MoeDecodeKernel of up to 88.
inline constexpr uint32_t kCombineFewBlocks = 4;

inline uint32_t CombineFewSharedBytes(uint32_t k) { return k * (kCombineFewColumns + 1) * 4; }

// The sum of a choice's units: in parts of kMoePartUnits, then the parts.
__device__ __forceinline__ float SumUnits(const float* from, uint32_t hidden, uint32_t units) {
  float total = 0;
  uint32_t unit = 0;
  for (; unit + kCombineFewUnits <= units; unit += kCombineFewUnits) {
    float values[kCombineFewUnits];
#pragma unroll
    for (uint32_t u = 0; u < kCombineFewUnits; ++u, from += hidden) values[u] = *from;
#pragma unroll
    for (uint32_t first = 0; first < kCombineFewUnits; first += kMoePartUnits) {
      float part = values[first];
#pragma unroll
      for (uint32_t u = 1; u < kMoePartUnits; ++u) part += values[first + u];
      total = unit + first == 0 ? part : total + part;
    }
  }
  for (; unit < units; unit += kMoePartUnits) {
    float part = *from;
    from += hidden;
    for (uint32_t u = 1; u < kMoePartUnits && unit + u < units; ++u, from += hidden) part += *from;
    total = unit == 0 ? part : total + part;
  }
  return total;
}

// out[row, n] = sum over i of weight[i] * (sum over units of the partial output).
template <typename A>
__global__ void __launch_bounds__(kCombineFewColumns* kCombineFewWarps, kCombineFewBlocks)
    CombineFewKernel(const __grid_constant__ MoeWork work, const float* weights, A* out) {
  extern __shared__ float sums[];  // [k][kCombineFewColumns], then [k]: the weights
  float* const row_weights = sums + work.k * kCombineFewColumns;
  const uint32_t hidden = work.layout.hidden;
  const uint32_t column = threadIdx.x;
  const uint32_t n = blockIdx.x * kCombineFewColumns + column;
  const uint64_t first_choice = uint64_t{blockIdx.y} * work.k;
  const uint64_t choice_floats = uint64_t{work.units} * hidden;
  const float* from = work.partials + (first_choice + threadIdx.y) * choice_floats + n;
  StartKernelAfter();
  if (threadIdx.x == 0 && threadIdx.y == 0) PrefetchLine(weights + first_choice);
  WaitForKernelsBefore();
  for (uint32_t i = threadIdx.y; i < work.k; i += kCombineFewWarps) {
    const float weight = column == 0 ? weights[first_choice + i] : 0.0f;
    sums[i * kCombineFewColumns + column] = SumUnits(from, hidden, work.units);
    if (column == 0) row_weights[i] = weight;
    from += kCombineFewWarps * choice_floats;
  }
  __syncthreads();
  if (threadIdx.y != 0) return;
  float total = 0;
#pragma unroll 8
  for (uint32_t i = 0; i < work.k; ++i) {
    total = fmaf(row_weights[i], sums[i * kCombineFewColumns + column], total);
  }
  out[uint64_t{blockIdx.y} * hidden + n] = Narrow<A>(total);
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_COMBINE_FEW_CUH_
