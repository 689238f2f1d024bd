// Counts and masses of a row's tokens by bins, over the blocks that share the row.
#ifndef KERNELS_CUDA_TOKEN_HISTOGRAM_CUH_
#define KERNELS_CUDA_TOKEN_HISTOGRAM_CUH_

#include "kernels/cuda/vocab_share.cuh"

namespace spearfish::kernels {

inline constexpr uint32_t kTokenBinBits = 10;
inline constexpr uint32_t kTokenBins = 1u << kTokenBinBits;
inline constexpr uint32_t kNoBin = kTokenBins;
static_assert(kTokenBins == kVocabThreads);  // one a thread

struct TokenSum {
  uint32_t count;
  unsigned long long mass;
};

// Masses are integers: the order of atomic additions leaves no trace. They are added in two words,
// because shared memory adds 32 bits at once and 64 only by retrying.
class TokenHistogram {
 public:
  struct Memory {
    uint32_t count[kTokenBins];  // of this block; other ranks read it, as they do the next two
    uint32_t low[kTokenBins];
    uint32_t high[kTokenBins];
    uint32_t all_count[kTokenBins];  // of all ranks, in the bins that this one adds up
    unsigned long long all_mass[kTokenBins];
  };

  // Every method is called by all threads. `with_masses` is false where all masses are 0.
  __device__ TokenHistogram(Memory& memory, uint32_t rank, uint32_t ranks, bool with_masses)
      : memory_(memory), rank_(rank), ranks_(ranks), with_masses_(with_masses) {
    memory_.count[threadIdx.x] = 0;
    memory_.low[threadIdx.x] = 0;
    memory_.high[threadIdx.x] = 0;
    __syncthreads();
  }

  // A token a thread, or kNoBin. Lanes that all hit one bin, as they do where logits are equal, add
  // once.
  __device__ __forceinline__ void Add(uint32_t bin, unsigned long long mass) {
    const bool same = bin == __shfl_sync(kFullWarp, bin, 0);
    if (__all_sync(kFullWarp, same) == 0) {
      if (bin != kNoBin) AddToBin(bin, 1, mass);
    } else if (bin != kNoBin) {
      // Masses have at most 44 bits.
      constexpr uint32_t kHalfBits = 22;
      const auto low = static_cast<uint32_t>(mass) & ((1u << kHalfBits) - 1);
      const auto high = static_cast<uint32_t>(mass >> kHalfBits);
      mass = __reduce_add_sync(kFullWarp, low) +
             (static_cast<unsigned long long>(__reduce_add_sync(kFullWarp, high)) << kHalfBits);
      if (threadIdx.x % kWarpLanes == 0) AddToBin(bin, kWarpLanes, mass);
    }
  }

  // Bin threadIdx.x of all ranks, the same in every rank. Each adds up its part of the bins first,
  // because reading all bins of all ranks is slower than one more barrier.
  __device__ TokenSum Collect() {
    const uint32_t bins = kTokenBins / ranks_;
    ClusterSync();
    if (threadIdx.x < bins) {
      const uint32_t bin = rank_ * bins + threadIdx.x;
      memory_.all_count[bin] = static_cast<uint32_t>(SumOfRanks(&memory_.count[bin]));
      unsigned long long mass = 0;
      if (with_masses_) {
        mass = SumOfRanks(&memory_.low[bin]) + (SumOfRanks(&memory_.high[bin]) << 32);
      }
      memory_.all_mass[bin] = mass;
    }
    ClusterSync();
    const uint32_t owner = threadIdx.x / bins;
    return {*AtRank(&memory_.all_count[threadIdx.x], owner),
            *AtRank(&memory_.all_mass[threadIdx.x], owner)};
  }

 private:
  __device__ __forceinline__ void AddToBin(uint32_t bin, uint32_t count, unsigned long long mass) {
    atomicAdd(&memory_.count[bin], count);
    if (mass == 0) return;
    const auto low = static_cast<uint32_t>(mass);
    const uint32_t before = atomicAdd(&memory_.low[bin], low);
    const uint32_t carry = before + low < low ? 1 : 0;
    const uint32_t high = static_cast<uint32_t>(mass >> 32) + carry;
    if (high != 0) atomicAdd(&memory_.high[bin], high);
  }

  // Ranks that there aren't are read too, as this one, so that all reads are on their way at once.
  __device__ __forceinline__ unsigned long long SumOfRanks(uint32_t* word) const {
    uint32_t words[kClusterRanks];
#pragma unroll
    for (uint32_t r = 0; r < kClusterRanks; ++r) words[r] = *AtRank(word, r < ranks_ ? r : rank_);
    unsigned long long sum = 0;
#pragma unroll
    for (uint32_t r = 0; r < kClusterRanks; ++r) sum += r < ranks_ ? words[r] : 0;
    return sum;
  }

  Memory& memory_;
  const uint32_t rank_;
  const uint32_t ranks_;
  const bool with_masses_;
};

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_TOKEN_HISTOGRAM_CUH_
