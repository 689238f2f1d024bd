// Rows of int16 activations times a packed strip W[N, K] of Marlin tiles, per target.
#if defined(KERNELS_CPU_MOE_STRIP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_CPU_MOE_STRIP_INL_H_
#undef KERNELS_CPU_MOE_STRIP_INL_H_
#else
#define KERNELS_CPU_MOE_STRIP_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "kernels/cpu/moe_slice.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace spearfish::kernels::HWY_NAMESPACE {

// A tile is eight lines; line t holds the outputs t + 8m. A line feeds two int32 accumulators of 16
// lanes ("halves"), worked on in parts of one vector.
//
//   INT4, 64 bytes a line: word 4a + j = inputs {2a, 2a+1, 2a+8, 2a+9} of outputs t + 16j (half 0,
//     nibbles 0, 4, 1, 5) and t + 16j + 8 (half 1, nibbles 2, 6, 3, 7).
//   INT8, 128 bytes a line: word 8a + 2j + b = the same inputs of output t + 16j + 8b, bytes
//     0, 2, 1, 3; half h holds the words of a = 2h, 2h + 1.
//
// So an int16 pair of one word times the matching pair of inputs is one step of a dot product, and
// the pairs are reached by masks and one shift.
inline constexpr uint32_t kLines = 8;
inline constexpr uint32_t kHalves = 2;
inline constexpr uint32_t kLineLanes = 16;
inline constexpr uint32_t kTileInputs = 16;
inline constexpr uint32_t kTileOutputs = 64;

// Inputs' lane a of a word, and its output among the eight of a line.
template <uint32_t kBits>
constexpr uint32_t InputLane(uint32_t half, uint32_t lane) {
  return kBits == 4 ? lane / 4 : 2 * half + lane / 8;
}
template <uint32_t kBits>
constexpr uint32_t LineOutput(uint32_t half, uint32_t lane) {
  return kBits == 4 ? 2 * (lane % 4) + half : lane % 8;
}

// Byte shuffles that spread four words of inputs, or eight bfloat16 scales, over a line's lanes.
struct LineShuffles {
  alignas(64) uint8_t inputs[kHalves][kLineLanes * 4];
  alignas(64) uint8_t scales[kHalves][kLineLanes * 4];
};

template <uint32_t kBits>
constexpr LineShuffles MakeLineShuffles() {
  LineShuffles shuffles = {};
  for (uint32_t half = 0; half < kHalves; ++half) {
    for (uint32_t lane = 0; lane < kLineLanes; ++lane) {
      for (uint32_t byte = 0; byte < 4; ++byte) {
        shuffles.inputs[half][lane * 4 + byte] =
            static_cast<uint8_t>(InputLane<kBits>(half, lane) * 4 + byte);
        // The scale becomes the upper half of a float; 0x80 makes a zero byte.
        shuffles.scales[half][lane * 4 + byte] =
            static_cast<uint8_t>(byte < 2 ? 0x80 : LineOutput<kBits>(half, lane) * 2 + byte - 2);
      }
    }
  }
  return shuffles;
}

template <uint32_t kBits>
inline constexpr LineShuffles kLineShuffles = MakeLineShuffles<kBits>();

using DI32 = hn::CappedTag<int32_t, kLineLanes>;
using DU32 = hn::Rebind<uint32_t, DI32>;
using DF32 = hn::Rebind<float, DI32>;
using DI16 = hn::Repartition<int16_t, DI32>;
using DU8 = hn::Repartition<uint8_t, DI32>;
using VI32 = hn::Vec<DI32>;
using VI16 = hn::Vec<DI16>;
using VF32 = hn::Vec<DF32>;

// 64 outputs of a strip: a column of tiles over all K, its scales, and how K is grouped.
struct TileColumn {
  const uint32_t* tiles;
  const uint16_t* scales;  // bfloat16 [num_groups][64], position 8t + m is output t + 8m
  uint32_t num_groups;
  uint32_t tiles_per_group;
};

template <uint32_t kBits>
struct Tile {
  static constexpr uint32_t kLineWords = kBits == 4 ? 16 : 32;
  static constexpr uint32_t kWords = kLines * kLineWords;
  static constexpr int32_t kZeroPoint = kBits == 4 ? 8 : 128;
  // Half 1 of INT4 is read in place, eight bits up: 256 * 8 * 32767 * 32 products of a 128-input
  // group still fit in an int32.
  static constexpr int32_t kHalfOneUnit = kBits == 4 ? 256 : 1;
};

// Four words (16 bytes at p) spread over the lanes of a line's part.
template <uint32_t kBits, typename T>
HWY_INLINE hn::Vec<hn::Repartition<T, DI32>> SpreadInputs(const T* p, uint32_t half,
                                                          uint32_t lane) {
  const hn::Repartition<T, DI32> d;
  const auto control = hn::Load(DU8(), kLineShuffles<kBits>.inputs[half] + lane * 4);
  return hn::BitCast(d, hn::TableLookupBytes(hn::BitCast(DU8(), hn::LoadDup128(d, p)), control));
}

// Hardware prefetchers stop at the end of a 4 KiB page; reading on into the second-level cache two
// pages ahead is worth 15 to 20 % at batch 1 (tests/bench/RESULTS.md). Addresses past the record
// are harmless.
inline constexpr uint32_t kPrefetchWords = 8192 / sizeof(uint32_t);

HWY_INLINE void PrefetchLines(const uint32_t* from, uint32_t num_words) {
  constexpr uint32_t kCacheLineWords = 16;
#pragma GCC unroll 16
  for (uint32_t i = 0; i < num_words; i += kCacheLineWords) {
    __builtin_prefetch(from + i, /*rw=*/0, /*locality=*/2);
  }
}

// One group of inputs, kCount lines from `line` on, the lanes [lane, lane + vector): integer sums
// over the group, then sums[row][line][half] += float(integer) * weight scale * input scale.
// sums is [kRows][kLines][kHalves][kLineLanes].
template <uint32_t kBits, uint32_t kRows, uint32_t kCount>
HWY_INLINE void AccumulateGroup(const TileColumn& column, uint32_t group, uint32_t line,
                                uint32_t lane, const QuantizedRow* HWY_RESTRICT rows,
                                float* HWY_RESTRICT sums) {
  using Format = Tile<kBits>;
  const DI32 d32;
  const DU32 du32;
  const DI16 d16;
  const DF32 df;
  VI32 acc[kRows][kCount][kHalves];
#pragma GCC unroll 8
  for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (uint32_t half = 0; half < kHalves; ++half) {
      const VI32 sum = SpreadInputs<kBits>(rows[r].sums + group * 4, half, lane);
      const int32_t unit = half == 0 ? 1 : Format::kHalfOneUnit;
      const VI32 start = hn::Mul(sum, hn::Set(d32, -Format::kZeroPoint * unit));
#pragma GCC unroll 8
      for (uint32_t l = 0; l < kCount; ++l) acc[r][l][half] = start;
    }
  }

  const uint32_t first_tile = group * column.tiles_per_group;
  const uint32_t* HWY_RESTRICT words =
      column.tiles + uint64_t{first_tile} * Format::kWords + line * Format::kLineWords + lane;
  uint64_t input = uint64_t{first_tile} * kTileInputs;
  for (uint32_t tile = 0; tile < column.tiles_per_group; ++tile) {
    VI16 low[kRows][kHalves];   // inputs 2a, 2a + 1
    VI16 high[kRows][kHalves];  // inputs 2a + 8, 2a + 9
#pragma GCC unroll 8
    for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (uint32_t half = 0; half < kHalves; ++half) {
        if (kBits == 4 && half == 1) {
          low[r][1] = low[r][0];
          high[r][1] = high[r][0];
        } else {
          low[r][half] = SpreadInputs<kBits>(rows[r].values + input, half, lane);
          high[r][half] = SpreadInputs<kBits>(rows[r].values + input + 8, half, lane);
        }
      }
    }
#pragma GCC unroll 8
    for (uint32_t l = 0; l < kCount; ++l) {
      VI16 weights_low[kHalves];
      VI16 weights_high[kHalves];
      if constexpr (kBits == 4) {
        const auto even = hn::LoadU(du32, words + l * Format::kLineWords);
        const auto odd = hn::ShiftRight<4>(even);
        const auto mask0 = hn::Set(du32, 0x000f000fu);
        const auto mask1 = hn::Set(du32, 0x0f000f00u);
        weights_low[0] = hn::BitCast(d16, hn::And(even, mask0));
        weights_low[1] = hn::BitCast(d16, hn::And(even, mask1));
        weights_high[0] = hn::BitCast(d16, hn::And(odd, mask0));
        weights_high[1] = hn::BitCast(d16, hn::And(odd, mask1));
      } else {
        const auto mask = hn::Set(du32, 0x00ff00ffu);
#pragma GCC unroll 8
        for (uint32_t half = 0; half < kHalves; ++half) {
          const auto even = hn::LoadU(du32, words + l * Format::kLineWords + half * kLineLanes);
          weights_low[half] = hn::BitCast(d16, hn::And(even, mask));
          weights_high[half] = hn::BitCast(d16, hn::And(hn::ShiftRight<8>(even), mask));
        }
      }
#pragma GCC unroll 8
      for (uint32_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
        for (uint32_t half = 0; half < kHalves; ++half) {
          acc[r][l][half] = MulAddPairs(d32, weights_low[half], low[r][half], acc[r][l][half]);
          acc[r][l][half] = MulAddPairs(d32, weights_high[half], high[r][half], acc[r][l][half]);
        }
      }
    }
    if (lane == 0) PrefetchLines(words + kPrefetchWords, kCount * Format::kLineWords);
    words += Format::kWords;
    input += kTileInputs;
  }

  const uint16_t* HWY_RESTRICT scales = column.scales + group * kTileOutputs + line * kLines;
#pragma GCC unroll 8
  for (uint32_t l = 0; l < kCount; ++l) {
    const auto line_scales =
        hn::LoadDup128(DU8(), reinterpret_cast<const uint8_t*>(scales + l * 8));
#pragma GCC unroll 8
    for (uint32_t half = 0; half < kHalves; ++half) {
      const auto control = hn::Load(DU8(), kLineShuffles<kBits>.scales[half] + lane * 4);
      const VF32 weight_scale = hn::BitCast(df, hn::TableLookupBytesOr0(line_scales, control));
#pragma GCC unroll 8
      for (uint32_t r = 0; r < kRows; ++r) {
        const float unit = half == 0 ? 1.0f : 1.0f / Format::kHalfOneUnit;
        const VF32 scale = hn::Mul(weight_scale, hn::Set(df, rows[r].scales[group] * unit));
        float* to = sums + ((r * kLines + line + l) * kHalves + half) * kLineLanes + lane;
        const VF32 value = hn::ConvertTo(df, acc[r][l][half]);
        hn::Store(hn::MulAdd(value, scale, hn::Load(df, to)), df, to);
      }
    }
  }
}

// The lanes that belong to one output, in fixed order: out[4c + j] is output 16j + c.
template <uint32_t kBits>
HWY_INLINE void SumLanes(const float* HWY_RESTRICT sums, SliceOutput output,
                         float* HWY_RESTRICT out) {
  const hn::CappedTag<float, 4> d;
  for (uint32_t line = 0; line < kLines; ++line) {
    const float* from = sums + line * kHalves * kLineLanes;
    hn::Vec<decltype(d)> total[2];
    if constexpr (kBits == 4) {
      for (uint32_t half = 0; half < kHalves; ++half) {
        const float* lanes = from + half * kLineLanes;
        total[half] = hn::Add(hn::Add(hn::Load(d, lanes), hn::Load(d, lanes + 4)),
                              hn::Add(hn::Load(d, lanes + 8), hn::Load(d, lanes + 12)));
      }
    } else {
      hn::Vec<decltype(d)> outputs[2];  // the line's outputs 0..3, 4..7
      for (uint32_t i = 0; i < 2; ++i) {
        const float* lanes = from + i * 4;
        outputs[i] = hn::Add(hn::Add(hn::Load(d, lanes), hn::Load(d, lanes + 8)),
                             hn::Add(hn::Load(d, lanes + 16), hn::Load(d, lanes + 24)));
      }
      total[0] = hn::ConcatEven(d, outputs[1], outputs[0]);
      total[1] = hn::ConcatOdd(d, outputs[1], outputs[0]);
    }
    for (uint32_t half = 0; half < kHalves; ++half) {
      float* to = out + (half * kLines + line) * 4;
      hn::Store(output == SliceOutput::kAdd ? hn::Add(hn::Load(d, to), total[half]) : total[half],
                d, to);
    }
  }
}

// 64 outputs of kRows rows. Accumulators stay in registers: as many lines at once as they allow.
template <uint32_t kBits, uint32_t kRows>
HWY_NOINLINE void MultiplyColumn(const TileColumn& column, const QuantizedRow* rows,
                                 float* const* outs, uint64_t out_offset, SliceOutput output) {
  constexpr uint32_t kAccumulators = hn::MaxLanes(DI32()) == kLineLanes ? 16 : 8;
  constexpr uint32_t kFit = kAccumulators / (kHalves * kRows);
  constexpr uint32_t kCount = kFit >= 8 ? 8 : kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1;
  constexpr uint32_t kSums = kLines * kHalves * kLineLanes;
  alignas(64) float sums[kRows * kSums];
  std::memset(sums, 0, sizeof(sums));
  for (uint32_t group = 0; group < column.num_groups; ++group) {
    for (uint32_t line = 0; line < kLines; line += kCount) {
      for (uint32_t lane = 0; lane < kLineLanes; lane += hn::Lanes(DI32())) {
        AccumulateGroup<kBits, kRows, kCount>(column, group, line, lane, rows, sums);
      }
    }
  }
  for (uint32_t r = 0; r < kRows; ++r) {
    SumLanes<kBits>(sums + r * kSums, output, outs[r] + out_offset);
  }
}

// A packed strip W[outputs, inputs] and where its scales are.
struct Strip {
  const uint8_t* packed;
  const uint8_t* scales;
  uint32_t outputs;
  uint32_t inputs;
  uint32_t group;
};

// outs[r] (+)= W rows[r], tile order. A column of tiles stays in cache for all rows.
template <uint32_t kBits>
HWY_INLINE void MultiplyStrip(const Strip& strip, const QuantizedRow* rows, uint32_t num_rows,
                              float* const* outs, SliceOutput output) {
  const uint64_t column_words = uint64_t{strip.inputs} / kTileInputs * Tile<kBits>::kWords;
  TileColumn column = {.tiles = reinterpret_cast<const uint32_t*>(strip.packed),
                       .scales = reinterpret_cast<const uint16_t*>(strip.scales),
                       .num_groups = strip.inputs / strip.group,
                       .tiles_per_group = strip.group / kTileInputs};
  for (uint32_t first = 0; first < strip.outputs; first += kTileOutputs) {
    uint32_t r = 0;
    for (; r + 4 <= num_rows; r += 4) {
      MultiplyColumn<kBits, 4>(column, rows + r, outs + r, first, output);
    }
    switch (num_rows - r) {
      case 3:
        MultiplyColumn<kBits, 3>(column, rows + r, outs + r, first, output);
        break;
      case 2:
        MultiplyColumn<kBits, 2>(column, rows + r, outs + r, first, output);
        break;
      case 1:
        MultiplyColumn<kBits, 1>(column, rows + r, outs + r, first, output);
        break;
      default:
        break;
    }
    column.tiles += column_words;
    column.scales += uint64_t{column.num_groups} * kTileOutputs;
  }
}

}  // namespace spearfish::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KERNELS_CPU_MOE_STRIP_INL_H_
