// Moe: one block a multiprocessor walks over items of work (moe_plan.h). A producer warp streams
// weights into a ring of stages in shared memory, across items and without regard to whether they
// lie in a slot or in the mapped cache; sixteen warps multiply out of it. Partial outputs go to the
// workspace, and a second kernel adds them, weighted, in order.
#include <cstdio>

#include "kernels/cuda/barrier.cuh"
#include "kernels/cuda/copy_ring.cuh"
#include "kernels/cuda/device_attribute.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/moe_arithmetic.cuh"
#include "kernels/cuda/moe_decode.h"
#include "kernels/cuda/moe_grouped.h"
#include "kernels/cuda/moe_grouped_plan.h"
#include "kernels/cuda/moe_groups.cuh"
#include "kernels/cuda/moe_plan.h"
#include "kernels/cuda/moe_producer.cuh"
#include "kernels/cuda/moe_tiles.cuh"
#include "kernels/cuda/moe_work.cuh"
#include "kernels/cuda/numeric.cuh"

namespace spearfish::kernels {
namespace {

constexpr uint32_t kCombineColumns = 64;
constexpr uint32_t kCombineLanes = 8;

// --- The consumers.

__device__ __forceinline__ uint32_t Word(const bf16* at) {
  return *reinterpret_cast<const uint32_t*>(at);
}

template <typename A, uint32_t kBits, uint32_t kTokenTiles>
class Consumer {
 public:
  __device__ Consumer(const MoeWork& work, const MoeShared& shared)
      : work_(work),
        shared_(shared),
        warp_(threadIdx.x / kWarpLanes),
        lane_(threadIdx.x % kWarpLanes),
        g_(lane_ / 4),
        t_(lane_ % 4) {}

  // x of the group's rows into shared memory, as bfloat16; float32 as the sum of two.
  __device__ void LoadRows(const int32_t* members) {
    MoeConsumerBarrier();  // the item before has multiplied x
    const uint32_t hidden = work_.layout.hidden;
    for (uint32_t token = 0; token < work_.plan.max_tokens; ++token) {
      const int32_t pair = members[token];
      if (pair < 0) break;
      const A* row = static_cast<const A*>(work_.x) + uint64_t{pair / work_.k} * hidden;
      for (uint32_t i = threadIdx.x * 8; i < hidden; i += kMoeConsumers * 8) {
        float values[8];
        Load8(row + i, values);
        if constexpr (sizeof(A) == 2) {
          StoreHigh(shared_.x + token * work_.plan.x_stride + i, values);
        } else {
          StoreHigh(shared_.x + 2 * token * work_.plan.x_stride + i, values);
          StoreHigh(shared_.x + (2 * token + 1) * work_.plan.x_stride + i, values);
        }
      }
    }
    MoeConsumerBarrier();
  }

  __device__ void RunUnit(const int32_t* members, uint32_t unit) {
    MultiplyW13();
    MoeConsumerBarrier();
    Activate();
    MoeConsumerBarrier();
    MultiplyW2(members, unit);
  }

 private:
  using T = MoeTiles<kBits>;
  static constexpr bool kIsF32 = sizeof(A) == 4;

  // Rounds to bfloat16 and leaves the rest in `values`.
  __device__ static void StoreHigh(bf16* to, float (&values)[8]) {
    __nv_bfloat162 pairs[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      pairs[i] = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
      values[2 * i] -= __low2float(pairs[i]);
      values[2 * i + 1] -= __high2float(pairs[i]);
    }
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(pairs);
  }

  __device__ const char* WaitStage() {
    WaitPhase(&shared_.full[at_.stage], at_.parity);
    return shared_.ring + at_.stage * kMoeStageBytes;
  }
  __device__ void ReleaseStage() {
    // Every lane for itself: racecheck does not follow one lane that arrives for its warp.
    Arrive(&shared_.empty[at_.stage]);
    at_.Next(work_.plan.num_stages);
  }

  // Warps 0..7 multiply gate, 8..15 up; of a stage's tiles each takes a few that follow each other
  // and lie in one scale group. Their sums are added in the order of the warps.
  __device__ void MultiplyW13() {
    const ExpertLayout& layout = work_.layout;
    const uint32_t k_tiles = layout.hidden / 16;
    const uint32_t part = warp_ / 8;
    const uint32_t in_stage = warp_ % 8 * T::kW13AWarp;
    const uint32_t group = in_stage * 16 / layout.w13_group;
    const bool has_column = g_ < work_.plan.w13_columns;
    const bf16* x = shared_.x + g_ * work_.plan.x_stride + 2 * t_;
    float sums[4][4] = {};
    for (uint32_t first = 0; first < k_tiles; first += T::kW13Tiles) {
      const char* stage = WaitStage();
      const char* tiles = stage + part * (kMoeStageTileBytes / 2);
      if (first + in_stage < k_tiles) {
        // A strip has a multiple of four tiles: all of the warp's are there.
        TileWords<kBits> words[T::kW13AWarp];
        uint32_t b[T::kW13AWarp][2];
#pragma unroll
        for (uint32_t i = 0; i < T::kW13AWarp; ++i) {
          words[i].Load(tiles + (in_stage + i) * T::kBytes, lane_);
          const bf16* inputs = x + (first + in_stage + i) * 16;
          b[i][0] = has_column ? Word(inputs) : 0;
          b[i][1] = has_column ? Word(inputs + 8) : 0;
        }
        float fresh[4][4] = {};
        float inputs_sum[4] = {};
#pragma unroll
        for (uint32_t i = 0; i < T::kW13AWarp; ++i) {
          if (TileWords<kBits>::kBias != 0) AddInputs(inputs_sum, b[i][0], b[i][1]);
          MultiplyTile(fresh[0], words[i].template Operand<0>(), b[i][0], b[i][1]);
          MultiplyTile(fresh[1], words[i].template Operand<1>(), b[i][0], b[i][1]);
          MultiplyTile(fresh[2], words[i].template Operand<2>(), b[i][0], b[i][1]);
          MultiplyTile(fresh[3], words[i].template Operand<3>(), b[i][0], b[i][1]);
        }
        const LaneScales scales(
            stage + kMoeStageTileBytes + part * (kMoeStageScaleBytes / 2) + group * 128, g_);
#pragma unroll
        for (uint32_t j = 0; j < 4; ++j) {
#pragma unroll
          for (uint32_t c = 0; c < 4; ++c) {
            sums[j][c] = AddScaled(sums[j][c], fresh[j][c], inputs_sum[c], TileWords<kBits>::kBias,
                                   scales.values[2 * j + c / 2]);
          }
        }
      }
      ReleaseStage();
    }
    StoreSums(sums);
  }

  // reduction[warp][column][output]
  __device__ void StoreSums(const float (&sums)[4][4]) {
    const uint32_t columns = work_.plan.w13_columns;
    float* to = shared_.reduction + uint64_t{warp_} * columns * kMoeReductionStride;
#pragma unroll
    for (uint32_t c = 0; c < 4; ++c) {
      const uint32_t column = 2 * t_ + c % 2;
      if (column >= columns) continue;
#pragma unroll
      for (uint32_t j = 0; j < 4; ++j) {
        to[column * kMoeReductionStride + 16 * j + 8 * (c / 2) + g_] = sums[j][c];
      }
    }
  }

  // Of gate (part 0) or up for a token, summed over the warps.
  __device__ float Projection(uint32_t part, uint32_t token, uint32_t channel) {
    const uint32_t columns = work_.plan.w13_columns;
    const uint32_t column = kIsF32 ? 2 * token : token;
    const float* from =
        shared_.reduction + (part * 8 * columns + column) * kMoeReductionStride + channel;
    float sum = 0;
#pragma unroll
    for (uint32_t w = 0; w < 8; ++w) {
      sum += from[w * columns * kMoeReductionStride];
      if constexpr (kIsF32) sum += from[(w * columns + 1) * kMoeReductionStride];
    }
    return sum;
  }

  // inner[2 * token + part] = silu(gate) * up as the sum of two bfloat16.
  __device__ void Activate() {
    const uint32_t count = work_.plan.max_tokens * kMoeUnitChannels;
    for (uint32_t i = threadIdx.x; i < count; i += kMoeConsumers) {
      const uint32_t token = i / kMoeUnitChannels;
      const uint32_t channel = i % kMoeUnitChannels;
      const SplitActivation inner(Projection(0, token, channel), Projection(1, token, channel));
      shared_.inner[2 * token * kMoeInnerStride + channel] = inner.high;
      shared_.inner[(2 * token + 1) * kMoeInnerStride + channel] = inner.low;
    }
  }

  __device__ void MultiplyW2(const int32_t* members, uint32_t unit) {
    const uint32_t strips = work_.layout.hidden / 64;
    uint32_t b[kTokenTiles][4][2];
#pragma unroll
    for (uint32_t n = 0; n < kTokenTiles; ++n) {
      const bool has_column = n * 8 + g_ < 2 * work_.plan.max_tokens;
      const bf16* inner = shared_.inner + (n * 8 + g_) * kMoeInnerStride + 2 * t_;
#pragma unroll
      for (uint32_t tile = 0; tile < 4; ++tile) {
        b[n][tile][0] = has_column ? Word(inner + tile * 16) : 0;
        b[n][tile][1] = has_column ? Word(inner + tile * 16 + 8) : 0;
      }
    }
    float inputs_sum[kTokenTiles][4] = {};
    if (TileWords<kBits>::kBias != 0) {
#pragma unroll
      for (uint32_t n = 0; n < kTokenTiles; ++n) {
#pragma unroll
        for (uint32_t tile = 0; tile < 4; ++tile) {
          AddInputs(inputs_sum[n], b[n][tile][0], b[n][tile][1]);
        }
      }
    }
    float bias[kTokenTiles];  // of the lane's token: both of its columns
#pragma unroll
    for (uint32_t n = 0; n < kTokenTiles; ++n) {
      bias[n] = PairBias(inputs_sum[n][0], inputs_sum[n][1], TileWords<kBits>::kBias);
    }
    float* outputs[kTokenTiles];  // null: no such token
#pragma unroll
    for (uint32_t n = 0; n < kTokenTiles; ++n) {
      const uint32_t token = n * 4 + t_;
      const int32_t pair = token < work_.plan.max_tokens ? members[token] : -1;
      const uint64_t slot = uint64_t(pair) * work_.slots + SlotOf(unit);
      outputs[n] = pair < 0 ? nullptr : work_.partials + slot * work_.layout.hidden;
    }
    const Adding adding = AddingOf(unit);
    for (uint32_t first = 0; first < strips; first += T::kStrips) {
      const char* stage = WaitStage();
      const uint32_t strip = warp_ / T::kWarpsAStrip;
      if (first + strip < strips) {
        if (T::kWarpsAStrip == 1 || warp_ % 2 == 0) {
          MultiplyStrip<0>(stage, strip, first + strip, b, bias, outputs, adding);
        } else {
          MultiplyStrip<2>(stage, strip, first + strip, b, bias, outputs, adding);
        }
      }
      ReleaseStage();
    }
  }

  // Units are added in parts of kMoePartUnits, and parts to the total, wherever that happens: in
  // the second kernel, or here, where an item has more than one unit. An item of all units keeps
  // the total in slot 0 and the part in slot 1.
  struct Adding {
    bool to_part;    // the unit is not the first of its part
    bool ends_part;  // the part is complete and goes to the total
    bool to_total;   // the part is not the first
    bool is_plain;   // none of these: an item of one unit
  };
  __device__ uint32_t SlotOf(uint32_t unit) const {
    if (work_.units_an_item == 1) return unit;
    return work_.units_an_item == work_.units ? 1 : unit / kMoePartUnits;
  }
  __device__ Adding AddingOf(uint32_t unit) const {
    const uint32_t in_part = unit % kMoePartUnits;
    const bool is_all = work_.units_an_item != 1 && work_.units_an_item == work_.units;
    return {work_.units_an_item != 1 && in_part != 0,
            is_all && (in_part + 1 == kMoePartUnits || unit + 1 == work_.units),
            unit >= kMoePartUnits, work_.units_an_item == 1};
  }
  __device__ __forceinline__ void AddOutput(float* to, float value, Adding adding) const {
    if (adding.to_part) value = __fadd_rn(value, *to);
    if (!adding.ends_part) {
      *to = value;
      return;
    }
    float* total = to - work_.layout.hidden;
    *total = adding.to_total ? *total + value : value;
  }

  // Outputs 16 * kFirst .. of a strip, kBlocksAWarp times 16.
  template <uint32_t kFirst>
  __device__ void MultiplyStrip(const char* stage, uint32_t in_stage, uint32_t strip,
                                const uint32_t (&b)[kTokenTiles][4][2],
                                const float (&bias)[kTokenTiles],
                                float* const (&outputs)[kTokenTiles], Adding adding) {
    constexpr uint32_t kBlocks = T::kBlocksAWarp;
    float sums[kBlocks][kTokenTiles][4] = {};
    TileWords<kBits> words[4];
#pragma unroll
    for (uint32_t tile = 0; tile < 4; ++tile) {
      words[tile].Load(stage + (in_stage * 4 + tile) * T::kBytes, lane_);
    }
#pragma unroll
    for (uint32_t tile = 0; tile < 4; ++tile) {
      MultiplyBlock<kFirst, 0>(words[tile], tile, b, sums);
      MultiplyBlock<kFirst, 1>(words[tile], tile, b, sums);
      if constexpr (kBlocks == 4) {
        MultiplyBlock<kFirst, 2>(words[tile], tile, b, sums);
        MultiplyBlock<kFirst, 3>(words[tile], tile, b, sums);
      }
    }
    const LaneScales scales(stage + kMoeStageTileBytes + in_stage * 128, g_);
#pragma unroll
    for (uint32_t n = 0; n < kTokenTiles; ++n) {
      if (outputs[n] == nullptr) continue;
      float* const first_output = outputs[n] + strip * 64 + g_;
#pragma unroll
      for (uint32_t j = 0; j < kBlocks; ++j) {
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
          const uint32_t block = kFirst + j;
          float* to = first_output + 16 * block + 8 * half;
          // The two parts of a token are neighbours among the columns.
          const float value = PairOutput(sums[j][n][2 * half], sums[j][n][2 * half + 1], bias[n],
                                         scales.values[2 * block + half]);
          if (adding.is_plain) {
            *to = value;
          } else {
            AddOutput(to, value, adding);
          }
        }
      }
    }
  }

  template <uint32_t kFirst, uint32_t kJ, uint32_t kBlocks>
  __device__ __forceinline__ void MultiplyBlock(const TileWords<kBits>& words, uint32_t tile,
                                                const uint32_t (&b)[kTokenTiles][4][2],
                                                float (&sums)[kBlocks][kTokenTiles][4]) {
    const TileOperand operand = words.template Operand<kFirst + kJ>();
#pragma unroll
    for (uint32_t n = 0; n < kTokenTiles; ++n) {
      MultiplyTile(sums[kJ][n], operand, b[n][tile][0], b[n][tile][1]);
    }
  }

  const MoeWork& work_;
  const MoeShared& shared_;
  const uint32_t warp_;
  const uint32_t lane_;
  const uint32_t g_;  // row of A, column of B
  const uint32_t t_;  // pair of inputs; pair of columns of a sum
  RingPosition at_;
};

// --- Kernels.

template <typename A, uint32_t kBits, uint32_t kTokenTiles>
__global__ void __launch_bounds__(kMoeThreads, 1) MoeKernel(const __grid_constant__ MoeWork work) {
  extern __shared__ __align__(128) char memory[];
  const MoeShared shared(memory, work.plan);
  if (threadIdx.x == 0) {
    for (uint32_t s = 0; s < work.plan.num_stages; ++s) {
      InitBarrier(&shared.full[s], kCopyArrivals);
      InitBarrier(&shared.empty[s], kMoeConsumers);
    }
    PublishBarriers();
  }
  __syncthreads();
  const int32_t* members = work.members;
  uint32_t num_groups;
  if (members == nullptr) {
    for (uint32_t p = threadIdx.x; p < work.num_pairs; p += kMoeThreads) {
      shared.ids[p] = work.expert_ids[p];
    }
    __syncthreads();
    FindGroups(shared.ids, work.num_pairs, work.plan.max_tokens, shared.is_first, shared.members,
               shared.num_groups);
    members = shared.members;
    num_groups = *shared.num_groups;
  } else {
    num_groups = *work.num_groups;
  }
  const uint32_t items_a_group = (work.units + work.units_an_item - 1) / work.units_an_item;
  const uint32_t num_items = num_groups * items_a_group;
  if (threadIdx.x >= kMoeConsumers) {
    MoeProducer<kBits> producer(work, shared);
    for (uint32_t item = blockIdx.x; item < num_items; item += gridDim.x) {
      const int32_t* group = members + item / items_a_group * work.plan.max_tokens;
      const auto* record =
          reinterpret_cast<const char*>(work.address_table[work.expert_ids[group[0]]]);
      const uint32_t first = item % items_a_group * work.units_an_item;
      const uint32_t last = min(first + work.units_an_item, work.units);
      for (uint32_t unit = first; unit < last; ++unit) producer.StreamUnit(record, unit);
    }
    return;
  }
  Consumer<A, kBits, kTokenTiles> consumer(work, shared);
  for (uint32_t item = blockIdx.x; item < num_items; item += gridDim.x) {
    const int32_t* group = members + item / items_a_group * work.plan.max_tokens;
    const uint32_t first = item % items_a_group * work.units_an_item;
    consumer.LoadRows(group);
    const uint32_t last = min(first + work.units_an_item, work.units);
    for (uint32_t unit = first; unit < last; ++unit) consumer.RunUnit(group, unit);
  }
}

// One block; choices beyond what fits its shared memory are read where they are.
__global__ void FindGroupsKernel(const int32_t* expert_ids, uint32_t num_pairs, uint32_t max_tokens,
                                 uint8_t* is_first, int32_t* members, uint32_t* num_groups) {
  constexpr uint32_t kShared = kMoeChunkRows * 8;
  __shared__ int32_t ids[kShared];
  __shared__ uint8_t first[kShared];
  if (num_pairs > kShared) {
    FindGroups(expert_ids, num_pairs, max_tokens, is_first, members, num_groups);
    return;
  }
  for (uint32_t p = threadIdx.x; p < num_pairs; p += blockDim.x) ids[p] = expert_ids[p];
  __syncthreads();
  FindGroups(ids, num_pairs, max_tokens, first, members, num_groups);
}

// The sum of `slots` partial outputs: of units, in parts, or of parts.
__device__ float SumSlots(const float* from, uint32_t hidden, uint32_t slots,
                          uint32_t slots_a_part) {
  float total = 0;
  for (uint32_t first = 0; first < slots; first += slots_a_part) {
    float part = from[uint64_t{first} * hidden];
#pragma unroll
    for (uint32_t u = 1; u < kMoePartUnits; ++u) {
      if (u < slots_a_part && first + u < slots) part += from[uint64_t{first + u} * hidden];
    }
    total = first == 0 ? part : total + part;
  }
  return total;
}

// out[row, n] = sum over i of weight[i] * (sum over units of the partial output), in order.
template <typename A>
__global__ void CombineKernel(const __grid_constant__ MoeWork work, const float* weights, A* out) {
  extern __shared__ float sums[];  // [k][kCombineColumns]
  const uint32_t hidden = work.layout.hidden;
  const uint32_t column = threadIdx.x;
  const uint32_t n = blockIdx.x * kCombineColumns + column;
  const uint64_t row = blockIdx.y;
  const bool is_all = work.units_an_item != 1 && work.units_an_item == work.units;
  for (uint32_t i = threadIdx.y; i < work.k; i += kCombineLanes) {
    const float* from = work.partials + (row * work.k + i) * work.slots * hidden + n;
    sums[i * kCombineColumns + column] =
        is_all ? *from
               : SumSlots(from, hidden, work.slots, work.units_an_item == 1 ? kMoePartUnits : 1);
  }
  __syncthreads();
  if (threadIdx.y != 0) return;
  float total = 0;
  for (uint32_t i = 0; i < work.k; ++i) {
    total = fmaf(weights[row * work.k + i], sums[i * kCombineColumns + column], total);
  }
  out[row * hidden + n] = Narrow<A>(total);
}

struct Workspace {
  float* partials;
  int32_t* members;
  uint32_t* num_groups;
  uint8_t* is_first;
  uint64_t bytes;

  Workspace(void* base, const ExpertLayout& layout, uint32_t num_rows, uint32_t k) {
    // The most that any number of rows up to num_rows needs.
    const uint64_t rows = num_rows < kMoeChunkRows ? num_rows : kMoeChunkRows;
    uint64_t slots = 0;
    for (const uint64_t most : {kMoeSplitRows, kMoePartRows, kMoeChunkRows}) {
      const uint64_t here = rows < most ? rows : most;
      const uint64_t needed = here * k * MoeSlots(layout, static_cast<uint32_t>(here));
      if (needed > slots) slots = needed;
    }
    char* at = static_cast<char*>(base);
    const auto take = [this, &at](uint64_t size) {
      const uint64_t rounded = (size + 255) / 256 * 256;
      bytes += rounded;
      char* const part = at;
      at += rounded;
      return part;
    };
    bytes = 0;
    partials = reinterpret_cast<float*>(take(slots * layout.hidden * sizeof(float)));
    members = reinterpret_cast<int32_t*>(take(rows * k * 8 * sizeof(int32_t)));
    num_groups = reinterpret_cast<uint32_t*>(take(sizeof(uint32_t)));
    is_first = reinterpret_cast<uint8_t*>(take(rows * k));
  }
};

template <typename A, uint32_t kBits, uint32_t kTokenTiles>
void LaunchKernel(const MoeWork& work, uint32_t grid, cudaStream_t stream) {
  const auto kernel = MoeKernel<A, kBits, kTokenTiles>;
  SF_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(work.plan.shared_bytes)));
  kernel<<<grid, kMoeThreads, work.plan.shared_bytes, stream>>>(work);
  SF_CUDA(cudaGetLastError());
}

template <typename A, uint32_t kBits>
void LaunchItems(const MoeWork& work, uint32_t grid, cudaStream_t stream) {
  if constexpr (sizeof(A) == 2) {
    if (work.plan.max_tokens > 4) return LaunchKernel<A, kBits, 2>(work, grid, stream);
  }
  LaunchKernel<A, kBits, 1>(work, grid, stream);
}

template <typename A>
void LaunchChunk(const MoeLaunch& launch, cudaStream_t stream) {
  const ExpertLayout& layout = launch.layout;
  const MoePlan plan =
      PlanMoe(layout, {launch.num_rows, launch.num_rows * launch.k, launch.num_experts},
              sizeof(A) == 4, DeviceAttribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
  if (plan.num_stages == 0) {
    std::fprintf(stderr, "hidden size %u does not fit the shared memory of this device\n",
                 layout.hidden);
    SF_CUDA(cudaErrorInvalidValue);
  }
  const Workspace workspace(launch.workspace, layout, launch.num_rows, launch.k);
  const uint32_t num_pairs = launch.num_rows * launch.k;
  MoeWork work = {};
  work.x = launch.x;
  work.expert_ids = launch.expert_ids;
  work.address_table = launch.address_table;
  work.partials = workspace.partials;
  work.layout = layout;
  work.plan = plan;
  work.num_experts = launch.num_experts;
  work.num_pairs = num_pairs;
  work.k = launch.k;
  work.units = MoeUnits(layout);
  work.units_an_item = MoeUnitsAnItem(layout, launch.num_rows);
  work.slots = MoeSlots(layout, launch.num_rows);
  if (num_pairs > kMoeInBlockPairs) {
    FindGroupsKernel<<<1, 1024, 0, stream>>>(launch.expert_ids, num_pairs, plan.max_tokens,
                                             workspace.is_first, workspace.members,
                                             workspace.num_groups);
    SF_CUDA(cudaGetLastError());
    work.members = workspace.members;
    work.num_groups = workspace.num_groups;
  }
  const uint32_t most_items =
      num_pairs * ((work.units + work.units_an_item - 1) / work.units_an_item);
  const uint32_t processors = DeviceAttribute(cudaDevAttrMultiProcessorCount);
  const uint32_t grid = most_items < processors ? most_items : processors;
  if (layout.bits == 4) {
    LaunchItems<A, 4>(work, grid, stream);
  } else {
    LaunchItems<A, 8>(work, grid, stream);
  }
  CombineKernel<A>
      <<<dim3(layout.hidden / kCombineColumns, launch.num_rows),
         dim3(kCombineColumns, kCombineLanes), launch.k * kCombineColumns * sizeof(float),
         stream>>>(work, launch.expert_weights, static_cast<A*>(launch.out));
  SF_CUDA(cudaGetLastError());
}

}  // namespace

uint64_t MoeCudaWorkspaceBytes(const ExpertLayout& layout, uint32_t num_rows, uint32_t k) {
  const uint64_t here = Workspace(nullptr, layout, num_rows, k).bytes;
  const uint64_t grouped = SizesOfMoeGrouped(layout, num_rows, k).total();
  return here > grouped ? here : grouped;
}

void LaunchMoe(const MoeLaunch& launch, cudaStream_t stream) {
  if (MoeGroupedFits(launch)) return LaunchMoeGrouped(launch, stream);
  if (MoeDecodeFits(launch)) return LaunchMoeDecode(launch, stream);
  WithType(launch.activations, [&](auto a) {
    using A = decltype(a);
    for (uint32_t first = 0; first < launch.num_rows; first += kMoeChunkRows) {
      const uint64_t pairs = uint64_t{first} * launch.k;
      const uint64_t elements = uint64_t{first} * launch.layout.hidden;
      MoeLaunch chunk = launch;
      chunk.x = static_cast<const A*>(launch.x) + elements;
      chunk.out = static_cast<A*>(launch.out) + elements;
      chunk.expert_ids = launch.expert_ids + pairs;
      chunk.expert_weights = launch.expert_weights + pairs;
      chunk.num_rows =
          launch.num_rows - first < kMoeChunkRows ? launch.num_rows - first : kMoeChunkRows;
      LaunchChunk<A>(chunk, stream);
    }
  });
}

}  // namespace spearfish::kernels
