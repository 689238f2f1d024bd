// Kernels that start while the one before them in their stream still runs (sm_90 and later), so
// that what they do before they need its results costs nothing. Elsewhere they start after it.
#ifndef KERNELS_CUDA_DEPENDENT_LAUNCH_CUH_
#define KERNELS_CUDA_DEPENDENT_LAUNCH_CUH_

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/device_attribute.h"

namespace spearfish::kernels {

// A kernel that is launched by LaunchDependent. Every thread that does not leave at once calls
// WaitForKernelsBefore before it reads what an earlier kernel may write or writes what one may
// read; because each kernel waits so, its end still means the end of all before it. What no kernel
// writes may be read before: weights, and what was copied to the device before the first kernel
// (the inputs of a step). StartKernelAfter lets the next one start as soon as every block has
// called it and there is room.
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
// For kernels that have nothing to do before.
__device__ __forceinline__ void StartInOrder() {
  StartKernelAfter();
  WaitForKernelsBefore();
}

// Asks for the cache line of an address. No more than a hint, so it may go before the wait, whoever
// writes there: all writes go through the second-level cache.
__device__ __forceinline__ void PrefetchLine(const void* address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(address)));
}
struct LaunchShape {
  dim3 grid;
  dim3 block;
  uint32_t shared_bytes = 0;
  uint32_t cluster = 1;  // blocks along x
};

// A multiprocessor keeps the split of its memory while anything runs on it, so a kernel that starts
// early may find the one that the experts' kernels want: nearly all shared. Whatever streams
// through the little cache that is left takes half as long again (H200, products and attention), so
// all ask for much cache: a percentage of memory for shared, raised to what a kernel needs.
inline constexpr unsigned kSharedPercent = 10;

template <typename... Parameters>
void LaunchDependent(void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t stream,
                     Parameters... arguments) {
  cudaLaunchAttribute attributes[3] = {};
  unsigned count = 0;
  attributes[count].id = cudaLaunchAttributePreferredSharedMemoryCarveout;
  attributes[count++].val.sharedMemCarveout = kSharedPercent;
  if (DeviceIsHopperOrLater()) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count++].val.clusterDim = {shape.cluster, 1, 1};
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  SF_CUDA(cudaLaunchKernelEx(&config, kernel, arguments...));
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_DEPENDENT_LAUNCH_CUH_
