#include "kernels/cpu/moe_slice.h"

#include <algorithm>

#include "kernels/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/moe_slice.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After foreach_target.h, which includes this file again for each target.
#include "hwy/contrib/math/math-inl.h"
#include "kernels/cpu/moe_strip-inl.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels::HWY_NAMESPACE {

constexpr float kSmallestGroupMax = 1e-30f;
constexpr float kLargestInteger = 32767.0f;
constexpr uint32_t kMaxSliceChannels = 128;
constexpr uint32_t kMinGroup = 64;

// The largest |x| by its bits, so that a NaN counts as larger than anything.
float MaxMagnitude(const float* x, uint32_t count) {
  const DF32 df;
  const DI32 di;
  const VI32 clear_sign = hn::Set(di, 0x7fffffff);
  VI32 largest = hn::Zero(di);
  for (uint32_t i = 0; i < count; i += hn::Lanes(df)) {
    largest = hn::Max(largest, hn::And(hn::BitCast(di, hn::LoadU(df, x + i)), clear_sign));
  }
  return hn::GetLane(hn::BitCast(df, hn::MaxOfLanes(di, largest)));
}

void QuantizeGroup(const float* x, uint32_t count, int16_t* values, int32_t* sums, float* scale) {
  const DF32 df;
  const hn::Rebind<int16_t, DI32> d16;
  const float largest = MaxMagnitude(x, count);
  const bool zero = largest < kSmallestGroupMax;  // false for a NaN
  *scale = zero ? 0.0f : largest / kLargestInteger;
  const VF32 inverse = hn::Set(df, zero ? 0.0f : kLargestInteger / largest);
  for (uint32_t i = 0; i < count; i += hn::Lanes(df)) {
    const VI32 rounded = hn::NearestInt(hn::Mul(hn::LoadU(df, x + i), inverse));
    hn::StoreU(hn::DemoteTo(d16, rounded), d16, values + i);
  }
  const hn::CappedTag<int32_t, 4> d4;
  const hn::Repartition<int16_t, decltype(d4)> d8;
  auto total = hn::Zero(d4);
  for (uint32_t i = 0; i < count; i += 8) {
    total = MulAddPairs(d4, hn::Load(d8, values + i), hn::Set(d8, int16_t{1}), total);
  }
  hn::Store(total, d4, sums);
}

void QuantizeRow(const float* x, uint32_t inputs, uint32_t group, const QuantizedRow& out) {
  for (uint32_t g = 0; g < inputs / group; ++g) {
    QuantizeGroup(x + g * group, group, out.values + g * group, out.sums + g * 4, out.scales + g);
  }
}

// Tile order to natural order, 64 values: from[4c + j] -> to[16j + c].
void StoreNatural(const float* HWY_RESTRICT from, float* HWY_RESTRICT to) {
  const DF32 df;
  for (uint32_t c = 0; c < 16; c += hn::Lanes(df)) {
    VF32 v0, v1, v2, v3;
    hn::LoadInterleaved4(df, from + c * 4, v0, v1, v2, v3);
    hn::StoreU(v0, df, to + c);
    hn::StoreU(v1, df, to + 16 + c);
    hn::StoreU(v2, df, to + 32 + c);
    hn::StoreU(v3, df, to + 48 + c);
  }
}

// gate[i] = silu(gate[i]) * up[i], silu(v) = v / (1 + exp(-v)).
void ApplySilu(float* HWY_RESTRICT gate, const float* HWY_RESTRICT up, uint32_t count) {
  const DF32 df;
  const VF32 one = hn::Set(df, 1.0f);
  const VF32 largest_exponent = hn::Set(df, 100.0f);  // exp is infinite there, silu -0
  for (uint32_t i = 0; i < count; i += hn::Lanes(df)) {
    const VF32 v = hn::Load(df, gate + i);
    const VF32 e = hn::Exp(df, hn::Min(hn::Neg(v), largest_exponent));
    const VF32 silu = hn::Div(v, hn::Add(one, e));
    hn::Store(hn::Mul(silu, hn::Load(df, up + i)), df, gate + i);
  }
}

template <uint32_t kBits>
void RunSliceBits(const MoeSliceTask& task) {
  const ExpertLayout& layout = *task.layout;
  const uint32_t channels = layout.slice_channels;
  alignas(64) float gate[kMaxSliceRows][kMaxSliceChannels];
  alignas(64) float up[kMaxSliceRows][kMaxSliceChannels];
  float* gate_rows[kMaxSliceRows];
  float* up_rows[kMaxSliceRows];
  for (uint32_t r = 0; r < task.num_rows; ++r) {
    gate_rows[r] = gate[r];
    up_rows[r] = up[r];
  }
  const uint64_t scales_bytes =
      uint64_t{layout.hidden} / layout.w13_group * channels * sizeof(uint16_t);
  const uint8_t* w13_scales = task.slice + layout.w13_scales_offset;
  Strip strip = {.packed = task.slice + layout.gate_offset,
                 .scales = w13_scales,
                 .outputs = channels,
                 .inputs = layout.hidden,
                 .group = layout.w13_group};
  MultiplyStrip<kBits>(strip, task.rows, task.num_rows, gate_rows, SliceOutput::kStore);
  strip.packed = task.slice + layout.up_offset;
  strip.scales = w13_scales + scales_bytes;
  MultiplyStrip<kBits>(strip, task.rows, task.num_rows, up_rows, SliceOutput::kStore);

  alignas(64) int16_t values[kMaxSliceRows][kMaxSliceChannels];
  alignas(64) int32_t sums[kMaxSliceRows][kMaxSliceChannels / kMinGroup][4];
  float scales[kMaxSliceRows][kMaxSliceChannels / kMinGroup];
  QuantizedRow rows[kMaxSliceRows];
  for (uint32_t r = 0; r < task.num_rows; ++r) {
    ApplySilu(gate[r], up[r], channels);
    for (uint32_t i = 0; i < channels; i += kTileOutputs) StoreNatural(gate[r] + i, up[r] + i);
    rows[r] = {.values = values[r], .sums = sums[r][0], .scales = scales[r]};
    QuantizeRow(up[r], channels, layout.w2_group, rows[r]);
  }
  strip = {.packed = task.slice + layout.w2_offset,
           .scales = task.slice + layout.w2_scales_offset,
           .outputs = layout.hidden,
           .inputs = channels,
           .group = layout.w2_group};
  MultiplyStrip<kBits>(strip, rows, task.num_rows, task.outs, task.output);
}

void RunSlice(const MoeSliceTask& task) {
  if (task.layout->bits == 4) {
    RunSliceBits<4>(task);
  } else {
    RunSliceBits<8>(task);
  }
}

void CombineRow(const MoeCombineTask& task) {
  const DF32 df;
  alignas(64) float total[kTileOutputs];
  for (uint32_t first = 0; first < task.num_outputs; first += kTileOutputs) {
    for (uint32_t n = 0; n < kTileOutputs; n += hn::Lanes(df)) {
      const float* part = task.parts + first + n;
      VF32 sum = hn::Zero(df);
      for (uint32_t i = 0; i < task.k; ++i) {
        VF32 expert = hn::Load(df, part);
        part += task.part_stride;
        for (uint32_t s = 1; s < task.num_parts; ++s, part += task.part_stride) {
          expert = hn::Add(expert, hn::Load(df, part));
        }
        sum = hn::MulAdd(hn::Set(df, task.weights[i]), expert, sum);
      }
      hn::Store(sum, df, total + n);
    }
    StoreNatural(total, task.out + first);
  }
}

}  // namespace spearfish::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace spearfish::kernels {

HWY_EXPORT(QuantizeRow);
HWY_EXPORT(RunSlice);
HWY_EXPORT(CombineRow);

void QuantizeMoeRow(const float* x, uint32_t inputs, uint32_t group, const QuantizedRow& out) {
  HWY_DYNAMIC_DISPATCH(QuantizeRow)(x, inputs, group, out);
}

void RunMoeSlice(const MoeSliceTask& task) { HWY_DYNAMIC_DISPATCH(RunSlice)(task); }

void CombineMoeRow(const MoeCombineTask& task) { HWY_DYNAMIC_DISPATCH(CombineRow)(task); }

}  // namespace spearfish::kernels
#endif  // HWY_ONCE
