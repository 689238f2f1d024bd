#include "tests/reference/moe_reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "common/base/bfloat16.h"

namespace spearfish::reference {
namespace {

using kernels::ExpertLayout;

constexpr uint64_t RoundUp(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Where the values of a uint32 stand, low to high: row r0..r3 and, for INT4, column half.
struct Place {
  uint32_t row;
  uint32_t half;
};
constexpr Place kInt4Order[8] = {{0, 0}, {2, 0}, {0, 1}, {2, 1}, {1, 0}, {3, 0}, {1, 1}, {3, 1}};
constexpr uint32_t kInt8Order[4] = {0, 2, 1, 3};

uint32_t Int4Position(uint32_t row, uint32_t half) {
  uint32_t position = 0;
  while (kInt4Order[position].row != row || kInt4Order[position].half != half) ++position;
  return position;
}

uint32_t Int8Position(uint32_t row) {
  uint32_t position = 0;
  while (kInt8Order[position] != row) ++position;
  return position;
}

uint32_t ReadWord(const std::byte* tile, uint32_t number) {
  uint32_t word;
  std::memcpy(&word, tile + number * sizeof(word), sizeof(word));
  return word;
}

int32_t StripInteger(const StripView& strip, uint32_t n, uint32_t k) {
  const uint64_t tile_bytes = strip.bits == 4 ? 512 : 1024;
  const uint64_t tile = uint64_t{n / 64} * (strip.inputs / 16) + k / 16;
  const std::byte* bytes = strip.packed + tile * tile_bytes;
  // column = 16j + i/4 + 8 * half, row = 2(i%4) + {0, 1, 8, 9}
  const uint32_t column = n % 64;
  const uint32_t row = k % 16;
  const uint32_t j = column / 16;
  const uint32_t half = column % 16 / 8;
  const uint32_t i = column % 8 * 4 + row % 8 / 2;
  const uint32_t which_row = row % 2 + (row >= 8 ? 2 : 0);
  if (strip.bits == 4) {
    const uint32_t word = ReadWord(bytes, i * 4 + j);
    return static_cast<int32_t>(word >> (4 * Int4Position(which_row, half)) & 0xfu) - 8;
  }
  const uint32_t word = ReadWord(bytes, (i * 4 + j) * 2 + half);
  return static_cast<int32_t>(word >> (8 * Int8Position(which_row)) & 0xffu) - 128;
}

float StripScale(const StripView& strip, uint32_t n, uint32_t k) {
  const uint32_t column = n % 64;
  const uint32_t position = column % 8 * 8 + column / 8;
  const uint64_t index =
      (uint64_t{n / 64} * (strip.inputs / strip.group) + k / strip.group) * 64 + position;
  BFloat16 scale;
  std::memcpy(&scale, strip.scales + index * sizeof(scale), sizeof(scale));
  return ToFloat(scale);
}

// W[outputs, inputs], exact in float32.
std::vector<float> Dequantize(const StripView& strip, uint32_t outputs) {
  std::vector<float> weights(uint64_t{outputs} * strip.inputs);
  for (uint32_t n = 0; n < outputs; ++n) {
    for (uint32_t k = 0; k < strip.inputs; ++k) {
      weights[uint64_t{n} * strip.inputs + k] = static_cast<float>(StripWeight(strip, n, k));
    }
  }
  return weights;
}

template <typename T>
double Dot(const float* weights, const T* x, uint32_t count) {
  double sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += static_cast<double>(weights[i]) * x[i];
  return sum;
}

double Silu(double v) { return v / (1.0 + std::exp(-v)); }

struct Slice {
  StripView gate;
  StripView up;
  StripView w2;
};

Slice SliceAt(const ExpertLayout& layout, const std::byte* slice) {
  const uint64_t gate_scales_bytes =
      uint64_t{layout.hidden} / layout.w13_group * layout.slice_channels * sizeof(BFloat16);
  const std::byte* w13_scales = slice + layout.w13_scales_offset;
  Slice views;
  views.gate = {slice + layout.gate_offset, w13_scales, layout.hidden, layout.w13_group,
                layout.bits};
  views.up = {slice + layout.up_offset, w13_scales + gate_scales_bytes, layout.hidden,
              layout.w13_group, layout.bits};
  views.w2 = {slice + layout.w2_offset, slice + layout.w2_scales_offset, layout.slice_channels,
              layout.w2_group, layout.bits};
  return views;
}

// One row's weighted choice of the expert at hand.
struct Visit {
  const float* x;
  double weight;
  double* out;
};

void AddExpert(const ExpertLayout& layout, const std::byte* record,
               const std::vector<Visit>& visits) {
  for (uint32_t s = 0; s < layout.num_slices; ++s) {
    const Slice slice = SliceAt(layout, record + s * layout.slice_bytes);
    const uint32_t channels = layout.slice_channels;
    const std::vector<float> gate = Dequantize(slice.gate, channels);
    const std::vector<float> up = Dequantize(slice.up, channels);
    const std::vector<float> w2 = Dequantize(slice.w2, layout.hidden);
    std::vector<double> inner(channels);
    for (const Visit& visit : visits) {
      for (uint32_t c = 0; c < channels; ++c) {
        const uint64_t row = uint64_t{c} * layout.hidden;
        inner[c] =
            Silu(Dot(&gate[row], visit.x, layout.hidden)) * Dot(&up[row], visit.x, layout.hidden);
      }
      for (uint32_t n = 0; n < layout.hidden; ++n) {
        visit.out[n] += visit.weight * Dot(&w2[uint64_t{n} * channels], inner.data(), channels);
      }
    }
  }
}

void FillScales(std::byte* to, uint64_t count, double magnitude, std::mt19937_64& random) {
  std::uniform_real_distribution<double> factor(0.5, 1.5);
  for (uint64_t i = 0; i < count; ++i) {
    const double sign = random() % 2 == 0 ? 1.0 : -1.0;
    const BFloat16 scale = ToBFloat16(static_cast<float>(sign * magnitude * factor(random)));
    std::memcpy(to + i * sizeof(scale), &scale, sizeof(scale));
  }
}

}  // namespace

ExpertLayout MakeExpertLayout(uint32_t hidden, uint32_t intermediate, uint32_t bits) {
  constexpr uint64_t kAlignment = 256;
  ExpertLayout layout = {};
  layout.hidden = hidden;
  layout.intermediate = intermediate;
  layout.bits = bits;
  layout.slice_channels = intermediate % 128 == 0 ? 128 : 64;
  layout.num_slices = intermediate / layout.slice_channels;
  layout.w13_group = hidden % 128 == 0 ? 128 : 64;
  layout.w2_group = layout.slice_channels;
  const uint64_t strip_bytes = uint64_t{hidden} * layout.slice_channels * bits / 8;
  const uint64_t strip_weights = uint64_t{hidden} * layout.slice_channels;
  layout.gate_offset = 0;
  layout.up_offset = RoundUp(strip_bytes, kAlignment);
  layout.w13_scales_offset = layout.up_offset + RoundUp(strip_bytes, kAlignment);
  layout.w2_offset =
      RoundUp(layout.w13_scales_offset + 2 * strip_weights / layout.w13_group * 2, kAlignment);
  layout.w2_scales_offset = layout.w2_offset + RoundUp(strip_bytes, kAlignment);
  layout.slice_bytes =
      RoundUp(layout.w2_scales_offset + strip_weights / layout.w2_group * 2, kAlignment);
  layout.record_bytes = RoundUp(layout.num_slices * layout.slice_bytes, 4096);
  return layout;
}

double StripWeight(const StripView& strip, uint32_t n, uint32_t k) {
  return static_cast<double>(StripInteger(strip, n, k)) * StripScale(strip, n, k);
}

void FillRandomRecord(const ExpertLayout& layout, uint64_t seed, std::byte* record) {
  std::mt19937_64 random(seed);
  for (uint64_t i = 0; i < layout.record_bytes; i += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(record + i, &word, sizeof(word));
  }
  const double integer_rms = layout.bits == 4 ? 4.6 : 74.0;
  const uint64_t strip_weights = uint64_t{layout.hidden} * layout.slice_channels;
  for (uint32_t s = 0; s < layout.num_slices; ++s) {
    std::byte* slice = record + s * layout.slice_bytes;
    FillScales(slice + layout.w13_scales_offset, 2 * strip_weights / layout.w13_group,
               1.0 / integer_rms / std::sqrt(layout.hidden), random);
    FillScales(slice + layout.w2_scales_offset, strip_weights / layout.w2_group,
               1.0 / integer_rms / std::sqrt(layout.intermediate), random);
  }
}

std::vector<double> Moe(const kernels::MoeArgs& args) {
  const size_t hidden = args.layout.hidden;
  const auto* x = static_cast<const float*>(args.x);
  std::vector<double> out(args.num_rows * hidden, 0.0);
  for (uint32_t expert = 0; expert < args.num_experts; ++expert) {
    std::vector<Visit> visits;
    for (size_t pair = 0; pair < size_t{args.num_rows} * args.k; ++pair) {
      if (args.expert_ids[pair] != static_cast<int32_t>(expert)) continue;
      const size_t row = pair / args.k;
      visits.push_back(
          {.x = x + row * hidden, .weight = args.expert_weights[pair], .out = &out[row * hidden]});
    }
    if (visits.empty()) continue;
    const auto* record = reinterpret_cast<const std::byte*>(args.address_table[expert]);
    AddExpert(args.layout, record, visits);
  }
  return out;
}

}  // namespace spearfish::reference
