// The first product of the grouped MoE: inner = silu(gate) * up of every choice.
#ifndef KERNELS_CUDA_MOE_GROUPED_W13_CUH_
#define KERNELS_CUDA_MOE_GROUPED_W13_CUH_

#include "kernels/cuda/moe_grouped.cuh"

namespace spearfish::kernels {

// The inputs are taken in runs of four tiles (INT8: two), in the order in which the decode kernel
// adds them: there warp w multiplies the runs w, w + 8, ..., and the warps' sums are added in turn.
inline constexpr uint32_t kW13Turns = 8;

template <uint32_t kBits>
struct W13Run {
  static constexpr uint32_t kTileBytes = kBits * 128;
  static constexpr uint32_t kTiles = kMoeRunBytes / kTileBytes;
  static constexpr uint32_t kInputs = kTiles * 16;
  static constexpr uint32_t kRowBytes = MoeW13InputBytes(kBits);
};

template <uint32_t kBits>
class W13Producer {
 public:
  __device__ W13Producer(const MoeGroupedWork& work, const GroupedShared& shared)
      : work_(work),
        shared_(shared),
        ring_(shared, work),
        taker_(work, shared),
        lane_(threadIdx.x % kWarpLanes) {}

  __device__ void StreamAll(uint32_t num_items) {
    uint32_t item = taker_.Take(num_items);
    for (; item < num_items; item = taker_.Take(num_items)) {
      taker_.Publish(item);
      Stream(GroupedItem::OfW13(work_, item));
    }
    taker_.Publish(item);
    ring_.EndAll();
  }

 private:
  using R = W13Run<kBits>;

  __device__ void Stream(const GroupedItem& item) {
    const uint32_t units_a_part = item.strips / 2;
    const uint32_t units = min(units_a_part, work_.units - item.part * units_a_part);
    FindSources(item, 2 * units);
    const uint32_t runs = work_.layout.hidden / R::kInputs;
    for (uint32_t turn = 0; turn < kW13Turns; ++turn) {
      for (uint32_t run = turn; run < runs; run += kW13Turns) StreamRun(item, 2 * units, run);
    }
  }

  // Strips are gate and up of a unit, then of the next.
  __device__ void FindSources(const GroupedItem& item, uint32_t strips) {
    const ExpertLayout& layout = work_.layout;
    const auto* record = reinterpret_cast<const char*>(work_.address_table[item.expert]);
    const uint32_t groups = layout.hidden / layout.w13_group;
    __syncwarp();  // the item before has been read
    if (lane_ < strips) {
      const uint32_t unit = item.part * (item.strips / 2) + lane_ / 2;
      const uint32_t channel = unit * kMoeUnitChannels;
      const char* slice = record + (channel / layout.slice_channels) * layout.slice_bytes;
      const uint64_t in_slice = channel % layout.slice_channels / kMoeUnitChannels;
      const bool is_up = lane_ % 2 == 1;
      shared_.weights[lane_] = slice + (is_up ? layout.up_offset : layout.gate_offset) +
                               in_slice * (layout.hidden / 16) * R::kTileBytes;
      shared_.weights[strips + lane_] = slice + layout.w13_scales_offset +
                                        (is_up ? uint64_t{layout.slice_channels} * groups * 2 : 0) +
                                        in_slice * groups * kMoeScaleBytes;
    }
    __syncwarp();
  }

  __device__ void StreamRun(const GroupedItem& item, uint32_t strips, uint32_t run) {
    const MoeStageShape shape = {item.strips, kMoeRunBytes};
    const uint32_t input_bytes = item.count * R::kRowBytes;
    char* stage = ring_.Begin(strips * (kMoeRunBytes + kMoeScaleBytes) + input_bytes);
    const uint32_t group = run * R::kInputs / work_.layout.w13_group;
    IssueParts(2 * strips + 1, ring_.barrier(), [&](uint32_t i) -> CopyPart {
      if (i == 2 * strips) {
        const uint64_t row = uint64_t{run} * work_.num_choices + item.first;
        return {stage + shape.inputs(), work_.inputs + row * R::kRowBytes, input_bytes};
      }
      const char* from = shared_.weights[i];
      if (i < strips) {
        return {stage + i * kMoeRunBytes, from + uint64_t{run} * kMoeRunBytes, kMoeRunBytes};
      }
      return {stage + shape.scales() + (i - strips) * kMoeScaleBytes, from + group * kMoeScaleBytes,
              kMoeScaleBytes};
    });
    ring_.End();
  }

  const MoeGroupedWork& work_;
  const GroupedShared& shared_;
  GroupedRingFiller ring_;
  GroupedItemTaker taker_;
  const uint32_t lane_;
};

template <uint32_t kBits>
class W13Consumer {
 public:
  __device__ W13Consumer(const MoeGroupedWork& work, const GroupedShared& shared)
      : work_(work),
        shared_(shared),
        ring_(shared, work),
        warp_(threadIdx.x / kWarpLanes),
        lane_(threadIdx.x % kWarpLanes),
        g_(lane_ / 4),
        t_(lane_ % 4) {}

  __device__ uint32_t Item(uint32_t i) { return ring_.Item(i); }

  __device__ void Run(const GroupedItem& item) {
    GroupedShare share = GroupedShare::Of<8>(item, warp_);
    const uint32_t unit = item.part * (item.strips / 2) + share.strip / 2;
    if (unit >= work_.units) share.rows = 0;
    switch ((share.rows + 7) / 8) {
      case 0:
        Skip();
        break;
      case 1:
        Multiply<1>(item, share);
        break;
      case 2:
        Multiply<2>(item, share);
        break;
      default:
        Multiply<kMoeWarpColumns>(item, share);
    }
    Barrier();
    Activate(item, share, unit);
    Barrier();  // totals have been read
  }

 private:
  using R = W13Run<kBits>;
  static constexpr float kZero = TileWords<kBits>::kBias;

  __device__ static void Barrier() {
    asm volatile("bar.sync 1, %0;" ::"n"(kGroupedConsumers) : "memory");
  }
  __device__ uint32_t num_runs() const { return work_.layout.hidden / R::kInputs; }

  __device__ void Skip() {
    for (uint32_t run = 0; run < num_runs(); ++run) {
      ring_.Wait();
      ring_.Release();
    }
  }

  // Rows first_row + 8n + (2t, 2t + 1) and channels 16j + g, 16j + 8 + g of the warp's strip.
  template <uint32_t kColumns>
  __device__ void Multiply(const GroupedItem& item, const GroupedShare& share) {
    const MoeStageShape shape = {item.strips, kMoeRunBytes};
    const uint32_t tiles_at = share.strip * kMoeRunBytes;
    const uint32_t scales_at = shape.scales() + share.strip * kMoeScaleBytes;
    const uint32_t rows_at = shape.inputs() + share.first_row * R::kRowBytes;
    const uint32_t runs = num_runs();
#pragma unroll 1
    for (uint32_t turn = 0; turn < kW13Turns; ++turn) {
      float sums[4][kColumns][4] = {};
#pragma unroll 1
      for (uint32_t run = turn; run < runs; run += kW13Turns) {
        const char* stage = ring_.Wait();
        const char* rows = stage + rows_at;
        const auto add = [&](uint32_t half, const float(&products)[2][kColumns][4]) {
          AddRun<kColumns>(stage + scales_at, rows, half, products, sums);
        };
        MultiplyRun<kBits, R::kTiles, R::kRowBytes, kColumns>(stage + tiles_at, rows, lane_, add);
        ring_.Release();
      }
      AddTurn<kColumns>(turn, sums);
    }
  }

  template <uint32_t kColumns>
  __device__ __forceinline__ void AddRun(const char* group, const char* rows, uint32_t half,
                                         const float (&products)[2][kColumns][4],
                                         float (&sums)[4][kColumns][4]) {
    const LaneScales scales(group, g_);
#pragma unroll
    for (uint32_t n = 0; n < kColumns; ++n) {
      const char* row = rows + (n * 8 + 2 * t_) * R::kRowBytes;
      const float inputs[2] = {SumOfInputs<kBits>(row), SumOfInputs<kBits>(row + R::kRowBytes)};
#pragma unroll
      for (uint32_t j = 0; j < 2; ++j) {
#pragma unroll
        for (uint32_t c = 0; c < 4; ++c) {
          float& sum = sums[2 * half + j][n][c];
          sum = AddScaled(sum, products[j][n][c], inputs[c % 2], kZero,
                          scales.values[2 * (2 * half + j) + c / 2]);
        }
      }
    }
  }

  // Totals lie in shared memory, each thread's kGroupedConsumers floats apart.
  __device__ float& Total(uint32_t j, uint32_t n, uint32_t c, uint32_t thread) {
    return shared_.totals[((j * kMoeWarpColumns + n) * 4 + c) * kGroupedConsumers + thread];
  }
  template <uint32_t kColumns>
  __device__ __forceinline__ void AddTurn(uint32_t turn, const float (&sums)[4][kColumns][4]) {
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
#pragma unroll
      for (uint32_t n = 0; n < kColumns; ++n) {
#pragma unroll
        for (uint32_t c = 0; c < 4; ++c) {
          float& total = Total(j, n, c, threadIdx.x);
          total = __fadd_rn(turn == 0 ? 0.0f : total, sums[j][n][c]);
        }
      }
    }
  }

  // The warps of gate and up of a unit have the same rows and channels in the same lanes; each
  // makes half of the unit's channels.
  __device__ void Activate(const GroupedItem& item, const GroupedShare& share, uint32_t unit) {
    const bool is_up = share.strip % 2 == 1;
    const uint32_t gate_strip = share.strip - (is_up ? 1 : 0);
    const uint32_t gate = GroupedShare::WarpOf(item, gate_strip, share.group) * kWarpLanes + lane_;
    const uint32_t up =
        GroupedShare::WarpOf(item, gate_strip + 1, share.group) * kWarpLanes + lane_;
    const uint64_t first_choice = uint64_t{unit} * work_.num_choices + item.first + share.first_row;
    char* to = work_.inner + 2 * first_choice * kMoeInputBytes;
    for (uint32_t n = 0; n * 8 < share.rows; ++n) {
#pragma unroll
      for (uint32_t c = 0; c < 4; ++c) {
        const uint32_t row = n * 8 + 2 * t_ + c % 2;
        if (row >= share.rows) continue;
#pragma unroll
        for (uint32_t i = 0; i < 2; ++i) {
          const uint32_t j = (is_up ? 2 : 0) + i;
          const SplitActivation inner(Total(j, n, c, gate), Total(j, n, c, up));
          const uint32_t channel = 16 * j + 8 * (c / 2) + g_;
          auto* high = reinterpret_cast<bf16*>(to + 2 * row * kMoeInputBytes);
          auto* low = reinterpret_cast<bf16*>(to + (2 * row + 1) * kMoeInputBytes);
          high[channel] = inner.high;
          low[channel] = inner.low;
        }
      }
    }
  }

  const MoeGroupedWork& work_;
  const GroupedShared& shared_;
  GroupedRingReader ring_;
  const uint32_t warp_;
  const uint32_t lane_;
  const uint32_t g_;
  const uint32_t t_;
};

template <uint32_t kBits>
__global__ void __launch_bounds__(kGroupedThreads, 1)
    GroupedW13Kernel(const __grid_constant__ MoeGroupedWork work) {
  extern __shared__ __align__(128) char memory[];
  const GroupedShared shared(memory, kMoeTotalBytes);
  InitGroupedRing(shared, work.num_stages);
  const uint32_t num_items = work.w13_items[work.num_experts];
  if (threadIdx.x >= kGroupedConsumers) {
    W13Producer<kBits>(work, shared).StreamAll(num_items);
    return;
  }
  W13Consumer<kBits> consumer(work, shared);
  for (uint32_t i = 0;; ++i) {
    const uint32_t item = consumer.Item(i);
    if (item >= num_items) return;
    consumer.Run(GroupedItem::OfW13(work, item));
  }
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_GROUPED_W13_CUH_
