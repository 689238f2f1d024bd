// Clusters of blocks where the device has them (sm_90 and later). A kernel that wants kClusterRanks
// blocks side by side runs as one block that plays all ranks elsewhere; its arithmetic must not
// tell the two apart.
#ifndef KERNELS_CUDA_CLUSTER_CUH_
#define KERNELS_CUDA_CLUSTER_CUH_

#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/dependent_launch.cuh"
#include "kernels/cuda/device_attribute.h"

namespace spearfish::kernels {

inline constexpr uint32_t kClusterRanks = 8;

// Waits for all blocks of the cluster, their shared memory included.
__device__ __forceinline__ void ClusterSync() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cooperative_groups::this_cluster().sync();
#else
  __syncthreads();
#endif
}

// The same variable in the shared memory of another rank.
template <typename T>
__device__ __forceinline__ T* AtRank(T* pointer, uint32_t rank) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  return cooperative_groups::this_cluster().map_shared_rank(pointer, rank);
#else
  return pointer;
#endif
}

// Launches `kernel` on grid * ranks blocks along x, in clusters of `ranks` (1: without). It may
// start before the kernels before it have ended (dependent_launch.cuh).
template <typename Args>
void LaunchRanks(void (*kernel)(Args, uint32_t), const Args& args, dim3 grid, uint32_t threads,
                 uint32_t shared_bytes, uint32_t ranks, cudaStream_t stream) {
  SF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)));
  const LaunchShape shape = {dim3(grid.x * ranks, grid.y, grid.z), dim3(threads), shared_bytes,
                             ranks};
  LaunchDependent(kernel, shape, stream, args, ranks);
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_CLUSTER_CUH_
