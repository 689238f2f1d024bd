// The second product of the grouped MoE: a run of outputs of every choice, summed over its units.
#ifndef KERNELS_CUDA_MOE_GROUPED_W2_CUH_
#define KERNELS_CUDA_MOE_GROUPED_W2_CUH_

#include "kernels/cuda/moe_grouped.cuh"

namespace spearfish::kernels {

// Strips of the item in this pass; none in a part behind the last.
__device__ __forceinline__ uint32_t W2Strips(const MoeGroupedWork& work, const GroupedItem& item) {
  const uint32_t first = work.first_strip + item.part * item.strips;
  const uint32_t end = min(work.first_strip + work.strips_a_pass, work.layout.hidden / 64);
  return first < end ? min(item.strips, end - first) : 0;
}

template <uint32_t kBits>
class W2Producer {
 public:
  __device__ W2Producer(const MoeGroupedWork& work, const GroupedShared& shared)
      : work_(work), ring_(shared, work), taker_(work, shared) {}

  __device__ void StreamAll(uint32_t num_items) {
    uint32_t number = taker_.Take(num_items);
    for (; number < num_items; number = taker_.Take(num_items)) {
      const GroupedItem item = GroupedItem::OfW2(work_, number);
      const uint32_t strips = W2Strips(work_, item);
      if (strips == 0) continue;
      taker_.Publish(number);
      for (uint32_t unit = 0; unit < work_.units; ++unit) StreamUnit(item, strips, unit);
    }
    taker_.Publish(number);
    ring_.EndAll();
  }

 private:
  static constexpr uint32_t kTileBytes = kBits * 128;
  static constexpr uint32_t kStripBytes = 4 * kTileBytes;

  __device__ void StreamUnit(const GroupedItem& item, uint32_t strips, uint32_t unit) {
    const ExpertLayout& layout = work_.layout;
    const uint32_t channel = unit * kMoeUnitChannels;
    const uint32_t in_slice = channel % layout.slice_channels;
    const char* slice = reinterpret_cast<const char*>(work_.address_table[item.expert]) +
                        (channel / layout.slice_channels) * layout.slice_bytes;
    const uint64_t strip_bytes = uint64_t{layout.slice_channels} / 16 * kTileBytes;
    const uint64_t groups = layout.slice_channels / layout.w2_group;
    const uint64_t first = work_.first_strip + item.part * item.strips;
    const char* tiles =
        slice + layout.w2_offset + first * strip_bytes + in_slice / 16 * uint64_t{kTileBytes};
    const char* scales = slice + layout.w2_scales_offset +
                         (first * groups + in_slice / layout.w2_group) * kMoeScaleBytes;
    const MoeStageShape shape = {item.strips, kStripBytes};
    const uint32_t input_bytes = 2 * item.count * kMoeInputBytes;
    char* stage = ring_.Begin(strips * (kStripBytes + kMoeScaleBytes) + input_bytes);
    IssueParts(2 * strips + 1, ring_.barrier(), [&](uint32_t i) -> CopyPart {
      if (i == 2 * strips) {
        const uint64_t choice = uint64_t{unit} * work_.num_choices + item.first;
        return {stage + shape.inputs(), work_.inner + 2 * choice * kMoeInputBytes, input_bytes};
      }
      if (i < strips) return {stage + i * kStripBytes, tiles + i * strip_bytes, kStripBytes};
      const uint32_t s = i - strips;
      return {stage + shape.scales() + s * kMoeScaleBytes, scales + s * groups * kMoeScaleBytes,
              kMoeScaleBytes};
    });
    ring_.End();
  }

  const MoeGroupedWork& work_;
  GroupedRingFiller ring_;
  GroupedItemTaker taker_;
};

template <uint32_t kBits>
class W2Consumer {
 public:
  __device__ W2Consumer(const MoeGroupedWork& work, const GroupedShared& shared)
      : work_(work),
        ring_(shared, work),
        warp_(threadIdx.x / kWarpLanes),
        lane_(threadIdx.x % kWarpLanes),
        g_(lane_ / 4),
        t_(lane_ % 4) {}

  __device__ uint32_t Item(uint32_t i) { return ring_.Item(i); }

  __device__ void Run(const GroupedItem& item) {
    GroupedShare share = GroupedShare::Of<4>(item, warp_);
    if (share.strip >= W2Strips(work_, item)) share.rows = 0;
    switch ((share.rows + 3) / 4) {
      case 0:
        return Skip();
      case 1:
        return Multiply<1>(item, share);
      case 2:
        return Multiply<2>(item, share);
      default:
        return Multiply<kMoeWarpColumns>(item, share);
    }
  }

 private:
  static constexpr uint32_t kStripBytes = MoeW2StripBytes(kBits);
  static constexpr float kZero = TileWords<kBits>::kBias;

  __device__ void Skip() {
    for (uint32_t unit = 0; unit < work_.units; ++unit) {
      ring_.Wait();
      ring_.Release();
    }
  }

  // Row 4n + t of the share (both of its columns) and outputs 16j + g, 16j + 8 + g of the strip.
  // Units are added in parts of kMoePartUnits, and parts to the total, as the decode kernel does.
  template <uint32_t kColumns>
  __device__ void Multiply(const GroupedItem& item, const GroupedShare& share) {
    const MoeStageShape shape = {item.strips, kStripBytes};
    const uint32_t tiles_at = share.strip * kStripBytes;
    const uint32_t scales_at = shape.scales() + share.strip * kMoeScaleBytes;
    const uint32_t rows_at = shape.inputs() + 2 * share.first_row * kMoeInputBytes;
    float parts[4][kColumns][2] = {};
    float totals[4][kColumns][2] = {};
#pragma unroll 1
    for (uint32_t unit = 0; unit < work_.units; ++unit) {
      const char* stage = ring_.Wait();
      const char* rows = stage + rows_at;
      const auto add = [&](uint32_t outputs, const float(&products)[2][kColumns][4]) {
        AddUnit<kColumns>(unit % kMoePartUnits == 0, stage + scales_at, rows, outputs, products,
                          parts);
      };
      MultiplyRun<kBits, 4, kMoeInputBytes, kColumns>(stage + tiles_at, rows, lane_, add);
      ring_.Release();
      if ((unit + 1) % kMoePartUnits == 0 || unit + 1 == work_.units) {
        AddPart<kColumns>(unit < kMoePartUnits, parts, totals);
      }
    }
    Store<kColumns>(item, share, totals);
  }

  template <uint32_t kColumns>
  __device__ __forceinline__ void AddUnit(bool is_first, const char* group, const char* rows,
                                          uint32_t outputs, const float (&products)[2][kColumns][4],
                                          float (&parts)[4][kColumns][2]) {
    const LaneScales scales(group, g_);
#pragma unroll
    for (uint32_t n = 0; n < kColumns; ++n) {
      const char* row = rows + (n * 8 + 2 * t_) * kMoeInputBytes;
      const float bias =
          PairBias(SumOfInputs<kBits>(row), SumOfInputs<kBits>(row + kMoeInputBytes), kZero);
#pragma unroll
      for (uint32_t j = 0; j < 2; ++j) {
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
          const uint32_t block = 2 * outputs + j;
          const float(&product)[4] = products[j][n];
          const float value = PairOutput(product[2 * half], product[2 * half + 1], bias,
                                         scales.values[2 * block + half]);
          float& part = parts[block][n][half];
          part = is_first ? value : __fadd_rn(value, part);
        }
      }
    }
  }

  template <uint32_t kColumns>
  __device__ __forceinline__ void AddPart(bool is_first, const float (&parts)[4][kColumns][2],
                                          float (&totals)[4][kColumns][2]) {
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
#pragma unroll
      for (uint32_t n = 0; n < kColumns; ++n) {
#pragma unroll
        for (uint32_t half = 0; half < 2; ++half) {
          float& total = totals[j][n][half];
          total = is_first ? parts[j][n][half] : __fadd_rn(total, parts[j][n][half]);
        }
      }
    }
  }

  template <uint32_t kColumns>
  __device__ __forceinline__ void Store(const GroupedItem& item, const GroupedShare& share,
                                        const float (&totals)[4][kColumns][2]) {
    const uint32_t column = (item.part * item.strips + share.strip) * 64 + g_;
#pragma unroll
    for (uint32_t n = 0; n < kColumns; ++n) {
      const uint32_t row = n * 4 + t_;
      if (row >= share.rows) continue;
      const auto choice = static_cast<uint64_t>(work_.members[item.first + share.first_row + row]);
      float* to = work_.outputs + choice * work_.strips_a_pass * 64 + column;
#pragma unroll
      for (uint32_t j = 0; j < 4; ++j) {
        to[16 * j] = totals[j][n][0];
        to[16 * j + 8] = totals[j][n][1];
      }
    }
  }

  const MoeGroupedWork& work_;
  GroupedRingReader ring_;
  const uint32_t warp_;
  const uint32_t lane_;
  const uint32_t g_;
  const uint32_t t_;
};

template <uint32_t kBits>
__global__ void __launch_bounds__(kGroupedThreads, 1)
    GroupedW2Kernel(const __grid_constant__ MoeGroupedWork work) {
  extern __shared__ __align__(128) char memory[];
  const GroupedShared shared(memory, 0);
  InitGroupedRing(shared, work.num_stages);
  const uint32_t num_items = work.w2_items[work.num_experts];
  if (threadIdx.x >= kGroupedConsumers) {
    W2Producer<kBits>(work, shared).StreamAll(num_items);
    return;
  }
  W2Consumer<kBits> consumer(work, shared);
  for (uint32_t i = 0;; ++i) {
    const uint32_t item = consumer.Item(i);
    if (item >= num_items) return;
    consumer.Run(GroupedItem::OfW2(work, item));
  }
}

}  // namespace spearfish::kernels

#endif  // KERNELS_CUDA_MOE_GROUPED_W2_CUH_
