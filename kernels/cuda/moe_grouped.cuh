// What both products of the grouped MoE have in common: twelve warps multiply out of a ring of
// stages that one more fills. A stage has tiles of up to twelve strips, their scales, and a run of
// inputs of the item's rows; each warp takes one strip for one group of rows.
#ifndef KERNELS_CUDA_MOE_GROUPED_CUH_
#define KERNELS_CUDA_MOE_GROUPED_CUH_

#include "kernels/cuda/copy_ring.cuh"
#include "kernels/cuda/moe_arithmetic.cuh"
#include "kernels/cuda/moe_grouped_plan.h"
#include "kernels/cuda/moe_sort.cuh"
#include "kernels/cuda/moe_tiles.cuh"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {

inline constexpr uint32_t kGroupedConsumers = kMoeGroupedWarps * kWarpLanes;
inline constexpr uint32_t kGroupedThreads = kGroupedConsumers + kWarpLanes;
// More than stages: an item has a stage at least, so the producer never gets so far ahead.
inline constexpr uint32_t kGroupedItemSlots = 2 * kMoeGroupedMaxStages;

struct MoeGroupedWork {
  const int32_t* members;
  const uint32_t* offsets;
  const uint32_t* w13_items;
  const uint32_t* w2_items;
  uint32_t* taken;  // items of this launch beyond each block's first
  const uint64_t* address_table;
  uint64_t slots_begin;
  uint64_t slots_end;
  const char* inputs;  // of the first product: [runs][choices, as members][MoeW13InputBytes]
  char* inner;         // of the second: [units][choices, as members][2][kMoeInputBytes]
  float* outputs;      // [choices][strips_a_pass * 64]
  ExpertLayout layout;
  uint32_t num_experts;
  uint32_t num_choices;
  uint32_t units;
  uint32_t strips_a_pass;
  uint32_t first_strip;  // of the pass
  uint32_t stage_bytes;
  uint32_t num_stages;
};

// The parts of shared memory.
struct GroupedShared {
  uint64_t* full;
  uint64_t* empty;
  const char** weights;  // of the item: tiles, then scales of its strips
  uint32_t* items;       // that the producer took
  float* totals;
  char* ring;

  __device__ __forceinline__ GroupedShared(char* base, uint32_t total_bytes) {
    full = reinterpret_cast<uint64_t*>(base);
    empty = full + kMoeGroupedMaxStages;
    weights = reinterpret_cast<const char**>(base + 128);
    items = reinterpret_cast<uint32_t*>(base + 384);
    totals = reinterpret_cast<float*>(base + kMoeGroupedHeaderBytes);
    ring = base + kMoeGroupedHeaderBytes + total_bytes;
  }
};

__device__ __forceinline__ void InitGroupedRing(const GroupedShared& shared, uint32_t num_stages) {
  if (threadIdx.x == 0) {
    for (uint32_t s = 0; s < num_stages; ++s) {
      InitBarrier(&shared.full[s], kCopyArrivals);
      InitBarrier(&shared.empty[s], kGroupedConsumers);
    }
    PublishBarriers();
  }
  __syncthreads();
}

// An item found among all experts'.
struct GroupedItem {
  uint32_t expert;
  uint32_t first;  // index of its first choice in members
  uint32_t count;
  uint32_t part;
  uint32_t row_groups;
  uint32_t strips;  // that the warps share; the expert may have fewer left

  __device__ __forceinline__ static GroupedItem OfW13(const MoeGroupedWork& work, uint32_t item) {
    const uint32_t e = MoeExpertOfItem(work.w13_items, work.num_experts, item);
    const uint32_t choices = work.offsets[e + 1] - work.offsets[e];
    return At(work, e, choices, MoeW13Shape(choices, work.units), item - work.w13_items[e]);
  }
  __device__ __forceinline__ static GroupedItem OfW2(const MoeGroupedWork& work, uint32_t item) {
    const uint32_t e = MoeExpertOfItem(work.w2_items, work.num_experts, item);
    const uint32_t choices = work.offsets[e + 1] - work.offsets[e];
    const bool is_cold = IsColdRecord(work.address_table[e], work.slots_begin, work.slots_end);
    return At(work, e, choices, MoeW2Shape(choices, is_cold, work.strips_a_pass),
              item - work.w2_items[e]);
  }

 private:
  __device__ __forceinline__ static GroupedItem At(const MoeGroupedWork& work, uint32_t expert,
                                                   uint32_t choices, const MoeItemShape& shape,
                                                   uint32_t in_expert) {
    const MoeItemPlace place = MoeItemAt(shape, choices, in_expert);
    return {expert,           work.offsets[expert] + place.first,
            place.count,      place.part,
            shape.row_groups, shape.strips};
  }
};

// What a warp multiplies of an item: a strip times columns of kRows rows each, which the row groups
// share evenly. The second half of the warps counts groups from the end, so that the larger shares
// don't meet on one scheduler.
struct GroupedShare {
  uint32_t strip;
  uint32_t group;
  uint32_t first_row;
  uint32_t rows;

  template <uint32_t kRows>
  __device__ __forceinline__ static GroupedShare Of(const GroupedItem& item, uint32_t warp) {
    const uint32_t strip = warp / item.row_groups;
    const uint32_t group = Turned(item, warp, warp % item.row_groups);
    const uint32_t columns = (item.count + kRows - 1) / kRows;
    const uint32_t first = columns * group / item.row_groups * kRows;
    const uint32_t end = min(columns * (group + 1) / item.row_groups * kRows, item.count);
    return {strip, group, first, strip < item.strips ? end - first : 0};
  }
  __device__ __forceinline__ static uint32_t WarpOf(const GroupedItem& item, uint32_t strip,
                                                    uint32_t group) {
    const uint32_t first = strip * item.row_groups;
    return first + Turned(item, first, group);
  }

 private:
  __device__ __forceinline__ static uint32_t Turned(const GroupedItem& item, uint32_t warp,
                                                    uint32_t group) {
    const bool is_turned = warp >= kMoeGroupedWarps / 2 && item.row_groups < kMoeGroupedWarps;
    return is_turned ? item.row_groups - 1 - group : group;
  }
};

// The producer warp's walk through the ring.
class GroupedRingFiller {
 public:
  __device__ GroupedRingFiller(const GroupedShared& shared, const MoeGroupedWork& work)
      : shared_(shared), stage_bytes_(work.stage_bytes), num_stages_(work.num_stages) {}

  // Waits until the next stage is free, and says how many bytes will come.
  __device__ char* Begin(uint32_t bytes) {
    WaitPhase(&shared_.empty[at_.stage], at_.parity ^ 1);
    if (threadIdx.x % kWarpLanes == 0) AnnounceCopies(barrier(), bytes);
    __syncwarp();
    return shared_.ring + at_.stage * stage_bytes_;
  }
  __device__ uint64_t* barrier() { return &shared_.full[at_.stage]; }
  __device__ void End() {
    CommitCopies(barrier());
    at_.Next(num_stages_);
  }
  // A stage without data.
  __device__ void EndAll() {
    Begin(0);
    End();
  }

 private:
  const GroupedShared& shared_;
  const uint32_t stage_bytes_;
  const uint32_t num_stages_;
  RingPosition at_;
};

// Items differ in length, so each block takes the next that nobody has when it has streamed one.
// Which item stages belong to, the consumers read with the item's first; one stage without data
// ends the walk.
class GroupedItemTaker {
 public:
  __device__ GroupedItemTaker(const MoeGroupedWork& work, const GroupedShared& shared)
      : taken_(work.taken), slots_(shared.items), next_(blockIdx.x) {}

  // Asks for the next already; the answer comes while the item is streamed.
  __device__ uint32_t Take(uint32_t num_items) {
    const uint32_t item = __shfl_sync(kFullWarp, next_, 0);
    if (item < num_items && threadIdx.x % kWarpLanes == 0) {
      next_ = gridDim.x + atomicAdd(taken_, 1u);
    }
    return item;
  }
  // Before the item's first stage.
  __device__ void Publish(uint32_t item) {
    if (threadIdx.x % kWarpLanes == 0) {
      slots_[count_ % kGroupedItemSlots] = item;
      __threadfence_block();
    }
    ++count_;
    __syncwarp();
  }

 private:
  uint32_t* const taken_;
  uint32_t* const slots_;
  uint32_t next_;
  uint32_t count_ = 0;
};

// A consumer's.
class GroupedRingReader {
 public:
  __device__ GroupedRingReader(const GroupedShared& shared, const MoeGroupedWork& work)
      : shared_(shared), stage_bytes_(work.stage_bytes), num_stages_(work.num_stages) {}

  __device__ __forceinline__ const char* Wait() {
    WaitPhase(&shared_.full[at_.stage], at_.parity);
    return shared_.ring + at_.stage * stage_bytes_;
  }
  // The i-th item of this block, before its first stage.
  __device__ __forceinline__ uint32_t Item(uint32_t i) {
    Wait();
    return shared_.items[i % kGroupedItemSlots];
  }
  __device__ __forceinline__ void Release() {
    Arrive(&shared_.empty[at_.stage]);
    at_.Next(num_stages_);
  }

 private:
  const GroupedShared& shared_;
  const uint32_t stage_bytes_;
  const uint32_t num_stages_;
  RingPosition at_;
};

__device__ __forceinline__ uint32_t InputWord(const char* at) {
  return *reinterpret_cast<const uint32_t*>(at);
}
// The sum that stands behind the inputs of a row in a stage; 0 where weights have no zero point.
template <uint32_t kBits>
__device__ __forceinline__ float SumOfInputs(const char* row) {
  if (TileWords<kBits>::kBias == 0) return 0;
  return *reinterpret_cast<const float*>(row + 128);
}

// Where a lane begins to read columns of the inputs at `rows` (LoadColumns).
template <uint32_t kRowBytes>
__device__ __forceinline__ uint32_t LaneColumns(const char* rows, uint32_t lane) {
  return SharedAddress(rows) + (lane / 16 * 8 + lane % 8) * kRowBytes + lane / 8 % 2 * 16;
}

template <uint32_t kRowBytes, uint32_t kColumns>
__device__ __forceinline__ void LoadTileInputs(uint32_t at, uint32_t (&b)[kColumns][2]) {
#pragma unroll
  for (uint32_t n = 0; n + 1 < kColumns; n += 2) {
    uint32_t pair[4];
    LoadColumns(pair, at + n * 8 * kRowBytes);
    b[n][0] = pair[0], b[n][1] = pair[1];
    b[n + 1][0] = pair[2], b[n + 1][1] = pair[3];
  }
  if constexpr (kColumns % 2 == 1)
    LoadColumns(b[kColumns - 1], at + (kColumns - 1) * 8 * kRowBytes);
}

// products[j][n] = tiles (outputs 16j ..) times columns 8n .. of the stage's inputs, by halves of
// the outputs: add(half, products) gets those of j = 2 half and 2 half + 1, which spares registers.
template <uint32_t kBits, uint32_t kTiles, uint32_t kRowBytes, uint32_t kColumns, typename Add>
__device__ __forceinline__ void MultiplyRun(const char* tiles, const char* rows, uint32_t lane,
                                            const Add& add) {
  const uint32_t columns = LaneColumns<kRowBytes>(rows, lane);
  TileWords<kBits> words[kTiles];
#pragma unroll
  for (uint32_t i = 0; i < kTiles; ++i) words[i].Load(tiles + i * (kBits * 128), lane);
#pragma unroll
  for (uint32_t half = 0; half < 2; ++half) {
    float products[2][kColumns][4] = {};
#pragma unroll
    for (uint32_t i = 0; i < kTiles; ++i) {
      uint32_t b[kColumns][2];
      LoadTileInputs<kRowBytes, kColumns>(columns + i * 32, b);
      const TileOperand first =
          half == 0 ? words[i].template Operand<0>() : words[i].template Operand<2>();
      const TileOperand second =
          half == 0 ? words[i].template Operand<1>() : words[i].template Operand<3>();
#pragma unroll
      for (uint32_t n = 0; n < kColumns; ++n) MultiplyTile(products[0][n], first, b[n][0], b[n][1]);
#pragma unroll
      for (uint32_t n = 0; n < kColumns; ++n)
        MultiplyTile(products[1][n], second, b[n][0], b[n][1]);
    }
    add(half, products);
  }
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_GROUPED_CUH_
