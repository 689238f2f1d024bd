#include "common/expert_cache/record_layout.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <vector>

namespace spearfish {
namespace {

RecordLayout Make(uint32_t hidden, uint32_t intermediate, uint32_t bits) {
  auto layout = RecordLayout::Create(hidden, intermediate, bits);
  EXPECT_TRUE(layout.ok()) << layout.status();
  return layout.value_or(RecordLayout());
}

TEST(RecordLayout, LaysOutTheOriginsBenchmarkModel) {
  const RecordLayout layout = Make(3072, 1024, 4);
  EXPECT_EQ(layout.slice_channels, 128u);
  EXPECT_EQ(layout.num_slices, 8u);
  EXPECT_EQ(layout.w13_group, 128u);
  EXPECT_EQ(layout.w2_group, 128u);
  EXPECT_EQ(layout.up_offset, 196608u);
  EXPECT_EQ(layout.w13_scales_offset, 393216u);
  EXPECT_EQ(layout.w2_offset, 393216u + 12288);
  EXPECT_EQ(layout.w2_scales_offset, 405504u + 196608);
  EXPECT_EQ(layout.slice_bytes, 602112u + 6144);
  EXPECT_EQ(layout.record_bytes, 4866048u);  // 4.87 MB, as the design says
}

TEST(RecordLayout, RegionsAreAlignedAndDoNotOverlap) {
  for (const uint32_t hidden : {64u, 128u, 192u, 320u, 3072u}) {
    for (const uint32_t intermediate : {64u, 128u, 192u, 320u, 768u}) {
      for (const uint32_t bits : {4u, 8u}) {
        const RecordLayout l = Make(hidden, intermediate, bits);
        const uint64_t weights = uint64_t{hidden} * l.slice_channels;
        EXPECT_EQ(l.slice_channels * l.num_slices, intermediate);
        EXPECT_EQ(hidden % l.w13_group, 0u);
        EXPECT_EQ(l.slice_channels % l.w2_group, 0u);
        EXPECT_EQ(l.gate_offset, 0u);
        EXPECT_GE(l.up_offset, weights * bits / 8);
        EXPECT_GE(l.w13_scales_offset, l.up_offset + weights * bits / 8);
        EXPECT_GE(l.w2_offset, l.w13_scales_offset + 4 * weights / l.w13_group);
        EXPECT_GE(l.w2_scales_offset, l.w2_offset + weights * bits / 8);
        EXPECT_GE(l.slice_bytes, l.w2_scales_offset + 2 * weights / l.w2_group);
        EXPECT_GE(l.record_bytes, l.slice_bytes * l.num_slices);
        for (const uint64_t offset :
             {l.up_offset, l.w13_scales_offset, l.w2_offset, l.w2_scales_offset, l.slice_bytes}) {
          EXPECT_EQ(offset % 256, 0u);
        }
        EXPECT_EQ(l.record_bytes % 4096, 0u);
      }
    }
  }
}

TEST(RecordLayout, TakesNarrowSlicesAndGroupsWhere128DoesNotDivide) {
  const RecordLayout layout = Make(192, 320, 4);
  EXPECT_EQ(layout.slice_channels, 64u);
  EXPECT_EQ(layout.num_slices, 5u);
  EXPECT_EQ(layout.w13_group, 64u);
  EXPECT_EQ(layout.w2_group, 64u);
}

TEST(RecordLayout, RefusesWhatTilesCannotHold) {
  for (const auto& [hidden, intermediate, bits] :
       std::vector<std::array<uint32_t, 3>>{{0, 64, 4},
                                            {64, 0, 4},
                                            {96, 64, 4},
                                            {64, 65, 4},
                                            {64, 64, 3},
                                            {64, 64, 0},
                                            {1u << 31, 64, 4},
                                            {64, 1u << 31, 8}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(RecordLayout::Create(hidden, intermediate, bits).status()))
        << hidden << " " << intermediate << " " << bits;
  }
}

}  // namespace
}  // namespace spearfish
