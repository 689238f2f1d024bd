#include "worker/experts/frame_arena.h"

#include <gtest/gtest.h>

#include "common/base/bytes.h"
#include "tests/unit/worker/experts/watched_device.h"

namespace spearfish::worker {
namespace {

using tests::WatchedDevice;

TEST(FrameArenaTest, IsOneAllocationOfContiguousFrames) {
  WatchedDevice device(kMiB);
  const auto arena = FrameArena::Create(device, 4096, 5);
  ASSERT_TRUE(arena.ok()) << arena.status();
  EXPECT_EQ(device.device_allocations(), std::vector<size_t>{5 * 4096});
  EXPECT_TRUE(device.host_allocations().empty());
  EXPECT_EQ((*arena)->num_frames(), 5u);
  EXPECT_EQ((*arena)->frame_bytes(), 4096u);
  EXPECT_EQ((*arena)->address(FrameId{0}), (*arena)->base());
  EXPECT_EQ((*arena)->address(FrameId{4}), (*arena)->base() + 4 * 4096);
}

TEST(FrameArenaTest, UsesAddUpToTheArena) {
  WatchedDevice device(kMiB);
  const auto arena = FrameArena::Create(device, 4096, 5);
  ASSERT_TRUE(arena.ok()) << arena.status();
  EXPECT_EQ((*arena)->figures().unused, 5u);
  (*arena)->SetUse(FrameId{0}, FrameUse::kHardSlot);
  (*arena)->SetUse(FrameId{1}, FrameUse::kSoftSlot);
  (*arena)->SetUse(FrameId{2}, FrameUse::kKv);
  (*arena)->SetUse(FrameId{3}, FrameUse::kWorkspace);
  (*arena)->SetUse(FrameId{1}, FrameUse::kKv);
  (*arena)->SetUse(FrameId{0}, FrameUse::kHardSlot);  // as before
  const FrameFigures figures = (*arena)->figures();
  EXPECT_EQ(figures.hard_slots, 1u);
  EXPECT_EQ(figures.soft_slots, 0u);
  EXPECT_EQ(figures.kv, 2u);
  EXPECT_EQ(figures.workspace, 1u);
  EXPECT_EQ(figures.unused, 1u);
  EXPECT_EQ((*arena)->use(FrameId{1}), FrameUse::kKv);
  EXPECT_EQ((*arena)->use(FrameId{4}), FrameUse::kUnused);
}

TEST(FrameArenaTest, SaysWhenTheBudgetIsTooSmall) {
  WatchedDevice device(16 * kKiB);
  const auto arena = FrameArena::Create(device, 4096, 5);
  EXPECT_EQ(arena.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(arena.status().message().find("frame arena"), absl::string_view::npos);
}

}  // namespace
}  // namespace spearfish::worker
