// Copies of 16 bytes from global to shared memory that a thread waits for in groups.
#ifndef KERNELS_CUDA_ASYNC_COPY_CUH_
#define KERNELS_CUDA_ASYNC_COPY_CUH_

#include "kernels/cuda/barrier.cuh"

namespace spearfish::kernels {

// Both addresses are multiples of 16.
__device__ __forceinline__ void CopyAsync16(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(SharedAddress(to)),
               "l"(__cvta_generic_to_global(from))
               : "memory");
}

// Ends a group of the thread's copies; it may be empty.
__device__ __forceinline__ void EndAsyncGroup() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Returns when at most kPending of the thread's groups, the latest, are under way.
template <uint32_t kPending>
__device__ __forceinline__ void WaitAsyncGroups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_ASYNC_COPY_CUH_
