// A BlockSource whose extents are claimed and released as a test says, and that checks how.
#ifndef TESTS_UNIT_WORKER_KV_GROWING_BLOCK_SOURCE_H_
#define TESTS_UNIT_WORKER_KV_GROWING_BLOCK_SOURCE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "worker/kv/block_source.h"

namespace spearfish::worker {

// Claims in an order that set_order gives, as a real one goes by the heat of experts; without one,
// the highest first. Extents beyond set_limit claimed ones can't be had for now.
class GrowingBlockSource final : public BlockSource {
 public:
  GrowingBlockSource(uint32_t num_extents, uint32_t num_reserved, uint32_t blocks_per_extent)
      : blocks_per_extent_(blocks_per_extent), num_reserved_(num_reserved), here_(num_extents) {
    std::fill_n(here_.begin(), num_reserved, true);
    for (uint32_t extent = num_reserved; extent < num_extents; ++extent) order_.push_back(extent);
    limit_ = num_extents - num_reserved;
  }

  // A permutation of the extents that are not reserved; the last one is claimed first.
  void set_order(std::vector<uint32_t> order) { order_ = std::move(order); }
  // At most so many may be claimed at once; those that are already stay.
  void set_limit(uint32_t limit) { limit_ = limit; }

  // Any thread.
  uint32_t num_claimed() const { return num_claimed_; }
  uint64_t num_claims() const { return num_claims_; }
  uint64_t num_releases() const { return num_releases_; }
  bool has_block(uint32_t block) const { return here_[block / blocks_per_extent_]; }

  uint32_t blocks_per_extent() const override { return blocks_per_extent_; }
  uint32_t num_blocks() const override {
    return static_cast<uint32_t>(here_.size()) * blocks_per_extent_;
  }
  uint32_t num_reserved_extents() const override { return num_reserved_; }
  uint32_t num_claimable_extents() const override {
    const auto most = std::min(limit_, static_cast<uint32_t>(order_.size()));
    return most > num_claimed_ ? most - num_claimed_ : 0;
  }
  std::optional<uint32_t> Claim() override {
    if (num_claimable_extents() == 0) return std::nullopt;
    const auto found =
        std::find_if(order_.rbegin(), order_.rend(), [&](uint32_t e) { return !here_[e]; });
    here_[*found] = true;
    ++num_claimed_;
    ++num_claims_;
    return *found;
  }
  void Release(uint32_t extent) override {
    ASSERT_LT(extent, here_.size());
    EXPECT_GE(extent, num_reserved_) << "a reserved extent was released";
    EXPECT_TRUE(here_[extent]) << "extent " << extent << " was not claimed";
    here_[extent] = false;
    --num_claimed_;
    ++num_releases_;
  }

 private:
  const uint32_t blocks_per_extent_;
  const uint32_t num_reserved_;
  std::vector<uint32_t> order_;
  std::vector<bool> here_;
  uint32_t limit_ = 0;
  std::atomic<uint32_t> num_claimed_{0};
  uint64_t num_claims_ = 0;
  uint64_t num_releases_ = 0;
};

}  // namespace spearfish::worker

#endif  // TESTS_UNIT_WORKER_KV_GROWING_BLOCK_SOURCE_H_
