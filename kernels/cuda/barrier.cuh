// Barriers in shared memory, and copies from global (or mapped host) memory that complete on them.
// From sm_90 on the copies are bulk copies of the copy engine of a multiprocessor; before, 16 bytes
// a lane and instruction.
#ifndef KERNELS_CUDA_BARRIER_CUH_
#define KERNELS_CUDA_BARRIER_CUH_

#include <cuda_runtime.h>

#include <cstdint>

namespace spearfish::kernels {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define SF_HAS_BULK_COPIES 1
#else
#define SF_HAS_BULK_COPIES 0
#endif

// Arrivals of one phase of a barrier on which a warp's copies complete.
#if SF_HAS_BULK_COPIES
inline constexpr uint32_t kCopyArrivals = 1;
#else
inline constexpr uint32_t kCopyArrivals = 32;
#endif

__device__ __forceinline__ uint32_t SharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void InitBarrier(uint64_t* barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(SharedAddress(barrier)), "r"(arrivals)
               : "memory");
}

// By the thread that initialised them, before the block's __syncthreads.
__device__ __forceinline__ void PublishBarriers() {
#if SF_HAS_BULK_COPIES
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

__device__ __forceinline__ void Arrive(uint64_t* barrier) {
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.shared.b64 state, [%0];\n}" ::"r"(
                   SharedAddress(barrier))
               : "memory");
}

__device__ __forceinline__ bool PhaseDone(uint64_t* barrier, uint32_t parity) {
  uint32_t done;
#if SF_HAS_BULK_COPIES
  asm volatile(
      "{\n.reg .pred p;\nmbarrier.try_wait.parity.shared.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
      : "=r"(done)
      : "r"(SharedAddress(barrier)), "r"(parity)
      : "memory");
#else
  asm volatile(
      "{\n.reg .pred p;\nmbarrier.test_wait.parity.shared.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n}"
      : "=r"(done)
      : "r"(SharedAddress(barrier)), "r"(parity)
      : "memory");
#endif
  return done != 0;
}

// Returns when the phase of this parity is over.
__device__ __forceinline__ void WaitPhase(uint64_t* barrier, uint32_t parity) {
  while (!PhaseDone(barrier, parity)) {
  }
}

// The copies of one phase are announced (by one lane, with their bytes), issued (each by one lane
// here, by the whole warp before sm_90) and committed (by the whole warp).
__device__ __forceinline__ void AnnounceCopies(uint64_t* barrier, uint32_t bytes) {
#if SF_HAS_BULK_COPIES
  asm volatile(
      "{\n.reg .b64 state;\nmbarrier.arrive.expect_tx.shared.b64 state, [%0], %1;\n}" ::"r"(
          SharedAddress(barrier)),
      "r"(bytes)
      : "memory");
#endif
}

// `bytes` and both addresses are multiples of 16.
__device__ __forceinline__ void IssueCopy(void* to, const void* from, uint32_t bytes,
                                          uint64_t* barrier) {
#if SF_HAS_BULK_COPIES
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(SharedAddress(to)),
      "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(SharedAddress(barrier))
      : "memory");
#else
  const uint32_t target = SharedAddress(to);
  const char* source = static_cast<const char*>(from);
  for (uint32_t i = threadIdx.x % 32 * 16; i < bytes; i += 32 * 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target + i),
                 "l"(__cvta_generic_to_global(source + i))
                 : "memory");
  }
#endif
}

__device__ __forceinline__ void CommitCopies(uint64_t* barrier) {
#if !SF_HAS_BULK_COPIES
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(SharedAddress(barrier))
               : "memory");
#endif
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_BARRIER_CUH_
