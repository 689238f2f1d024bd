#include "worker/model/soft_frames.h"

#include <algorithm>

#include "common/base/check.h"

namespace spearfish::worker {

SoftFrames::SoftFrames(const ArenaPlan& plan, ExpertPool& pool, kernels::Stream& stream)
    : plan_(plan), pool_(pool), stream_(stream), claimed_(plan.num_claimable_extents, false) {
  CountClaimable();
}

FrameId SoftFrames::FirstFrame(uint32_t extent) const {
  return FrameId{plan_.first_kv() + extent * plan_.frames_per_extent};
}

bool SoftFrames::Claimable(uint32_t extent, uint32_t end_frame) const {
  return !claimed_[extent - plan_.num_kv_extents] &&
         Index(FirstFrame(extent)) + plan_.frames_per_extent <= end_frame;
}

void SoftFrames::CountClaimable() {
  const uint32_t end_frame = plan_.first_workspace() - num_borrowed_;
  num_claimable_ = 0;
  for (uint32_t i = 0; i < plan_.num_claimable_extents; ++i) {
    if (Claimable(plan_.num_kv_extents + i, end_frame)) ++num_claimable_;
  }
}

std::optional<uint32_t> SoftFrames::ColdestBelow(uint32_t end_frame) const {
  std::optional<uint32_t> coldest;
  double lowest = 0;
  for (uint32_t i = 0; i < plan_.num_claimable_extents; ++i) {
    const uint32_t extent = plan_.num_kv_extents + i;
    if (!Claimable(extent, end_frame)) continue;
    const double heat = pool_.HeatOf(FirstFrame(extent), plan_.frames_per_extent);
    if (coldest && heat >= lowest) continue;
    coldest = extent;
    lowest = heat;
  }
  return coldest;
}

std::optional<uint32_t> SoftFrames::Claim() {
  std::optional<uint32_t> extent = ColdestBelow(plan_.first_workspace() - plan_.num_borrowed);
  if (!extent) extent = ColdestBelow(plan_.first_workspace() - num_borrowed_);
  if (!extent) return std::nullopt;
  pool_.Reclaim(FirstFrame(*extent), plan_.frames_per_extent, FrameUse::kKv, stream_);
  claimed_[*extent - plan_.num_kv_extents] = true;
  --num_claimable_;
  return extent;
}

void SoftFrames::Release(uint32_t extent) {
  SF_CHECK(extent >= plan_.num_kv_extents && claimed_[extent - plan_.num_kv_extents]);
  claimed_[extent - plan_.num_kv_extents] = false;
  pool_.Return(FirstFrame(extent), plan_.frames_per_extent, stream_);
  CountClaimable();
}

uint32_t SoftFrames::num_borrowable() const {
  uint32_t begin = plan_.first_workspace() - plan_.num_borrowed;
  for (uint32_t i = 0; i < plan_.num_claimable_extents; ++i) {
    if (!claimed_[i]) continue;
    begin = std::max(begin, Index(FirstFrame(plan_.num_kv_extents + i)) + plan_.frames_per_extent);
  }
  return plan_.first_workspace() - begin;
}

void SoftFrames::BorrowTail(uint32_t num_frames) {
  if (num_frames <= num_borrowed_) return;
  SF_CHECK(num_frames <= num_borrowable());
  pool_.Reclaim(FrameId{plan_.first_workspace() - num_frames}, num_frames - num_borrowed_,
                FrameUse::kWorkspace, stream_);
  num_borrowed_ = num_frames;
  CountClaimable();
}

void SoftFrames::ReturnTail() {
  if (num_borrowed_ == 0) return;
  pool_.Return(FrameId{plan_.first_workspace() - num_borrowed_}, num_borrowed_, stream_);
  num_borrowed_ = 0;
  CountClaimable();
}

}  // namespace spearfish::worker
