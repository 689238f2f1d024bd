#include "worker/kv/kv_layout.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace spearfish::worker {
namespace {

// One block of one layer's k: 1 * 3 * 10 * 4 = 120 bytes, so nothing is aligned by itself.
constexpr KvGeometry kOdd{
    .num_layers = 3, .num_kv_heads = 1, .head_dim = 10, .block_tokens = 3, .dtype = DType::kF32};

// A block of exactly so many units of 256 bytes; even, for k and v.
KvGeometry BlockOf(uint32_t units) {
  return {.num_layers = units / 2,
          .num_kv_heads = 1,
          .head_dim = 64,
          .block_tokens = 1,
          .dtype = DType::kF32};
}

TEST(KvLayoutTest, KeysAndValuesOfALayerLieTogetherAligned) {
  const KvLayout layout(kOdd, 8192);
  EXPECT_EQ(layout.block_bytes(), 6u * 256);
  for (uint32_t layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(layout.KeyOffset(LayerId{layer}), layer * 512u);
    EXPECT_EQ(layout.ValueOffset(LayerId{layer}), layer * 512u + 256);
  }
}

TEST(KvLayoutTest, OneFrameWhereTheRestIsSmall) {
  // 10 blocks of 24 units in 256 units: a rest of 16.
  const KvLayout coarse(BlockOf(24), 256 * 256);
  EXPECT_EQ(coarse.frames_per_extent(), 2u) << "16 of 256 are more than 5 %";
  EXPECT_EQ(coarse.blocks_per_extent(), 21u);
  const KvLayout fine(BlockOf(10), 256 * 256);
  EXPECT_EQ(fine.frames_per_extent(), 1u) << "6 of 256 are less";
  EXPECT_EQ(fine.blocks_per_extent(), 25u);
}

TEST(KvLayoutTest, AsManyFramesAsItTakesForASmallRest) {
  // Blocks of two thirds of a frame: two frames hold three.
  const KvLayout layout(BlockOf(8), 256 * 12);
  EXPECT_EQ(layout.frames_per_extent(), 2u);
  EXPECT_EQ(layout.blocks_per_extent(), 3u);
  EXPECT_EQ(layout.extent_bytes(), 256u * 24);
  EXPECT_EQ(layout.ExtentsFor(0), 0u);
  EXPECT_EQ(layout.ExtentsFor(3), 1u);
  EXPECT_EQ(layout.ExtentsFor(4), 2u);
}

TEST(KvLayoutTest, TheLeastRestWhereNoneIsSmall) {
  // 9.5 frames a block: 10 frames leave 5 %; 9.1 leave 9 % at 10, and more from there to 16.
  const KvLayout layout(BlockOf(182), 256 * 20);
  EXPECT_EQ(layout.frames_per_extent(), 10u);
  EXPECT_EQ(layout.blocks_per_extent(), 1u);
}

TEST(KvLayoutTest, ABlockLargerThanTheMostFramesIsAnExtent) {
  const KvLayout layout(BlockOf(60), 256 * 3);
  EXPECT_EQ(layout.frames_per_extent(), 20u);
  EXPECT_EQ(layout.blocks_per_extent(), 1u);
  EXPECT_EQ(KvLayout(BlockOf(62), 256 * 3).frames_per_extent(), 21u);
}

TEST(KvLayoutTest, BlocksDoNotOverlapNorLeaveTheirExtent) {
  std::mt19937 random(7);
  for (uint32_t i = 0; i < 300; ++i) {
    const KvLayout layout(BlockOf(2 + 2 * (random() % 100)), 256 * (1 + random() % 200));
    const uint64_t block_units = layout.block_bytes() / kKvAddressUnit;
    const uint64_t extent_units = layout.extent_bytes() / kKvAddressUnit;
    uint64_t end = 0;
    for (uint32_t block = 0; block < 3 * layout.blocks_per_extent(); ++block) {
      const uint64_t begin = layout.PhysicalBlock(block);
      EXPECT_GE(begin, end);
      end = begin + block_units;
      const uint64_t extent = block / layout.blocks_per_extent();
      EXPECT_GE(begin, extent * extent_units);
      EXPECT_LE(end, (extent + 1) * extent_units);
      EXPECT_EQ(layout.PhysicalBound(block + 1), begin + 1);
    }
    EXPECT_LT(extent_units - block_units * layout.blocks_per_extent(), block_units)
        << "another block would have fitted";
  }
}

TEST(KvLayoutDeathTest, ChecksWhatKernelsCanAddress) {
  EXPECT_DEATH(KvLayout(kOdd, 1000), "kKvAddressUnit");
  // 16 MiB a block: block 40,000 begins beyond 2^31 units.
  const KvLayout layout(BlockOf(65536), 256 * 65536);
  EXPECT_GT(layout.PhysicalBlock(30'000), 1u << 30);
  EXPECT_DEATH(layout.PhysicalBlock(40'000), "int32_t");
}

}  // namespace
}  // namespace spearfish::worker
