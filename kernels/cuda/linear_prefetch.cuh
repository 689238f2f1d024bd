// Weights asked for before the rows that they multiply are there.
#ifndef KERNELS_CUDA_LINEAR_PREFETCH_CUH_
#define KERNELS_CUDA_LINEAR_PREFETCH_CUH_

#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {

// Blocks that may run at once; those behind them start when their rows are there.
inline constexpr uint32_t kPrefetchBlocks = 1024;

// By all warps of a block: the weights of the outputs first .. first + count - 1, which lie side by
// side. `row_bytes` is a multiple of 16.
__device__ __forceinline__ void PrefetchWeights(const void* weight, uint32_t first, uint32_t count,
                                                uint32_t outputs, uint32_t row_bytes) {
  if (blockIdx.x >= kPrefetchBlocks || blockIdx.y != 0 || threadIdx.x % kWarpLanes != 0) return;
  const uint32_t rows = (count + blockDim.x / kWarpLanes - 1) / (blockDim.x / kWarpLanes);
  const uint32_t begin = first + threadIdx.x / kWarpLanes * rows;
  const uint32_t end = min(min(begin + rows, first + count), outputs);
  if (begin >= end) return;
  PrefetchBytes(static_cast<const char*>(weight) + uint64_t{begin} * row_bytes,
                (end - begin) * row_bytes);
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_LINEAR_PREFETCH_CUH_
