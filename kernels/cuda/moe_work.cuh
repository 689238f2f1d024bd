// What one launch of the MoE kernels for few rows works on, and the shared memory of a block.
#ifndef KERNELS_CUDA_MOE_WORK_CUH_
#define KERNELS_CUDA_MOE_WORK_CUH_

#include "kernels/cuda/barrier.cuh"
#include "kernels/cuda/moe_plan.h"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {

inline constexpr uint32_t kMoeConsumers = kMoeConsumerWarps * kWarpLanes;
inline constexpr uint32_t kMoeThreads = kMoeConsumers + kWarpLanes;
inline constexpr uint32_t kMoeMaxStages = 8;
inline constexpr uint32_t kMoeReductionStride = 68;  // lanes of an accumulator meet no bank twice
inline constexpr uint32_t kMoeInnerStride = kMoeUnitChannels + 8;

struct MoeWork {
  const void* x;
  const int32_t* expert_ids;
  const uint64_t* address_table;
  const int32_t* members;      // null: every block finds the groups
  const uint32_t* num_groups;  // likewise
  float* partials;
  ExpertLayout layout;
  MoePlan plan;
  uint32_t num_experts;  // addresses in the table
  uint32_t num_pairs;
  uint32_t k;
  uint32_t units;          // of an expert
  uint32_t slots;          // of partial outputs a choice
  uint32_t units_an_item;  // 1, kMoePartUnits or all
};

template <uint32_t kBits>
struct MoeTiles {
  static constexpr uint32_t kBytes = kBits * 128;
  static constexpr uint32_t kAStage = kMoeStageTileBytes / kBytes;            // 64 or 32
  static constexpr uint32_t kW13Tiles = kAStage / 2;                          // of gate, and of up
  static constexpr uint32_t kW13AWarp = kW13Tiles / (kMoeConsumerWarps / 2);  // 4 or 2
  static constexpr uint32_t kStrips = kAStage / 4;                            // of w2: 16 or 8
  static constexpr uint32_t kWarpsAStrip = kMoeConsumerWarps / kStrips;
  static constexpr uint32_t kBlocksAWarp = 4 / kWarpsAStrip;  // of 16 outputs
};

// The parts of shared memory.
struct MoeShared {
  uint64_t* full;
  uint64_t* empty;
  uint32_t* num_groups;
  uint8_t* is_first;
  int32_t* members;
  int32_t* ids;
  char* ring;
  bf16* x;
  float* reduction;
  bf16* inner;

  __device__ __forceinline__ MoeShared(char* base, const MoePlan& plan) {
    full = reinterpret_cast<uint64_t*>(base);
    empty = full + kMoeMaxStages;
    num_groups = reinterpret_cast<uint32_t*>(base + 256);
    is_first = reinterpret_cast<uint8_t*>(base + 512);
    members = reinterpret_cast<int32_t*>(base + 1024);
    ids = members + kMoeInBlockPairs * 8;
    ring = reinterpret_cast<char*>(ids + kMoeInBlockPairs);
    x = reinterpret_cast<bf16*>(ring + plan.num_stages * kMoeStageBytes);
    reduction = reinterpret_cast<float*>(reinterpret_cast<char*>(x) + plan.x_bytes);
    inner = reinterpret_cast<bf16*>(reinterpret_cast<char*>(reduction) + plan.reduction_bytes);
  }
};

__device__ __forceinline__ void MoeConsumerBarrier() {
  asm volatile("bar.sync 1, %0;" ::"n"(kMoeConsumers) : "memory");
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_WORK_CUH_
