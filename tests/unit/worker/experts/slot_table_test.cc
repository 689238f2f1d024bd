#include "worker/experts/slot_table.h"

#include <gtest/gtest.h>

namespace spearfish::worker {
namespace {

TEST(SlotTableTest, FollowsARecordThroughItsSlot) {
  SlotTable slots(12, 4, 3);
  EXPECT_EQ(slots.residency(5), Residency::kCold);
  EXPECT_EQ(slots.record_in(FrameId{2}), std::nullopt);

  slots.StartLoad(FrameId{2}, 5);
  EXPECT_EQ(slots.residency(5), Residency::kLoading);
  EXPECT_EQ(slots.frame_of(5), FrameId{2});
  EXPECT_EQ(slots.record_in(FrameId{2}), 5u);
  EXPECT_EQ(slots.num_taken(), 1u);
  EXPECT_EQ(slots.num_resident(), 0u);

  slots.SetResident(FrameId{2});
  EXPECT_EQ(slots.residency(5), Residency::kResident);
  EXPECT_EQ(slots.num_taken(), 1u);
  EXPECT_EQ(slots.num_resident(), 1u);
  EXPECT_EQ(slots.num_resident_in(1), 1u);
  EXPECT_EQ(slots.num_resident_in(0), 0u);

  slots.Clear(FrameId{2});
  EXPECT_EQ(slots.residency(5), Residency::kCold);
  EXPECT_EQ(slots.record_in(FrameId{2}), std::nullopt);
  EXPECT_EQ(slots.num_taken(), 0u);
  EXPECT_EQ(slots.num_resident(), 0u);
  EXPECT_EQ(slots.num_resident_in(1), 0u);
}

TEST(SlotTableTest, ALoadCanBeGivenUp) {
  SlotTable slots(4, 4, 1);
  slots.StartLoad(FrameId{0}, 3);
  slots.Clear(FrameId{0});
  EXPECT_EQ(slots.residency(3), Residency::kCold);
  slots.StartLoad(FrameId{0}, 3);
  EXPECT_EQ(slots.num_taken(), 1u);
}

TEST(SlotTableDeathTest, AFrameHasOneRecordAndARecordOneFrame) {
  SlotTable slots(4, 4, 2);
  slots.StartLoad(FrameId{0}, 3);
  EXPECT_DEATH(slots.StartLoad(FrameId{0}, 2), "kNone");
  EXPECT_DEATH(slots.StartLoad(FrameId{1}, 3), "kCold");
  EXPECT_DEATH(slots.Clear(FrameId{1}), "kNone");
  EXPECT_DEATH(slots.SetResident(FrameId{1}), "kNone");
  slots.SetResident(FrameId{0});
  EXPECT_DEATH(slots.SetResident(FrameId{0}), "kLoading");
}

}  // namespace
}  // namespace spearfish::worker
