#include "worker/model/arena_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spearfish::worker {
namespace {

using ::testing::HasSubstr;

// 1,000 frames of 100 bytes; 300 experts; extents of 2 frames with 3 blocks.
ArenaNeeds Needs() {
  return {.budget_bytes = 100'050,
          .frame_bytes = 100,
          .num_records = 2'000,
          .max_coverage = 1.0,
          .hard_share = 0.25,
          .workspace_bytes = 1'001,
          .borrowed_workspace_bytes = 5'000,
          .frames_per_extent = 2,
          .blocks_per_extent = 3,
          .min_kv_blocks = 10,
          .max_kv_blocks = 100};
}

TEST(ArenaPlan, GivesSlotsWhatWorkspaceAndOneSequenceLeave) {
  const auto plan = PlanArena(Needs());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->num_workspace, 11u);
  EXPECT_EQ(plan->num_kv_extents, 4u);
  EXPECT_EQ(plan->num_kv, 8u);
  EXPECT_EQ(plan->num_slots(), 1000u - 11 - 8);
  EXPECT_EQ(plan->num_hard, 245u);
  EXPECT_EQ(plan->num_borrowed, 50u - 11);
  EXPECT_EQ(plan->num_claimable_extents, plan->num_soft / 2);
  EXPECT_EQ(plan->num_frames(), 1000u);
}

TEST(ArenaPlan, GivesKvAndThenTheWorkspaceWhatSlotsDoNotNeed) {
  ArenaNeeds needs = Needs();
  needs.num_records = 900;
  needs.max_coverage = 0.5;
  const auto plan = PlanArena(needs);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->num_slots(), 450u);
  EXPECT_EQ(plan->num_kv_extents, 34u);  // 100 blocks
  EXPECT_EQ(plan->num_workspace, 50u);
  EXPECT_EQ(plan->num_borrowed, 0u);
  EXPECT_LT(plan->num_frames(), 1000u);  // the rest is not allocated
}

TEST(ArenaPlan, WorksWithoutSlots) {
  ArenaNeeds needs = Needs();
  needs.max_coverage = 0;
  auto plan = PlanArena(needs);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->num_slots(), 0u);
  EXPECT_EQ(plan->num_borrowed, 0u);

  needs = Needs();
  needs.budget_bytes = 1'900;  // workspace and one sequence, to the frame
  plan = PlanArena(needs);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->num_slots(), 0u);
  EXPECT_EQ(plan->num_claimable_extents, 0u);
}

TEST(ArenaPlan, RefusesABudgetWithoutRoomForOneSequence) {
  ArenaNeeds needs = Needs();
  needs.budget_bytes = 1'899;
  const auto plan = PlanArena(needs);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(plan.status().message()), HasSubstr("--vram-budget"));
}

TEST(ArenaPlan, SoftSlotsBoundWhatKvAndPrefillCanTake) {
  ArenaNeeds needs = Needs();
  needs.hard_share = 1.0;
  const auto plan = PlanArena(needs);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->num_soft, 0u);
  EXPECT_EQ(plan->num_borrowed, 0u);
  EXPECT_EQ(plan->num_claimable_extents, 0u);
}

}  // namespace
}  // namespace spearfish::worker
