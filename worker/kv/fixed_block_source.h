// Extents that are KV for good.
#ifndef WORKER_KV_FIXED_BLOCK_SOURCE_H_
#define WORKER_KV_FIXED_BLOCK_SOURCE_H_

#include <cstdint>
#include <optional>

#include "common/base/check.h"
#include "worker/kv/block_source.h"

namespace spearfish::worker {

// Reserves everything: there is nothing to claim or to release.
class FixedBlockSource final : public BlockSource {
 public:
  explicit FixedBlockSource(uint32_t num_extents, uint32_t blocks_per_extent = 1)
      : num_extents_(num_extents), blocks_per_extent_(blocks_per_extent) {}

  uint32_t blocks_per_extent() const override { return blocks_per_extent_; }
  uint32_t num_blocks() const override { return num_extents_ * blocks_per_extent_; }
  uint32_t num_reserved_extents() const override { return num_extents_; }
  uint32_t num_claimable_extents() const override { return 0; }
  std::optional<uint32_t> Claim() override { return std::nullopt; }
  void Release(uint32_t) override { SF_CHECK(false); }

 private:
  const uint32_t num_extents_;
  const uint32_t blocks_per_extent_;
};

}  // namespace spearfish::worker

#endif  // WORKER_KV_FIXED_BLOCK_SOURCE_H_
