#include "worker/model/soft_frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/unit/worker/experts/pool_on_cpu.h"

namespace spearfish::worker {
namespace {

using testing::Optional;

// 2 hard and 12 soft slots, a workspace of 2 frames; extents of 2 frames with 3 blocks; the largest
// step takes 5 soft frames.
ArenaPlan Plan() {
  ArenaPlan plan;
  plan.num_hard = 2;
  plan.num_soft = 12;
  plan.num_workspace = 2;
  plan.num_borrowed = 5;
  plan.num_claimable_extents = 6;
  plan.frame_bytes = 4096;
  plan.frames_per_extent = 2;
  plan.blocks_per_extent = 3;
  return plan;
}

class SoftFramesTest : public testing::Test {
 protected:
  SoftFramesTest()
      : pool_(
            {.num_layers = 2, .num_experts = 8, .hard_slots = 2, .soft_slots = 12, .kv_frames = 2}),
        frames_(Plan(), pool_.pool(), pool_.stream()) {
    pool_.pool().Load(pool_.stream());
  }

  FrameUse Use(uint32_t frame) { return pool_.arena().use(FrameId{frame}); }

  tests::PoolOnCpu pool_;
  SoftFrames frames_;
};

TEST_F(SoftFramesTest, EveryWholeExtentOfSoftSlotsCanBeClaimed) {
  EXPECT_EQ(frames_.num_blocks(), 18u);
  EXPECT_EQ(frames_.num_reserved_extents(), 0u);
  EXPECT_EQ(frames_.num_claimable_extents(), 6u);
  for (uint32_t i = 6; i > 0; --i) {
    EXPECT_TRUE(frames_.Claim().has_value());
    EXPECT_EQ(frames_.num_claimable_extents(), i - 1);
  }
  EXPECT_EQ(frames_.Claim(), std::nullopt);
  for (uint32_t f = 2; f < 14; ++f) EXPECT_EQ(Use(f), FrameUse::kKv);
  EXPECT_EQ(frames_.num_borrowable(), 0u);
}

TEST_F(SoftFramesTest, ClaimsTheColdestOutsideOfWhatPrefillBorrows) {
  // Extents 0 to 2 lie below the 5 borrowed frames. Their experts, but extent 1's, are in use.
  std::vector<RecordIndex> used;
  for (RecordIndex r = 0; r < 16; ++r) {
    const int frame = pool_.FrameOf(pool_.DeviceEntry(r));
    if (frame >= 0 && frame != 4 && frame != 5) used.push_back(r);
  }
  for (int i = 0; i < 4; ++i) pool_.Step(used);
  EXPECT_THAT(frames_.Claim(), Optional(1u));
  EXPECT_EQ(Use(4), FrameUse::kKv);
  EXPECT_EQ(Use(5), FrameUse::kKv);
  EXPECT_EQ(frames_.num_borrowable(), 5u);
}

TEST_F(SoftFramesTest, BorrowsFromTheEndAndKvKeepsOut) {
  EXPECT_EQ(frames_.num_borrowable(), 5u);
  frames_.BorrowTail(3);
  EXPECT_EQ(frames_.num_borrowed(), 3u);
  EXPECT_EQ(Use(10), FrameUse::kSoftSlot);
  for (uint32_t f = 11; f < 14; ++f) EXPECT_EQ(Use(f), FrameUse::kWorkspace);
  EXPECT_EQ(frames_.num_claimable_extents(), 4u);  // extents 4 and 5 touch the tail
  frames_.BorrowTail(5);
  EXPECT_EQ(Use(9), FrameUse::kWorkspace);
  EXPECT_EQ(frames_.num_claimable_extents(), 3u);
  frames_.BorrowTail(2);
  EXPECT_EQ(frames_.num_borrowed(), 5u);
  frames_.ReturnTail();
  EXPECT_EQ(frames_.num_borrowed(), 0u);
  EXPECT_EQ(frames_.num_claimable_extents(), 6u);
  pool_.Settle();
  EXPECT_EQ(pool_.pool().figures().num_resident, 14u);
}

TEST_F(SoftFramesTest, BorrowsLessWhileKvHoldsTheEnd) {
  std::vector<uint32_t> extents;
  for (int i = 0; i < 6; ++i) extents.push_back(*frames_.Claim());
  EXPECT_EQ(frames_.num_borrowable(), 0u);
  for (const uint32_t extent : extents) {
    if (extent != 4) frames_.Release(extent);  // extent 4 is frames 10 and 11
  }
  EXPECT_EQ(frames_.num_borrowable(), 2u);
  frames_.Release(4);
  EXPECT_EQ(frames_.num_borrowable(), 5u);
}

TEST_F(SoftFramesTest, WhatIsReleasedIsRefilled) {
  const uint32_t extent = *frames_.Claim();
  EXPECT_EQ(pool_.pool().figures().num_resident, 12u);
  pool_.Step();
  frames_.Release(extent);
  pool_.Settle();
  EXPECT_EQ(pool_.pool().figures().num_resident, 14u);
  EXPECT_EQ(pool_.pool().figures().reloads.count, 2u);
}

}  // namespace
}  // namespace spearfish::worker
