// Kernels that start while the one before them in their stream still runs (sm_90 and later), so
// that what they do before they need its results costs nothing. Elsewhere they start after it.
#ifndef KERNELS_CUDA_DEPENDENT_LAUNCH_CUH_
#define KERNELS_CUDA_DEPENDENT_LAUNCH_CUH_

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/cluster.cuh"
#include "kernels/cuda/cuda_check.h"

namespace spearfish::kernels {

// A kernel that is launched by LaunchDependent. Every thread calls WaitForKernelsBefore before it
// reads what an earlier kernel may write or writes what one may read; because all threads do, the
// end of this kernel still means the end of all before it. StartKernelAfter lets the next one start
// as soon as every block has called it and there is room.
__device__ __forceinline__ void WaitForKernelsBefore() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void StartKernelAfter() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Asks for the cache line of an address. No more than a hint, so it may go before the wait.
__device__ __forceinline__ void PrefetchLine(const void* address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(address)));
}

struct LaunchShape {
  dim3 grid;
  dim3 block;
  uint32_t shared_bytes;
};

// `starts_early`: may start before the kernel before it ends.
template <typename... Parameters>
void LaunchDependent(void (*kernel)(Parameters...), const LaunchShape& shape, bool starts_early,
                     cudaStream_t stream, Parameters... arguments) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = starts_early && DeviceHasClusters() ? 1 : 0;
  SF_CUDA(cudaLaunchKernelEx(&config, kernel, arguments...));
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_DEPENDENT_LAUNCH_CUH_
