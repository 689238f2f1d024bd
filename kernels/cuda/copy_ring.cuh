// What producers and consumers of a ring of stages in shared memory have in common.
#ifndef KERNELS_CUDA_COPY_RING_CUH_
#define KERNELS_CUDA_COPY_RING_CUH_

#include "kernels/cuda/barrier.cuh"

namespace spearfish::kernels {

// A position in the ring; producer and consumers each walk with one of their own.
struct RingPosition {
  uint32_t stage = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void Next(uint32_t num_stages) {
    if (++stage == num_stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// A copy into a stage; bytes and both addresses are multiples of 16.
struct CopyPart {
  char* to;
  const char* from;
  uint32_t bytes;
};

// By a whole warp: copies part_of(0) .. part_of(count - 1), at most 32, side by side: a loop in one
// lane would take longer than the memory. `part_of` must not depend on the lane that asks.
template <typename PartOf>
__device__ __forceinline__ void IssueParts(uint32_t count, uint64_t* barrier,
                                           const PartOf& part_of) {
#if SF_HAS_BULK_COPIES
  const uint32_t lane = threadIdx.x % 32;
  if (lane >= count) return;
  const CopyPart part = part_of(lane);
  IssueCopy(part.to, part.from, part.bytes, barrier);
#else
  for (uint32_t i = 0; i < count; ++i) {
    const CopyPart part = part_of(i);
    IssueCopy(part.to, part.from, part.bytes, barrier);
  }
#endif
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_COPY_RING_CUH_
