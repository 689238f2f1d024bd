// Who has the soft frames now: experts, KV blocks, or a long prefill's workspace.
#ifndef WORKER_MODEL_SOFT_FRAMES_H_
#define WORKER_MODEL_SOFT_FRAMES_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/api/device.h"
#include "worker/experts/expert_pool.h"
#include "worker/kv/block_source.h"
#include "worker/model/arena_plan.h"

namespace spearfish::worker {

// Takes frames from the pool and gives them back, between steps, on the engine thread. Pool and
// stream (that of the steps) must outlive it. Invariant: a soft frame belongs to the pool, to one
// claimed extent, or to the borrowed tail.
class SoftFrames : public BlockSource {
 public:
  SoftFrames(const ArenaPlan& plan, ExpertPool& pool, kernels::Stream& stream);

  uint32_t blocks_per_extent() const override { return plan_.blocks_per_extent; }
  uint32_t num_blocks() const override {
    return (plan_.num_kv_extents + plan_.num_claimable_extents) * plan_.blocks_per_extent;
  }
  uint32_t num_reserved_extents() const override { return plan_.num_kv_extents; }
  uint32_t num_claimable_extents() const override { return num_claimable_; }
  // Prefers extents that prefill does not borrow: those only when there are no others.
  std::optional<uint32_t> Claim() override;
  void Release(uint32_t extent) override;

  // Soft frames right below the workspace that KV has not claimed, borrowed ones included; at most
  // what the largest step takes.
  uint32_t num_borrowable() const;
  uint32_t num_borrowed() const { return num_borrowed_; }
  // Makes the workspace so many frames larger than it is without borrowing; at most
  // num_borrowable(). Frames borrowed already stay.
  void BorrowTail(uint32_t num_frames);
  void ReturnTail();

 private:
  FrameId FirstFrame(uint32_t extent) const;
  bool Claimable(uint32_t extent, uint32_t end_frame) const;
  void CountClaimable();
  // Among the extents that end at or below `end_frame`.
  std::optional<uint32_t> ColdestBelow(uint32_t end_frame) const;

  const ArenaPlan plan_;
  ExpertPool& pool_;
  kernels::Stream& stream_;
  std::vector<bool> claimed_;  // [claimable extents]
  uint32_t num_claimable_ = 0;
  uint32_t num_borrowed_ = 0;
};

}  // namespace spearfish::worker

#endif  // WORKER_MODEL_SOFT_FRAMES_H_
