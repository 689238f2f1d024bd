// How blocks share the logits of a row, and how a block walks over its share.
#ifndef KERNELS_CUDA_VOCAB_SHARE_CUH_
#define KERNELS_CUDA_VOCAB_SHARE_CUH_

#include "kernels/cuda/cluster.cuh"
#include "kernels/cuda/device_attribute.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {

inline constexpr uint32_t kVocabThreads = 1024;
inline constexpr uint32_t kVocabWarps = kVocabThreads / kWarpLanes;
// Vectors on their way in the first walk over a row: 196,608 tokens on eight blocks at once.
inline constexpr uint32_t kFirstWalk = 6;

// Blocks a row, a power of two up to kClusterRanks: as many as leave all blocks on the device at
// once, since what a block does besides reading its share takes as long for a small share.
inline uint32_t VocabRanks(uint32_t num_rows) {
  if (!DeviceIsHopperOrLater()) return 1;
  const uint32_t multiprocessors = DeviceAttribute(cudaDevAttrMultiProcessorCount);
  uint32_t ranks = kClusterRanks;
  while (ranks > 1 && uint64_t{num_rows} * ranks > multiprocessors) ranks /= 2;
  return ranks;
}

// The tokens [begin, end) of a row. A row is always cut into kClusterRanks shares; where there are
// fewer blocks, each takes several that lie side by side. Shares may be empty.
struct VocabShare {
  const float* logits;  // of the row
  uint32_t begin;
  uint32_t end;

  __device__ __forceinline__ VocabShare(const float* row, uint32_t vocab, uint32_t first,
                                        uint32_t count)
      : logits(row) {
    const uint32_t size = (vocab + kClusterRanks - 1) / kClusterRanks;
    begin = min(first * size, vocab);
    end = min((first + count) * size, vocab);
  }

  __device__ __forceinline__ bool Holds(uint32_t id) const { return id - begin < end - begin; }

  // Calls visit(logit, id) for the tokens of the share, by ascending ids and the same ones of a
  // thread every time, and for some ids that the share does not hold, with -infinity. All threads
  // of the block call visit equally often. A thread has up to kInFlight vectors on their way at
  // once.
  template <uint32_t kInFlight, typename Visit>
  __device__ __forceinline__ void Walk(const Visit& visit) const {
    // The first vector may begin before the share (its id wraps around) and the last end after it.
    const auto lead =
        static_cast<uint32_t>(reinterpret_cast<uintptr_t>(logits + begin) / sizeof(float) % 4);
    const uint32_t num_vectors = (end - begin + lead + 3) / 4;
    for (uint32_t base = 0; base < num_vectors; base += kInFlight * kVocabThreads) {
      const uint32_t id = begin - lead + 4 * (base + threadIdx.x);
      float4 x[kInFlight];
#pragma unroll
      for (uint32_t j = 0; j < kInFlight; ++j) x[j] = Load(id + 4 * j * kVocabThreads);
#pragma unroll
      for (uint32_t j = 0; j < kInFlight; ++j) {
        if (base + j * kVocabThreads >= num_vectors) break;
        const uint32_t at = id + 4 * j * kVocabThreads;
        visit(x[j].x, at);
        visit(x[j].y, at + 1);
        visit(x[j].z, at + 2);
        visit(x[j].w, at + 3);
      }
    }
  }

 private:
  __device__ __forceinline__ float LoadOne(uint32_t id) const {
    return Holds(id) ? logits[id] : -INFINITY;
  }
  __device__ __forceinline__ float4 Load(uint32_t id) const {
    if (Holds(id) && Holds(id + 3)) return *reinterpret_cast<const float4*>(logits + id);
    return {LoadOne(id), LoadOne(id + 1), LoadOne(id + 2), LoadOne(id + 3)};
  }
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_VOCAB_SHARE_CUH_
