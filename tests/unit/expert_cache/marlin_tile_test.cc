#include "common/expert_cache/marlin_tile.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "tests/unit/expert_cache/marlin_permutation.h"

namespace spearfish {
namespace {

uint32_t CodeAt(std::span<const std::byte> tile, size_t p, uint32_t bits) {
  if (bits == 8) return static_cast<uint32_t>(tile[p]);
  return static_cast<uint32_t>(tile[p / 2]) >> (p % 2 * 4) & 0xf;
}

std::vector<uint8_t> RandomCodes(size_t count, uint32_t bits) {
  std::mt19937 random(3);
  std::vector<uint8_t> codes(count);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random() & ((1u << bits) - 1));
  return codes;
}

class MarlinTileTest : public testing::TestWithParam<uint32_t> {};

TEST_P(MarlinTileTest, PermutationVisitsEveryWeightOnce) {
  std::set<std::pair<uint32_t, uint32_t>> seen;
  for (const auto& [input, output] : tests::MarlinPermutation(GetParam())) {
    EXPECT_LT(input, kTileInputs);
    EXPECT_LT(output, kTileOutputs);
    seen.emplace(input, output);
  }
  EXPECT_EQ(seen.size(), kTileInputs * kTileOutputs);
}

TEST_P(MarlinTileTest, PacksByTheDefinition) {
  const uint32_t bits = GetParam();
  const TileColumnShape shape{.num_inputs = 48, .bits = bits, .stride = 51};
  const std::vector<uint8_t> codes = RandomCodes(kTileOutputs * shape.stride, bits);
  std::vector<std::byte> packed(shape.packed_bytes());
  PackTileColumn(codes, shape, packed);
  const auto permutation = tests::MarlinPermutation(bits);
  for (uint32_t kt = 0; kt < 3; ++kt) {
    const auto tile = std::span(packed).subspan(kt * TileBytes(bits), TileBytes(bits));
    for (size_t p = 0; p < permutation.size(); ++p) {
      const auto [input, output] = permutation[p];
      ASSERT_EQ(CodeAt(tile, p, bits), codes[output * shape.stride + kt * 16 + input])
          << "tile " << kt << " position " << p;
    }
  }
}

TEST_P(MarlinTileTest, UnpackReversesPackAndTouchesNothingElse) {
  const uint32_t bits = GetParam();
  const TileColumnShape shape{.num_inputs = 32, .bits = bits, .stride = 40};
  const std::vector<uint8_t> codes = RandomCodes(kTileOutputs * shape.stride, bits);
  std::vector<std::byte> packed(shape.packed_bytes());
  PackTileColumn(codes, shape, packed);
  std::vector<uint8_t> back(codes.size(), 0xee);
  UnpackTileColumn(packed, shape, back);
  for (size_t i = 0; i < codes.size(); ++i) {
    ASSERT_EQ(back[i], i % shape.stride < shape.num_inputs ? codes[i] : 0xee) << i;
  }
}

TEST(MarlinScaleTest, PositionsFollowTheDefinition) {
  const auto permutation = tests::MarlinScalePermutation();
  for (uint32_t position = 0; position < permutation.size(); ++position) {
    EXPECT_EQ(ScalePosition(permutation[position]), position);
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, MarlinTileTest, testing::Values(4u, 8u));

}  // namespace
}  // namespace spearfish
