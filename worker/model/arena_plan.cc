#include "worker/model/arena_plan.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "common/base/bytes.h"

namespace spearfish::worker {
namespace {

uint64_t CeilDiv(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

uint64_t ExtentsFor(uint64_t blocks, const ArenaNeeds& needs) {
  return CeilDiv(blocks, needs.blocks_per_extent);
}

absl::Status TooSmall(uint64_t frames_needed, const ArenaNeeds& needs) {
  const uint64_t kv_frames = ExtentsFor(needs.min_kv_blocks, needs) * needs.frames_per_extent;
  return absl::ResourceExhaustedError(absl::StrFormat(
      "device memory too small: the step workspace takes %s and the KV blocks of one sequence %s "
      "(%s in frames of %s), %s are left of the budget after the dense weights; raise "
      "--vram-budget, or lower --max-model-len or --max-num-batched-tokens",
      FormatBytes(needs.workspace_bytes), FormatBytes(kv_frames * needs.frame_bytes),
      FormatBytes(frames_needed * needs.frame_bytes), FormatBytes(needs.frame_bytes),
      FormatBytes(needs.budget_bytes)));
}

}  // namespace

absl::StatusOr<ArenaPlan> PlanArena(const ArenaNeeds& needs) {
  const uint64_t frames = std::min<uint64_t>(needs.budget_bytes / needs.frame_bytes, INT32_MAX);
  uint64_t workspace = CeilDiv(needs.workspace_bytes, needs.frame_bytes);
  uint64_t kv_extents = ExtentsFor(needs.min_kv_blocks, needs);
  const uint64_t fixed = workspace + kv_extents * needs.frames_per_extent;
  if (fixed > frames) return TooSmall(fixed, needs);

  const auto wanted_slots = static_cast<uint64_t>(
      std::floor(needs.max_coverage * static_cast<double>(needs.num_records)));
  const uint64_t slots = std::min(frames - fixed, wanted_slots);
  uint64_t spare = frames - fixed - slots;
  const uint64_t useful_extents = ExtentsFor(needs.max_kv_blocks, needs);
  const uint64_t more_extents = std::min(spare / needs.frames_per_extent,
                                         useful_extents - std::min(useful_extents, kv_extents));
  kv_extents += more_extents;
  spare -= more_extents * needs.frames_per_extent;
  const uint64_t largest =
      std::max(workspace, CeilDiv(needs.borrowed_workspace_bytes, needs.frame_bytes));
  workspace += std::min(spare, largest - workspace);

  ArenaPlan plan;
  plan.num_hard = static_cast<uint32_t>(static_cast<double>(slots) * needs.hard_share);
  plan.num_soft = static_cast<uint32_t>(slots) - plan.num_hard;
  plan.num_kv = static_cast<uint32_t>(kv_extents * needs.frames_per_extent);
  plan.num_workspace = static_cast<uint32_t>(workspace);
  plan.num_borrowed = static_cast<uint32_t>(std::min<uint64_t>(largest - workspace, plan.num_soft));
  plan.num_kv_extents = static_cast<uint32_t>(kv_extents);
  plan.num_claimable_extents = plan.num_soft / needs.frames_per_extent;
  plan.frame_bytes = needs.frame_bytes;
  plan.frames_per_extent = needs.frames_per_extent;
  plan.blocks_per_extent = needs.blocks_per_extent;
  return plan;
}

}  // namespace spearfish::worker
