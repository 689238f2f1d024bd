#include "common/expert_cache/expert_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "common/base/bfloat16.h"
#include "common/expert_cache/quantizer.h"
#include "tests/support/safetensors_writer.h"
#include "tests/unit/expert_cache/marlin_permutation.h"

namespace spearfish {
namespace {

// Owns the bytes that the tensors of `weights` point to.
struct OwnedExpert {
  OwnedExpert(uint32_t hidden, uint32_t intermediate, DType dtype) {
    std::mt19937 random(hidden * 31 + intermediate);
    std::normal_distribution<float> normal(0, 0.05f);
    const std::array<std::array<int64_t, 2>, 3> shapes = {
        {{intermediate, hidden}, {intermediate, hidden}, {hidden, intermediate}}};
    for (size_t i = 0; i < 3; ++i) {
      values[i].resize(static_cast<size_t>(shapes[i][0] * shapes[i][1]));
      for (float& value : values[i]) value = ToFloat(ToBFloat16(normal(random)));
      bytes[i] = tests::EncodeFloats(dtype, values[i]);
      tensors()[i]->dtype = dtype;
      tensors()[i]->shape = {shapes[i][0], shapes[i][1]};
      tensors()[i]->bytes = std::as_bytes(std::span(bytes[i]));
    }
  }
  std::array<HostTensor*, 3> tensors() { return {&weights.gate, &weights.up, &weights.down}; }

  std::array<std::vector<float>, 3> values;  // gate, up, down
  std::array<std::string, 3> bytes;
  ExpertWeights weights;
};

RecordLayout Layout(uint32_t hidden, uint32_t intermediate, uint32_t bits) {
  return RecordLayout::Create(hidden, intermediate, bits).value();
}

// Reads one weight out of a strip by the text of record_layout.h and the rebuilt permutation.
class StripReader {
 public:
  StripReader(std::span<const std::byte> packed, std::span<const std::byte> scales,
              uint32_t num_inputs, uint32_t group, uint32_t bits)
      : packed_(packed), scales_(scales), num_inputs_(num_inputs), group_(group), bits_(bits) {
    const auto permutation = tests::MarlinPermutation(bits);
    for (uint32_t p = 0; p < permutation.size(); ++p) {
      position_[permutation[p].input][permutation[p].output] = p;
    }
    const auto scale_permutation = tests::MarlinScalePermutation();
    for (uint32_t p = 0; p < scale_permutation.size(); ++p) {
      scale_position_[scale_permutation[p]] = p;
    }
  }

  float At(uint32_t n, uint32_t k) const {
    const size_t tile = n / 64 * (num_inputs_ / 16) + k / 16;
    const size_t code_index = tile * 1024 + position_[k % 16][n % 64];
    const int code = bits_ == 8
                         ? static_cast<int>(packed_[code_index])
                         : static_cast<int>(packed_[code_index / 2]) >> (code_index % 2 * 4) & 0xf;
    const size_t scale_index =
        (n / 64 * (num_inputs_ / group_) + k / group_) * 64 + scale_position_[n % 64];
    BFloat16 scale;
    std::memcpy(&scale, scales_.data() + scale_index * 2, 2);
    return static_cast<float>(code - (bits_ == 8 ? 128 : 8)) * ToFloat(scale);
  }

 private:
  std::span<const std::byte> packed_;
  std::span<const std::byte> scales_;
  uint32_t num_inputs_;
  uint32_t group_;
  uint32_t bits_;
  std::array<std::array<uint32_t, 64>, 16> position_ = {};
  std::array<uint32_t, 64> scale_position_ = {};
};

// What a matrix becomes when it is quantised row by row, without tiles or slices.
std::vector<float> QuantizedReference(const std::vector<float>& weights, uint32_t group,
                                      const QuantOptions& options) {
  std::vector<uint8_t> codes(weights.size());
  std::vector<BFloat16> scales(weights.size() / group);
  EXPECT_FALSE(QuantizeGroups(weights, group, options, codes, scales));
  std::vector<float> out(weights.size());
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = Dequantize(codes[i], options.bits, scales[i / group]);
  }
  return out;
}

class ExpertRecordTest : public testing::TestWithParam<std::tuple<uint32_t, uint32_t, uint32_t>> {};

TEST_P(ExpertRecordTest, WholeRecordReadsBackByItsDefinition) {
  const auto [hidden, intermediate, bits] = GetParam();
  const RecordLayout layout = Layout(hidden, intermediate, bits);
  const QuantOptions options{.bits = bits, .scale = ScaleMode::kAbsmax};
  OwnedExpert expert(hidden, intermediate, DType::kBF16);
  std::vector<std::byte> record(layout.record_bytes, std::byte{0xab});
  ASSERT_TRUE(PackExpert(expert.weights, layout, options, record).ok());

  const auto gate = QuantizedReference(expert.values[0], layout.w13_group, options);
  const auto up = QuantizedReference(expert.values[1], layout.w13_group, options);
  const auto down = QuantizedReference(expert.values[2], layout.w2_group, options);
  const uint32_t sc = layout.slice_channels;
  const uint64_t strip_scale_bytes = uint64_t{sc} * hidden / layout.w13_group * 2;
  for (uint32_t slice = 0; slice < layout.num_slices; ++slice) {
    const std::span<const std::byte> bytes =
        std::span<const std::byte>(record).subspan(slice * layout.slice_bytes, layout.slice_bytes);
    const auto scales = bytes.subspan(layout.w13_scales_offset);
    const StripReader gate_strip(bytes, scales, hidden, layout.w13_group, bits);
    const StripReader up_strip(bytes.subspan(layout.up_offset), scales.subspan(strip_scale_bytes),
                               hidden, layout.w13_group, bits);
    const StripReader down_strip(bytes.subspan(layout.w2_offset),
                                 bytes.subspan(layout.w2_scales_offset), sc, layout.w2_group, bits);
    for (uint32_t n = 0; n < sc; ++n) {
      for (uint32_t k = 0; k < hidden; ++k) {
        const size_t channel = slice * sc + n;
        ASSERT_EQ(gate_strip.At(n, k), gate[channel * hidden + k]) << slice << " " << n << " " << k;
        ASSERT_EQ(up_strip.At(n, k), up[channel * hidden + k]) << slice << " " << n << " " << k;
        ASSERT_EQ(down_strip.At(k, n), down[size_t{k} * intermediate + channel])
            << slice << " " << k << " " << n;
      }
    }
  }
}

TEST_P(ExpertRecordTest, UnpackGivesTheQuantizedWeights) {
  const auto [hidden, intermediate, bits] = GetParam();
  const RecordLayout layout = Layout(hidden, intermediate, bits);
  const QuantOptions options{.bits = bits, .scale = ScaleMode::kAbsmax};
  OwnedExpert expert(hidden, intermediate, DType::kBF16);
  std::vector<std::byte> record(layout.record_bytes);
  ASSERT_TRUE(PackExpert(expert.weights, layout, options, record).ok());
  const DequantizedExpert back = UnpackExpert(record, layout);
  EXPECT_TRUE(back.gate == QuantizedReference(expert.values[0], layout.w13_group, options));
  EXPECT_TRUE(back.up == QuantizedReference(expert.values[1], layout.w13_group, options));
  EXPECT_TRUE(back.down == QuantizedReference(expert.values[2], layout.w2_group, options));
}

INSTANTIATE_TEST_SUITE_P(Geometries, ExpertRecordTest,
                         testing::Values(std::tuple(64u, 64u, 4u), std::tuple(64u, 64u, 8u),
                                         std::tuple(64u, 192u, 4u), std::tuple(192u, 128u, 8u),
                                         std::tuple(192u, 320u, 4u), std::tuple(128u, 256u, 4u),
                                         std::tuple(320u, 384u, 8u), std::tuple(3072u, 128u, 4u),
                                         std::tuple(3072u, 64u, 8u)));

TEST(ExpertRecord, WritesEveryByte) {
  for (const auto& [hidden, intermediate] : {std::pair(64u, 192u), std::pair(192u, 128u)}) {
    for (const uint32_t bits : {4u, 8u}) {
      const RecordLayout layout = Layout(hidden, intermediate, bits);
      OwnedExpert expert(hidden, intermediate, DType::kBF16);
      std::vector<std::byte> first(layout.record_bytes, std::byte{0x00});
      std::vector<std::byte> second(layout.record_bytes, std::byte{0xff});
      ASSERT_TRUE(PackExpert(expert.weights, layout, {.bits = bits}, first).ok());
      ASSERT_TRUE(PackExpert(expert.weights, layout, {.bits = bits}, second).ok());
      EXPECT_TRUE(first == second) << hidden << " x " << intermediate << ", " << bits << " bits";
    }
  }
}

TEST(ExpertRecord, FloatDtypesGiveTheSameRecord) {
  const RecordLayout layout = Layout(128, 128, 4);
  std::vector<std::byte> first(layout.record_bytes);
  OwnedExpert bf16(128, 128, DType::kBF16);
  OwnedExpert f32(128, 128, DType::kF32);
  std::vector<std::byte> second(layout.record_bytes);
  ASSERT_TRUE(PackExpert(bf16.weights, layout, {}, first).ok());
  ASSERT_TRUE(PackExpert(f32.weights, layout, {}, second).ok());
  EXPECT_TRUE(first == second);
}

TEST(ExpertRecord, NamesNonFiniteWeights) {
  const RecordLayout layout = Layout(128, 192, 4);
  std::vector<std::byte> record(layout.record_bytes);
  const char* const names[] = {"gate_proj[70, 3]", "up_proj[70, 3]", "down_proj[70, 3]"};
  for (size_t i = 0; i < 3; ++i) {
    OwnedExpert expert(128, 192, DType::kF32);
    const size_t columns = i == 2 ? 192 : 128;
    const float nan = std::nanf("");
    std::memcpy(expert.bytes[i].data() + (70 * columns + 3) * sizeof(float), &nan, sizeof(nan));
    const absl::Status status = PackExpert(expert.weights, layout, {}, record);
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), testing::StartsWith("non-finite weight"));
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(names[i]));
  }
}

TEST(ExpertRecord, RefusesForeignShapesAndDtypes) {
  const RecordLayout layout = Layout(128, 192, 4);
  std::vector<std::byte> record(layout.record_bytes);
  OwnedExpert other(192, 128, DType::kF32);
  EXPECT_TRUE(absl::IsInvalidArgument(PackExpert(other.weights, layout, {}, record)));
  OwnedExpert integers(128, 192, DType::kF32);
  integers.weights.up.dtype = DType::kI32;
  EXPECT_TRUE(absl::IsInvalidArgument(PackExpert(integers.weights, layout, {}, record)));
}

}  // namespace
}  // namespace spearfish
