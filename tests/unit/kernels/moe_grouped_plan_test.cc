#include "kernels/cuda/moe_grouped_plan.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "gtest/gtest.h"
#include "tests/reference/moe_reference.h"

namespace spearfish::kernels {
namespace {

// Shared memory of a block on GPUs that have clusters, that have not, and that have little.
constexpr uint32_t kBlockBytes[] = {232448, 166912, 101376};

TEST(MoeGroupedPlan, ItemsOfAnExpertCoverItsChoicesAndPartsOnce) {
  for (uint32_t choices = 1; choices <= 600; ++choices) {
    for (const uint32_t units : {1u, 2u, 5u, 16u}) {
      for (const MoeItemShape& shape :
           {MoeW13Shape(choices, units), MoeW2Shape(choices, false, units),
            MoeW2Shape(choices, true, units)}) {
        std::vector<std::vector<int>> seen(shape.parts, std::vector<int>(choices, 0));
        for (uint32_t item = 0; item < shape.items(); ++item) {
          const MoeItemPlace place = MoeItemAt(shape, choices, item);
          ASSERT_LT(place.part, shape.parts);
          ASSERT_GE(place.count, 1u);
          ASSERT_LE(place.count, shape.rows);
          ASSERT_LE(place.first + place.count, choices);
          for (uint32_t c = 0; c < place.count; ++c) ++seen[place.part][place.first + c];
        }
        for (const std::vector<int>& part : seen) {
          ASSERT_EQ(std::count(part.begin(), part.end(), 1), choices) << choices << " choices";
        }
      }
    }
  }
}

TEST(MoeGroupedPlan, PartsCoverAllStrips) {
  for (uint32_t choices = 1; choices <= 300; ++choices) {
    const MoeItemShape w13 = MoeW13Shape(choices, 5);
    EXPECT_LE(w13.strips * w13.row_groups, kMoeGroupedWarps);
    EXPECT_GE(w13.parts * w13.strips, 2 * 5u);
    EXPECT_LT((w13.parts - 1) * w13.strips, 2 * 5u);
    const MoeItemShape w2 = MoeW2Shape(choices, true, 48);
    EXPECT_LE(w2.strips * w2.row_groups, kMoeGroupedWarps);
    EXPECT_GE(w2.parts * w2.strips, 48u);
    EXPECT_LT((w2.parts - 1) * w2.strips, 48u);
  }
}

TEST(MoeGroupedPlan, AColdRecordIsReadOnceFor144Choices) {
  for (uint32_t choices = 1; choices <= 600; ++choices) {
    EXPECT_EQ(MoeW13Shape(choices, 16).tiles, (choices + 143) / 144);
    EXPECT_EQ(MoeW2Shape(choices, true, 48).tiles, (choices + 143) / 144);
    EXPECT_EQ(MoeW2Shape(choices, false, 48).tiles, (choices + 71) / 72);
  }
}

TEST(MoeGroupedPlan, FindsTheExpertOfAnItem) {
  // Experts without choices have no items.
  const std::vector<uint32_t> items = {0, 0, 3, 3, 3, 4, 9, 9};
  const uint32_t expected[] = {1, 1, 1, 4, 5, 5, 5, 5, 5};
  for (uint32_t item = 0; item < 9; ++item) {
    EXPECT_EQ(MoeExpertOfItem(items.data(), 7, item), expected[item]) << item;
  }
}

TEST(MoeGroupedPlan, StagesAreAlignedAndFit) {
  for (const uint32_t bits : {4u, 8u}) {
    const ExpertLayout layout = reference::MakeExpertLayout(3072, 1024, bits);
    for (const uint32_t bytes : kBlockBytes) {
      const MoeGroupedPlan plan = PlanMoeGrouped(layout, bytes);
      if (plan.w13_stages == 0) {
        EXPECT_EQ(bytes, 101376u);
        continue;
      }
      EXPECT_GE(plan.w13_stages, 2u);
      EXPECT_GE(plan.w2_stages, 2u);
      EXPECT_LE(std::max(plan.w13_shared_bytes, plan.w2_shared_bytes), bytes);
      EXPECT_EQ(plan.w13_stage_bytes % 128, 0u);
      EXPECT_EQ(plan.w2_stage_bytes % 128, 0u);
    }
  }
}

TEST(MoeGroupedPlan, PassesOverW2FitTheOutputsOfTheWorkspace) {
  for (const uint32_t hidden : {64u, 192u, 3072u}) {
    const ExpertLayout layout = reference::MakeExpertLayout(hidden, 128, 4);
    for (uint32_t rows = 1; rows <= kMoeGroupedRows; ++rows) {
      const uint64_t columns = uint64_t{MoeStripsAPass(layout, rows)} * 64;
      ASSERT_LE(columns, hidden);
      ASSERT_LE(rows * columns * 4, SizesOfMoeGrouped(layout, rows, 1).outputs) << rows;
    }
  }
}

TEST(MoeGroupedPlan, WorkspaceNeverFallsAsRowsGrow) {
  const ExpertLayout layout = reference::MakeExpertLayout(256, 320, 4);
  uint64_t before = 0;
  for (uint32_t rows = 0; rows < 3000; ++rows) {
    const uint64_t bytes = SizesOfMoeGrouped(layout, rows, 8).total();
    EXPECT_GE(bytes, before) << rows;
    before = bytes;
  }
}

}  // namespace
}  // namespace spearfish::kernels
