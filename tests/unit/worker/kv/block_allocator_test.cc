#include "worker/kv/block_allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "tests/unit/worker/kv/growing_block_source.h"
#include "worker/kv/fixed_block_source.h"

namespace spearfish::worker {
namespace {

TEST(BlockAllocatorTest, HandsOutEveryBlockOnce) {
  FixedBlockSource source(5);
  BlockAllocator allocator(source);
  std::set<uint32_t> seen;
  for (uint32_t i = 0; i < 5; ++i) {
    const std::optional<uint32_t> block = allocator.Allocate();
    ASSERT_TRUE(block.has_value());
    EXPECT_LT(*block, 5u);
    EXPECT_TRUE(seen.insert(*block).second);
    EXPECT_EQ(allocator.num_free(), 4 - i);
    EXPECT_EQ(allocator.num_used(), i + 1);
  }
  EXPECT_EQ(allocator.Allocate(), std::nullopt);
}

TEST(BlockAllocatorTest, HandsOutTheLowestFree) {
  FixedBlockSource source(50, 4);
  BlockAllocator allocator(source);
  for (uint32_t i = 0; i < 200; ++i) EXPECT_EQ(allocator.Allocate(), i);
  for (const uint32_t block : {130u, 199u, 3u, 64u}) allocator.Free(block);
  for (const uint32_t block : {3u, 64u, 130u, 199u}) EXPECT_EQ(allocator.Allocate(), block);
}

TEST(BlockAllocatorTest, WithoutBlocksHasNoneToGive) {
  FixedBlockSource source(0);
  BlockAllocator allocator(source);
  EXPECT_EQ(allocator.num_free(), 0u);
  EXPECT_EQ(allocator.Allocate(), std::nullopt);
}

TEST(BlockAllocatorTest, ClaimsAnExtentWhenNoneIsFree) {
  GrowingBlockSource source(4, 1, 3);
  BlockAllocator allocator(source);
  EXPECT_EQ(allocator.num_blocks(), 12u);
  EXPECT_EQ(allocator.num_free(), 12u);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(allocator.Allocate(), i);
  EXPECT_EQ(source.num_claims(), 0u);
  // Extent 3 is the source's choice.
  for (uint32_t i = 9; i < 12; ++i) EXPECT_EQ(allocator.Allocate(), i);
  EXPECT_EQ(source.num_claims(), 1u);
  EXPECT_EQ(allocator.num_used(), 6u);
  EXPECT_EQ(allocator.num_free(), 6u);
  // A free block of a low extent goes first, and without a claim.
  allocator.Free(1);
  EXPECT_EQ(allocator.Allocate(), 1u);
  EXPECT_EQ(source.num_claims(), 1u);
}

TEST(BlockAllocatorTest, FreeBlocksFollowTheSource) {
  GrowingBlockSource source(4, 1, 3);
  BlockAllocator allocator(source);
  source.set_limit(1);
  EXPECT_EQ(allocator.num_free(), 6u);
  for (uint32_t i = 0; i < 6; ++i) ASSERT_TRUE(allocator.Allocate().has_value());
  EXPECT_EQ(allocator.num_free(), 0u);
  EXPECT_EQ(allocator.Allocate(), std::nullopt);
  source.set_limit(2);
  EXPECT_EQ(allocator.num_free(), 3u);
  EXPECT_TRUE(allocator.Allocate().has_value());
}

TEST(BlockAllocatorTest, TrimKeepsOneExtentsWorthOfFreeBlocks) {
  GrowingBlockSource source(5, 1, 2);
  BlockAllocator allocator(source);
  std::vector<uint32_t> blocks;
  for (uint32_t i = 0; i < 10; ++i) blocks.push_back(*allocator.Allocate());
  EXPECT_EQ(source.num_claimed(), 4u);
  allocator.Trim();
  EXPECT_EQ(source.num_claimed(), 4u) << "every block is held";
  // Extents 4 and 3 become free, 2 half: blocks 8, 9, 6, 7, 4.
  for (const uint32_t block : {8u, 9u, 6u, 7u, 4u}) allocator.Free(block);
  allocator.Trim();
  EXPECT_FALSE(source.has_block(8)) << "the highest goes first";
  EXPECT_TRUE(source.has_block(6)) << "without its two only block 4 would be free";
  EXPECT_EQ(allocator.num_free(), 3u + 2u);
  // The slack may also be of reserved extents.
  allocator.Free(0);
  allocator.Trim();
  EXPECT_FALSE(source.has_block(6));
  allocator.Free(5);
  allocator.Trim();
  EXPECT_TRUE(source.has_block(4)) << "without its two only block 0 would be free";
  allocator.Free(1);
  allocator.Trim();
  EXPECT_FALSE(source.has_block(4));
  for (const uint32_t block : {2u, 3u}) allocator.Free(block);
  allocator.Trim();
  EXPECT_EQ(source.num_claimed(), 0u);
  EXPECT_EQ(allocator.num_used(), 0u);
  EXPECT_EQ(allocator.num_free(), 10u);
}

TEST(BlockAllocatorTest, DoesNotMoveExtentsToAndFro) {
  GrowingBlockSource source(8, 1, 4);
  BlockAllocator allocator(source);
  for (uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(allocator.Allocate().has_value());
  for (uint32_t i = 0; i < 100; ++i) {
    const uint32_t block = *allocator.Allocate();
    allocator.Free(block);
    allocator.Trim();
  }
  EXPECT_EQ(source.num_claims(), 1u);
  EXPECT_EQ(source.num_releases(), 0u);
}

TEST(BlockAllocatorTest, GivesClaimedExtentsBackAtTheEnd) {
  GrowingBlockSource source(4, 1, 2);
  {
    BlockAllocator allocator(source);
    for (uint32_t i = 0; i < 6; ++i) allocator.Allocate();
    for (const uint32_t block : {0u, 1u, 4u, 5u, 6u, 7u}) allocator.Free(block);
    EXPECT_EQ(source.num_claimed(), 2u);
  }
  EXPECT_EQ(source.num_claimed(), 0u);
}

// Against a model that keeps a set: the same blocks free and held, whatever the source does.
TEST(BlockAllocatorTest, RandomUseKeepsItsBooks) {
  std::mt19937 random(20240608);
  for (const uint32_t blocks_per_extent : {1u, 5u, 64u, 70u}) {
    constexpr uint32_t kExtents = 9;
    constexpr uint32_t kReserved = 2;
    GrowingBlockSource source(kExtents, kReserved, blocks_per_extent);
    BlockAllocator allocator(source);
    std::set<uint32_t> held;
    for (uint32_t i = 0; i < 3000; ++i) {
      const uint32_t action = random() % 100;
      if (action < 1) {
        source.set_limit(random() % kExtents);
      } else if (action < 2) {
        std::vector<uint32_t> order = {2, 3, 4, 5, 6, 7, 8};
        std::shuffle(order.begin(), order.end(), random);
        source.set_order(order);
      } else if (action < 12) {
        allocator.Trim();
      } else if (action < (i / 500 % 2 == 0 ? 70u : 40u)) {
        const uint32_t free_before = allocator.num_free();
        const std::optional<uint32_t> block = allocator.Allocate();
        ASSERT_EQ(block.has_value(), free_before > 0);
        if (!block) continue;
        ASSERT_TRUE(source.has_block(*block));
        ASSERT_TRUE(held.insert(*block).second);
        for (uint32_t lower = 0; lower < *block; ++lower) {
          ASSERT_TRUE(!source.has_block(lower) || held.contains(lower));
        }
      } else if (!held.empty()) {
        const auto chosen = std::next(held.begin(), static_cast<ptrdiff_t>(random() % held.size()));
        allocator.Free(*chosen);
        held.erase(chosen);
      }
      ASSERT_EQ(allocator.num_used(), held.size());
      for (const uint32_t block : held) ASSERT_TRUE(source.has_block(block));
      ASSERT_EQ(
          allocator.num_free(),
          (kReserved + source.num_claimed() + source.num_claimable_extents()) * blocks_per_extent -
              held.size());
    }
    for (const uint32_t block : held) allocator.Free(block);
    allocator.Trim();
    EXPECT_EQ(source.num_claimed(), 0u);
  }
}

TEST(BlockAllocatorDeathTest, ChecksDoubleFree) {
  FixedBlockSource source(2);
  BlockAllocator allocator(source);
  const uint32_t block = *allocator.Allocate();
  allocator.Free(block);
  EXPECT_DEATH(allocator.Free(block), "IsFree");
}

TEST(BlockAllocatorDeathTest, ChecksForeignId) {
  GrowingBlockSource source(2, 1, 2);
  BlockAllocator allocator(source);
  EXPECT_DEATH(allocator.Free(4), "num_blocks");
  EXPECT_DEATH(allocator.Free(2), "here");
}

}  // namespace
}  // namespace spearfish::worker
